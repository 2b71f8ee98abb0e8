//! One node: a process of its own, so that it can really be killed.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::BoxError;
use axum_sockjs::{Cluster, ClusterOptions, Options};
use axum_sockjs_serve::{Server, terminated};
use clap::Args;
use sockjs_bus::Bus as _;
use sockjs_bus_nats::Nats;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    chat::{self, Node},
    ready::Ready,
};

/// Where a node gets the secret of the cluster: other processes of the machine can read arguments.
pub(crate) const SECRET: &str = "CLUSTER_SECRET";

/// How long a node that drains waits for its clients.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct NodeArgs {
    #[arg(long)]
    name: String,
    /// Where the balancer and the other nodes reach it.
    #[arg(long, value_name = "IP:PORT")]
    addr: SocketAddr,
    /// The balancer's URL, which clients use.
    #[arg(long, value_name = "URL")]
    public: String,
    #[arg(long, value_name = "URL")]
    nats: String,
}

/// Completes when the standard input ends: whoever has started this process says so that it is to stop, or is no more.
/// Returns whether it has said so.
pub(crate) async fn input_ends() -> bool {
    let (ends, ended) = oneshot::channel();
    // A thread that waits for input is nothing that the end of a runtime should wait for.
    std::thread::spawn(move || {
        let mut said = Vec::new();
        std::io::stdin().take(64).read_to_end(&mut said).ok();
        ends.send(!said.is_empty()).ok();
    });
    ended.await.unwrap_or(false)
}

/// Prints a line for the parent, which may be no more.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    writeln!(std::io::stdout(), "{line}").ok();
}

/// Serves until it is asked to stop, then drains.
pub(crate) async fn run(args: NodeArgs) -> Result<(), BoxError> {
    let NodeArgs { name, addr, public, nats } = args;
    let secret = std::env::var(SECRET).map_err(|_| format!("{SECRET} is not set"))?;
    let listener = TcpListener::bind(addr).await?;
    let cluster = Cluster::new(ClusterOptions::new(secret, listener.local_addr()?).public_url(public))?;
    let bus = Nats::options(&nats).name(&name).ping_interval(Duration::from_secs(1)).connect().await?;
    let ready = Ready::new(bus.status());
    let rooms = chat::rooms(Arc::new(bus), &name);
    let (app, handle) =
        chat::app(Node { name: name.into(), rooms: rooms.clone() }, Options::new().cluster(&cluster));
    let app = app.merge(ready.clone().router());
    say(format_args!("ready: pid {}", std::process::id()));
    let stop = async {
        tokio::select! {
            _ = input_ends() => {}
            () = terminated() => {}
        }
        ready.drain();
    };
    let report = Server::new().endpoint(handle).grace(GRACE).serve(listener, app, stop).await;
    // The other nodes need not wait until this one counts as dead.
    rooms.leave_bus().await;
    say(format_args!("drained: {report}"));
    Ok(())
}
