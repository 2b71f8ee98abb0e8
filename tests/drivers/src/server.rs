//! A server of the test's own, on a port and with a directory of its own.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sockjs_bus::{BoxFuture, Bus, ConnectError, kit};

use crate::{
    engine::{Engine, Settings},
    wait::limited,
};

/// A running server. It is killed when this is dropped.
pub struct Server {
    engine: &'static dyn Engine,
    port: u16,
    directory: PathBuf,
    arguments: Mutex<Vec<String>>,
    is_secured: bool,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts one.
    #[must_use]
    pub fn start(engine: &'static dyn Engine) -> Self {
        Self::start_with(engine, false, |_, _| Vec::new())
    }

    /// Starts one with further arguments, which may name files of its directory, and its port.
    pub fn start_with(
        engine: &'static dyn Engine,
        is_secured: bool,
        arguments: impl FnOnce(&Path, u16) -> Vec<String>,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("sockjs-driver-tests-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        // Nobody else gets it at once: ports are given in turn.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let arguments = Mutex::new(arguments(&directory, port));
        let server = Self { engine, port, directory, arguments, is_secured, child: Mutex::new(None) };
        server.run();
        server
    }

    /// Starts it, at the same port and with what it has stored.
    pub fn run(&self) {
        let mut command = self.engine.server(self.port, &self.directory);
        command.args(&*self.arguments.lock().unwrap());
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{program} is installed: {error}"));
        *self.child.lock().unwrap() = Some(child);
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "{program} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it. What it has stored stays.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The next run has these arguments in place of the others.
    pub fn set_arguments(&self, arguments: impl FnOnce(&Path) -> Vec<String>) {
        *self.arguments.lock().unwrap() = arguments(&self.directory);
    }

    /// Deletes what it has stored, while it does not run.
    pub fn lose_store(&self) {
        fs::remove_dir_all(&self.directory).unwrap();
        fs::create_dir_all(&self.directory).unwrap();
    }

    /// Sends it a signal, as `STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.lock().unwrap().as_ref().unwrap().id();
        let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Takes all streams from it while it runs.
    pub async fn erase(&self) {
        self.engine.erase(&self.address()).await;
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> String {
        self.address_of("")
    }

    /// Its address with credentials, as `user:password@`.
    #[must_use]
    pub fn address_of(&self, credentials: &str) -> String {
        format!("{}://{credentials}127.0.0.1:{}", self.engine.scheme(self.is_secured), self.port)
    }

    /// A node, with the defaults of its driver.
    pub async fn connect(&self) -> Arc<dyn Bus> {
        self.connect_when_ready(&Settings::default()).await
    }

    /// A node with short times.
    pub async fn connect_quick(&self) -> Arc<dyn Bus> {
        self.connect_when_ready(&Settings::quick()).await
    }

    /// A server that listens may still load what it has stored.
    async fn connect_when_ready(&self, settings: &Settings) -> Arc<dyn Bus> {
        let connect = async {
            loop {
                match self.try_connect(settings).await {
                    Ok(bus) => return bus,
                    Err(ConnectError::Unreachable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                    Err(error) => panic!("{error:?}"),
                }
            }
        };
        limited("a node is connected", connect).await
    }

    /// A node, or the reason why there is none.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub async fn try_connect(&self, settings: &Settings) -> Result<Arc<dyn Bus>, ConnectError> {
        self.engine.connect(&self.address(), settings).await
    }
}

impl kit::Fixture for Server {
    fn connect(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(self.connect())
    }

    fn set_outage(&self, is_down: bool) -> BoxFuture<'_, bool> {
        if is_down {
            self.kill();
        } else {
            self.run();
        }
        Box::pin(async { true })
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        _ = fs::remove_dir_all(&self.directory);
    }
}
