//! The gateway's configuration, the two backends, and what the page does to them.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use sockjs_gateway::{Config, Handle};
use tokio::sync::broadcast;

use crate::{
    backend::{Backend, Temper},
    log::{Entry, Log},
};

/// Lines of the chat that a backend may be behind.
const ROOM: usize = 64;

#[derive(Debug)]
pub(crate) struct Stage {
    setting: Setting,
    backends: [Backend; 2],
    log: Arc<Log>,
    /// The backends that get no new sessions, by the configuration of now.
    drained: Mutex<[bool; 2]>,
}

/// What the configuration says of the demo as a whole.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) listen: SocketAddr,
    pub(crate) page: SocketAddr,
    /// The script of sockjs-client, if there is one on this machine.
    pub(crate) client_script: Option<PathBuf>,
}

/// All that a page shows.
#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    config: String,
    sessions: usize,
    backends: Vec<Shown>,
    seen: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Shown {
    name: &'static str,
    address: SocketAddr,
    is_running: bool,
    is_drained: bool,
    temper: Temper,
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Kill,
    Start,
    Accepts,
    Unauthorized,
    Forbidden,
    Slow,
    Drain,
    Undrain,
}

impl Stage {
    pub(crate) async fn new(setting: Setting) -> std::io::Result<Self> {
        let log = Arc::new(Log::default());
        let (room, _) = broadcast::channel(ROOM);
        let backends = [
            Backend::start("a", Arc::clone(&log), room.clone()).await?,
            Backend::start("b", Arc::clone(&log), room).await?,
        ];
        Ok(Self { setting, backends, log, drained: Mutex::default() })
    }

    /// The configuration of now, as it could stand in a file.
    pub(crate) fn config(&self) -> String {
        self.config_with(*self.drained.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn config_with(&self, drained: [bool; 2]) -> String {
        let Setting { listen, page, client_script } = &self.setting;
        let mut text = format!("listen = \"{listen}\"\n\n[[route]]\npath = \"/chat\"\nbackends = [\n");
        for (backend, is_drained) in self.backends.iter().zip(drained) {
            let url = format!("ws://{}/ws", backend.address);
            if is_drained {
                _ = writeln!(text, "  {{ url = \"{url}\", drain = true }},");
            } else {
                _ = writeln!(text, "  \"{url}\",");
            }
        }
        let port = page.port();
        _ = writeln!(text, "]\norigins = [\"http://127.0.0.1:{port}\", \"http://localhost:{port}\"]");
        if let Some(script) = client_script {
            _ = writeln!(text, "client_script = {:?}", script.display().to_string());
        }
        text + "pass_query = true\nlegacy_transports = true\nconnect_timeout = \"2s\"\nopen_timeout = \"5s\"\n\n\
                [route.health]\ninterval = \"1s\"\ntimeout = \"500ms\"\nfall = 2\n"
    }

    pub(crate) fn overview(&self, gateway: &Handle, tab: &str, since: u64) -> Overview {
        let drained = *self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |(backend, is_drained): (&Backend, bool)| Shown {
            name: backend.name,
            address: backend.address,
            is_running: backend.is_running(),
            is_drained,
            temper: backend.temper(),
        };
        Overview {
            config: self.config_with(drained),
            sessions: gateway.sessions(),
            backends: self.backends.iter().zip(drained).map(shown).collect(),
            seen: self.log.after(tab, since),
        }
    }

    /// Returns what there is to say about it.
    pub(crate) async fn act(&self, gateway: &Handle, name: &str, action: Action) -> Result<String, String> {
        let (at, backend) = self
            .backends
            .iter()
            .enumerate()
            .find(|(_, one)| one.name == name)
            .ok_or("there is no such backend")?;
        match action {
            Action::Kill => backend.kill(),
            Action::Start => backend.start_again().await.map_err(|error| error.to_string())?,
            Action::Accepts => backend.set_temper(Temper::Accepts),
            Action::Unauthorized => backend.set_temper(Temper::Unauthorized),
            Action::Forbidden => backend.set_temper(Temper::Forbidden),
            Action::Slow => backend.set_temper(Temper::Slow),
            Action::Drain => return self.reload(gateway, at, true),
            Action::Undrain => return self.reload(gateway, at, false),
        }
        Ok(String::new())
    }

    /// What SIGHUP does after the file was edited.
    fn reload(&self, gateway: &Handle, at: usize, drains: bool) -> Result<String, String> {
        let mut drained = self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = *drained;
        next[at] = drains;
        let config = Config::parse(&self.config_with(next)).map_err(|error| error.to_string())?;
        let report = gateway.reload(config).map_err(|error| error.to_string())?;
        *drained = next;
        Ok(format!("reloaded: {report}"))
    }
}
