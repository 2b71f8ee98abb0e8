//! RabbitMQ with its Web-STOMP plugin, as a plain child in a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::compare::servers::{free_ports, pinned, wait_for};

/// Debian's; the one in `/usr/sbin` changes user and folder.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker that runs until this is dropped.
pub(super) struct RabbitMq {
    broker: Child,
    epmd: Child,
    folder: PathBuf,
    pub(super) address: SocketAddr,
}

pub(super) fn is_installed() -> bool {
    Path::new(SERVER).exists()
}

impl RabbitMq {
    pub(super) fn start(core: Option<usize>) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("RabbitMQ does not start: {error}");
        let folder = std::env::temp_dir().join(format!("stomp-bench-rabbitmq-{}", std::process::id()));
        // What an earlier run has left is not wanted.
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        let [amqp, stomp, web, distribution, epmd_port] = free_ports().map_err(|error| failed(&error))?;
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nstomp.listeners.tcp.1 = 127.0.0.1:{stomp}\n\
             web_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = {web}\nweb_stomp.ws_path = /ws/websocket\n\
             web_stomp.ws_frame = binary\nlog.file = false\n"
        );
        let write =
            |name: &str, text: &str| fs::write(folder.join(name), text).map_err(|error| failed(&error));
        write("enabled_plugins", "[rabbitmq_stomp,rabbitmq_web_stomp].\n")?;
        write("rabbitmq.conf", &configuration)?;
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()]);
        let log = folder.join("output");
        let quiet = |command: &mut Command| {
            let output = fs::OpenOptions::new().create(true).append(true).open(&log)?;
            command.current_dir(&folder).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
            command.spawn()
        };
        let mut command = Command::new(SERVER);
        command
            .env("HOME", &folder)
            .env("RABBITMQ_NODENAME", format!("bench{}@localhost", std::process::id()))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("db"))
            .env("RABBITMQ_LOG_BASE", &folder)
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("ERL_EPMD_PORT", epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            // The script is then replaced by the broker, so that the child's number is the broker's.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        let mut epmd = quiet(&mut epmd).map_err(|error| failed(&error))?;
        // A broker that finds none starts another one, which would stay.
        let listens = wait_for(([127, 0, 0, 1], epmd_port).into(), &mut epmd, PATIENCE);
        let broker =
            listens.and_then(|()| quiet(&mut pinned(command, core)).map_err(|error| error.to_string()));
        let address = SocketAddr::from(([127, 0, 0, 1], web));
        let mut running = match broker {
            Ok(broker) => Self { broker, epmd, folder: folder.clone(), address },
            Err(error) => {
                epmd.kill().ok();
                epmd.wait().ok();
                return Err(failed(&error));
            }
        };
        if let Err(error) = wait_for(address, &mut running.broker, PATIENCE) {
            let output = fs::read_to_string(&log).unwrap_or_default();
            return Err(failed(&format!("{error}\n{output}")));
        }
        // It is busy with its start for a while.
        thread::sleep(Duration::from_secs(2));
        Ok(running)
    }

    pub(super) fn pid(&self) -> u32 {
        self.broker.id()
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        Command::new("kill").arg(self.broker.id().to_string()).status().ok();
        let start = Instant::now();
        while start.elapsed() < PATIENCE && matches!(self.broker.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(50));
        }
        self.broker.kill().ok();
        self.broker.wait().ok();
        self.epmd.kill().ok();
        self.epmd.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}
