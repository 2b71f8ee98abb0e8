//! Measures SockJS servers: see the README beside this package.

mod choice;
mod compare;
mod gateway;
mod load;
mod procfs;
mod rooms;
mod stomp;
mod turns;

use std::{net::SocketAddr, num::NonZeroUsize, process::ExitCode, time::Duration};

use clap::{Args, Parser};
use load::{Body, Content, Load, Shape, Spec, Transport};

/// Measures SockJS servers.
#[derive(Parser)]
enum Command {
    /// Runs one load, and prints what it saw as JSON.
    #[command(args_override_self = true)]
    Load(OneLoad),
    /// Runs the rows on the servers in turn, and prints a table of the medians.
    Compare(compare::Options),
    /// Measures the gateway.
    Gateway(gateway::Options),
    /// Measures messages to rooms on one node and on three.
    Rooms(rooms::Options),
    /// Measures STOMP.
    Stomp(stomp::Options),
    /// Draws the plots of the tables in docs/performance.md.
    Plots,
}

#[derive(Args)]
struct OneLoad {
    #[arg(long, value_name = "http://IP:PORT/PATH", value_parser = url)]
    url: (SocketAddr, String),
    /// The server's process, whose processor time is told.
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long, default_value = "websocket", value_parser = |name: &str| Transport::named(name).ok_or("no transport"))]
    transport: Transport,
    #[arg(long, default_value = "16")]
    sessions: NonZeroUsize,
    /// Messages of each session.
    #[arg(long, default_value_t = 1)]
    in_flight: u64,
    /// Bytes of a message.
    #[arg(long, default_value_t = 64, value_parser = size)]
    size: usize,
    #[arg(long, value_enum, default_value_t = Body::Ascii)]
    body: Body,
    #[arg(long, value_enum, default_value_t = Shape::Echo)]
    shape: Shape,
    #[arg(long, value_enum, default_value_t = Content::Text)]
    content: Content,
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    warm_up: Duration,
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    seconds: Duration,
}

fn url(text: &str) -> Result<(SocketAddr, String), String> {
    let rest = text.strip_prefix("http://").ok_or("no http URL")?;
    let (target, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok((target.parse().map_err(|error| format!("{target}: {error}"))?, path.to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<usize, String> {
    let size = text.parse().map_err(|error| format!("{error}"))?;
    let least = load::messages::MIN_SIZE;
    if size < least { Err(format!("at least {least} bytes")) } else { Ok(size) }
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Load(load) => load_once(load),
        Command::Compare(options) => compare::run(&options),
        Command::Gateway(options) => gateway::run(&options),
        Command::Rooms(options) => rooms::run(&options),
        Command::Stomp(options) => stomp::run(&options),
        Command::Plots => compare::plots(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn load_once(load: OneLoad) -> Result<(), String> {
    let (target, path) = load.url;
    let spec = Spec {
        targets: vec![target],
        path,
        transport: load.transport,
        sessions: load.sessions.get(),
        in_flight: load.in_flight,
        rate: None,
        body: load.body,
        size: load.size,
        shape: load.shape,
        content: load.content,
        warm_up: load.warm_up,
        measure: load.seconds,
        pids: load.pid.into_iter().collect(),
        between: None,
    };
    let report = runtime()?.block_on(async { Load::open(spec).await?.measure().await })?;
    println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}
