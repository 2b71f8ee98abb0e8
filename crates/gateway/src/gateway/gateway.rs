//! A gateway, from its configuration to its stop.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use axum_sockjs::{Cluster, ClusterOptions};
use axum_sockjs_serve::{Listener, Report, Server, Tls};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{
    app::App, client::Proxies, generation::Environment, handle::Handle, reload::Plan, shared::Shared,
    start_error::StartError, table::Table,
};
use crate::{
    admin::admin,
    config::config::{ClusterConfig, Config},
};

/// SockJS in front of WebSocket servers.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use sockjs_gateway::{Config, Gateway};
///
/// let config = Config::parse(
///     r#"
///     [[route]]
///     path = "/chat"
///     backends = ["ws://127.0.0.1:9000/ws"]
///     "#,
/// )?;
/// let gateway = Gateway::new(config).await?;
/// let report = gateway.serve(async { _ = tokio::signal::ctrl_c().await }).await;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a gateway does nothing unless it serves"]
pub struct Gateway {
    handle: Handle,
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    admin: Option<TcpListener>,
    server: Server,
}

impl Gateway {
    /// A gateway that listens already, and answers nothing before it [serves](Self::serve). Its backends are checked from
    /// now on.
    ///
    /// # Errors
    /// An address that cannot be listened at, a file that cannot be read, or settings that do not go together.
    pub async fn new(config: Config) -> Result<Self, StartError> {
        let tls = match &config.tls {
            Some(identity) => Some(Tls::from_pem(&identity.certificate, &identity.key)?),
            None => None,
        };
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &address in &config.listen {
            let tcp = listen(address).await?;
            addresses.push(tcp.local_addr().map_err(|error| StartError::listen(address, error))?);
            let listener = Listener::new(tcp).http2(config.http2);
            listeners.push(match &tls {
                Some(tls) => listener.tls(tls),
                None => listener,
            });
        }
        let cluster = match &config.cluster {
            Some(cluster) => {
                let tcp = listen(cluster.address).await?;
                let address = tcp.local_addr().map_err(|error| StartError::listen(cluster.address, error))?;
                listeners.push(Listener::new(tcp));
                Some(join(cluster, address)?)
            }
            None => None,
        };
        let admin = match config.admin {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let proxies = Arc::new(ArcSwap::from_pointee(Proxies::new(config.trusted_proxies.clone())));
        let environment = Environment { proxies, cluster };
        let plan = Plan::new(&Table::default(), &config, None, &environment).map_err(StartError::route)?;
        let (table, _) = plan.apply();
        let shared = Arc::new(Shared::new(table, environment));
        let endpoints = Arc::clone(&shared);
        let server = Server::new().endpoints(move || endpoints.handles()).grace(config.grace);
        let started = Arc::new(config.clone());
        let handle = Handle { shared, tls, started, config: Arc::new(Mutex::new(config)) };
        Ok(Self { handle, listeners, addresses, admin, server })
    }

    /// The addresses at which browsers connect, in the order of the configuration, with the ports that the system has
    /// chosen where it asks for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What changes a gateway that serves.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `stop` completes, and then stops as [`Server::serve_all`] does: each client is told by a close event,
    /// and each backend by the end of its WebSocket.
    ///
    /// # Cancel safety
    /// As that of [`Server::serve_all`].
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Report {
        let Self { handle, listeners, admin, server, .. } = self;
        let app = App(Arc::clone(&handle.shared));
        let stop = async {
            stop.await;
            handle.shared.stop();
        };
        // The operator sees the stop from its beginning to its end.
        let operator = admin.map(|listener| {
            let shown = handle.clone();
            AbortOnDropHandle::new(tokio::spawn(admin::serve(listener, move || shown.shown(), pending())))
        });
        let report = server.serve_all(listeners, app, stop).await;
        drop(operator);
        report
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::listen(address, error))
}

fn join(config: &ClusterConfig, address: SocketAddr) -> Result<Cluster, StartError> {
    let mut options = ClusterOptions::new(&config.secret.0, address);
    if let Some(other) = &config.other_secret {
        options = options.other_secret(&other.0);
    }
    if let Some(url) = &config.public_url {
        options = options.public_url(url);
    }
    Ok(Cluster::new(options)?)
}
