//! Measures SockJS servers: see the README beside this package.

mod compare;
mod load;
mod procfs;

use std::{process::ExitCode, time::Duration};

use load::{Body, Load, Spec, Transport};

const USAGE: &str = "usage:
  axum-sockjs-bench load --url http://IP:PORT/PATH [--pid SERVER] [--transport websocket] [--sessions 16]
                         [--in-flight 1] [--size 64] [--body ascii|json] [--broadcast] [--warm-up SECONDS]
                         [--seconds SECONDS]";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let result = match args.next().as_deref() {
        Some("load") => load_once(args),
        Some("compare") => compare::run(args),
        Some("plots") => compare::plots(),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one load, and prints what it saw as JSON.
fn load_once(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut spec = Spec {
        target: ([127, 0, 0, 1], 8081).into(),
        path: "/echo".to_owned(),
        transport: Transport::WebSocket,
        sessions: 16,
        in_flight: 1,
        body: Body::Ascii,
        size: 64,
        echoes: true,
        warm_up: Duration::from_millis(500),
        measure: Duration::from_secs(2),
        pid: None,
    };
    while let Some(flag) = args.next() {
        if flag == "--broadcast" {
            spec.echoes = false;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let bad = |error: &dyn std::fmt::Display| format!("{flag} {value}: {error}");
        let seconds = || value.parse().map(Duration::from_secs_f64).map_err(|error| bad(&error));
        match flag.as_str() {
            "--url" => {
                let rest = value.strip_prefix("http://").ok_or_else(|| bad(&"no http URL"))?;
                let (target, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                spec.target = target.parse().map_err(|error| bad(&error))?;
                spec.path = path.to_owned();
            }
            "--pid" => spec.pid = Some(value.parse().map_err(|error| bad(&error))?),
            "--transport" => spec.transport = Transport::named(&value).ok_or_else(|| bad(&"no transport"))?,
            "--sessions" => spec.sessions = value.parse().map_err(|error| bad(&error))?,
            "--in-flight" => spec.in_flight = value.parse().map_err(|error| bad(&error))?,
            "--size" => spec.size = value.parse().map_err(|error| bad(&error))?,
            "--body" if value == "ascii" => spec.body = Body::Ascii,
            "--body" if value == "json" => spec.body = Body::Json,
            "--warm-up" => spec.warm_up = seconds()?,
            "--seconds" => spec.measure = seconds()?,
            _ => return Err(format!("unknown option {flag} {value}\n{USAGE}")),
        }
    }
    if spec.size < load::messages::MIN_SIZE || spec.sessions == 0 {
        return Err(format!("at least one session, and {} bytes", load::messages::MIN_SIZE));
    }
    let report = runtime()?.block_on(async { Load::open(spec).await?.measure().await })?;
    println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}
