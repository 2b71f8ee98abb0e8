//! NATS and Redis, each as a plain child with a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::compare::servers::{free_ports, pinned, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With JetStream.
    Nats,
    /// It writes each entry of a stream to its file, as its users have it who keep histories.
    Redis,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Nats => "nats-server",
            Self::Redis => "redis-server",
        }
    }
}

/// An engine that runs until this is dropped, or this process ends, however that is.
pub(super) struct Engine {
    child: Child,
    folder: PathBuf,
    pub(super) url: String,
}

impl Engine {
    pub(super) fn start(kind: Kind, core: Option<usize>) -> Result<Self, String> {
        let program = kind.program();
        let failed = |error: &dyn std::fmt::Display| format!("{program} does not start: {error}");
        let [port] = free_ports().map_err(|error| failed(&error))?;
        let folder = std::env::temp_dir().join(format!("rooms-bench-{program}-{}", std::process::id()));
        // What an earlier run has left is not wanted.
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let port = port.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        let scheme = match kind {
            Kind::Nats => {
                command.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]);
                "nats"
            }
            Kind::Redis => {
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
                command.args(["--appendonly", "yes", "--dir"]);
                "redis"
            }
        };
        command.arg(&folder);
        let mut command = pinned(command, core);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| failed(&error))?;
        let mut engine = Self { child, folder, url: format!("{scheme}://{address}") };
        wait_for(address, &mut engine.child, PATIENCE).map_err(|error| failed(&error))?;
        Ok(engine)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}
