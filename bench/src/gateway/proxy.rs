//! What stands between clients and the backend, each in a process and a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::compare::servers::{free_ports, pinned, wait_for};

/// How long one may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that passes on what comes, until this is dropped.
pub(super) struct Proxy {
    child: Child,
    folder: PathBuf,
    pub(super) address: SocketAddr,
}

pub(super) fn nginx_is_installed() -> bool {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Proxy {
    /// The gateway with its defaults. Its one backend speaks the raw WebSocket, and takes no origin but its own.
    pub(super) fn gateway(program: &Path, backend: SocketAddr, core: Option<usize>) -> Result<Self, String> {
        let settings = |address: SocketAddr, _: &Path| {
            format!(
                "listen = '{address}'\n[[route]]\npath = '/echo'\nbackends = 'ws://{backend}/echo/websocket'\n\
                 pass_headers = []\nmax_sessions = 'off'\n"
            )
        };
        let command = |file: &Path, _: &Path| {
            let mut command = Command::new(program);
            command.arg("--config").arg(file);
            command
        };
        Self::start("sockjs-gateway", settings, command, core)
    }

    /// nginx as its documentation says to use it for WebSockets, with one process, which is the worker.
    pub(super) fn nginx(backend: SocketAddr, core: Option<usize>) -> Result<Self, String> {
        let settings = |address: SocketAddr, folder: &Path| {
            let folder = folder.display();
            format!(
                "daemon off;\nmaster_process off;\nworker_processes 1;\nworker_rlimit_nofile 65536;\n\
                 pid {folder}/pid;\nerror_log stderr error;\n\
                 events {{ worker_connections 65536; }}\n\
                 http {{\n\
                 access_log off;\n\
                 client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
                 fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
                 server {{\n\
                 listen {address} backlog=4096;\n\
                 location / {{\n\
                 proxy_pass http://{backend};\nproxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
                 proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection upgrade;\n\
                 proxy_read_timeout 1h;\n\
                 }} }} }}\n"
            )
        };
        let command = |file: &Path, folder: &Path| {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).args(["-e", "stderr", "-c"]).arg(file);
            command
        };
        Self::start("nginx", settings, command, core)
    }

    fn start(
        name: &str,
        settings: impl Fn(SocketAddr, &Path) -> String,
        command: impl Fn(&Path, &Path) -> Command,
        core: Option<usize>,
    ) -> Result<Self, String> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let failed = |error: &dyn std::fmt::Display| format!("{name} does not start: {error}");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gateway-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        let [port] = free_ports()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let file = folder.join("settings");
        fs::write(&file, settings(address, &folder)).map_err(|error| failed(&error))?;
        // What it says is not wanted unless it fails.
        let log = fs::File::create(folder.join("log")).map_err(|error| failed(&error))?;
        let output = log.try_clone().map_err(|error| failed(&error))?;
        let mut command = pinned(command(&file, &folder), core);
        let child = command.stdin(Stdio::null()).stdout(output).stderr(log).spawn();
        let mut proxy = Self { child: child.map_err(|error| failed(&error))?, folder, address };
        wait_for(address, &mut proxy.child, PATIENCE).map_err(|error| {
            let said = fs::read_to_string(proxy.folder.join("log")).unwrap_or_default();
            failed(&format!("{error}\n{said}"))
        })?;
        Ok(proxy)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}
