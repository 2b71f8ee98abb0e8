//! The program as a process: what its signals do, and what the service manager is told.
#![cfg(unix)]

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// For each thing that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

struct Gateway {
    process: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
    manager: UnixDatagram,
    directory: TempDir,
}

impl Gateway {
    fn start(routes: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let manager = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        write(&file(directory.path()), routes);
        let mut process = Command::new(env!("CARGO_BIN_EXE_sockjs-gateway"))
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(file(directory.path()))
            .env_clear()
            .env("NOTIFY_SOCKET", directory.path().join("notify"))
            .env("WATCHDOG_USEC", "200000")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let log = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut gateway =
            Self { process, log, address: SocketAddr::from(([127, 0, 0, 1], 0)), manager, directory };
        let line = gateway.line_with("listens");
        let address = line.split(['[', ']']).nth(1).and_then(|address| address.parse().ok());
        gateway.address = address.expect(&line);
        gateway
    }

    fn write(&self, routes: &[&str]) {
        write(&file(self.directory.path()), routes);
    }

    /// The next line of the log that has this in it.
    fn line_with(&mut self, part: &str) -> String {
        let mut all = String::new();
        loop {
            let before = all.len();
            let read = self.log.read_line(&mut all).expect("it logs");
            assert!(read > 0, "no {part}: {all}");
            if all[before..].contains(part) {
                return all[before..].to_owned();
            }
        }
    }

    /// The next thing that the service manager is told and that begins so.
    fn told(&self, beginning: &str) -> String {
        loop {
            let mut text = [0; 512];
            let length = self.manager.recv(&mut text).expect(beginning);
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            if text.starts_with(beginning) {
                return text;
            }
        }
    }

    fn signal(&self, name: &str) {
        let signal = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(signal.expect("there is kill").success());
    }

    /// The status of a GET.
    fn get(&self, path: &str) -> String {
        status(self.address, path).expect("it answers")
    }

    /// The exit status, and what was printed.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut printed = String::new();
        let stdout = self.process.stdout.as_mut().expect("it is piped");
        stdout.read_to_string(&mut printed).expect("it is text");
        (self.process.wait().expect("it ends").code(), printed)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("gateway.toml")
}

fn write(file: &Path, routes: &[&str]) {
    // Nobody listens there, and nobody asks.
    let route = |path| {
        format!("[[route]]\npath = \"{path}\"\nbackends = \"ws://127.0.0.1:1\"\nhealth.check = \"off\"\n")
    };
    fs::write(file, routes.iter().map(route).collect::<String>()).expect("it can be written");
}

fn status(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer)?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

#[test]
fn sighup_reloads_and_sigterm_stops() {
    let mut gateway = Gateway::start(&["/a"]);
    gateway.told("READY=1");
    gateway.told("WATCHDOG=1");
    assert_eq!((&*gateway.get("/a"), &*gateway.get("/b")), ("200", "404"));

    gateway.write(&["/a", "/b"]);
    gateway.signal("HUP");
    let reloading = gateway.told("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    gateway.told("READY=1");
    assert!(gateway.line_with("reloaded").contains("routes added: /b"));
    assert_eq!((&*gateway.get("/a"), &*gateway.get("/b")), ("200", "200"));

    // What is wrong leaves everything as it is.
    gateway.write(&["/a", "/a/b"]);
    gateway.signal("HUP");
    gateway.told("RELOADING=1");
    gateway.told("READY=1");
    let status = gateway.told("STATUS=reload failed");
    assert!(
        status.contains("gateway.toml:6:8: `/a/b` overlaps") && status.trim_end().ends_with("(0 sessions)"),
        "{status}"
    );
    gateway.line_with("not reloaded");
    gateway.line_with("gateway.toml:6:8: `/a/b` overlaps");
    assert_eq!((&*gateway.get("/a"), &*gateway.get("/b")), ("200", "200"));

    gateway.signal("TERM");
    gateway.told("STOPPING=1");
    gateway.told("STATUS=stopping: 0 sessions left");
    let (status, report) = gateway.end();
    assert_eq!(status, Some(0));
    assert!(report.contains("0 connections cut off"), "{report}");
}

/// A socket whose other end is gone: what is written to it is an error.
fn nobody() -> Stdio {
    let (socket, other) = UnixStream::pair().expect("two sockets");
    drop(other);
    Stdio::from(OwnedFd::from(socket))
}

#[test]
fn an_output_that_nobody_reads_is_no_fault() {
    let check = |arguments: &[&str], stdout, stderr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockjs-gateway"));
        let output =
            command.args(arguments).env_clear().stdout(stdout).stderr(stderr).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let right = ["--check", "--route", "/a=ws://127.0.0.1:1"];
    assert_eq!(check(&right, nobody(), Stdio::piped()), (Some(0), String::new()));
    assert_eq!(check(&["--check", "--route", "/a=http://a"], Stdio::null(), nobody()).0, Some(2));
    assert_eq!(check(&["--healthcheck", "--route", "/a=ws://a"], Stdio::null(), nobody()).0, Some(1));
    // A line of the log, and why it does not start.
    let taken = TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr().map(|at| (taken, at)));
    let (_taken, at) = taken.expect("an address");
    let start = ["--listen", &at.to_string(), "--log", "trace", "--route", "/a=ws://a"];
    assert_eq!(check(&start, Stdio::null(), nobody()).0, Some(1));

    // The report of a stop.
    let mut gateway = Gateway::start(&["/a"]);
    drop(gateway.process.stdout.take());
    gateway.signal("TERM");
    let mut log = String::new();
    gateway.log.read_to_string(&mut log).expect("it is text");
    assert_eq!(gateway.process.wait().expect("it ends").code(), Some(0), "{log}");
}

/// The core speaks of its own options.
#[test]
fn an_origin_that_is_refused_is_logged_in_words_that_the_documentation_explains() {
    let mut gateway = Gateway::start(&["/a"]);
    let mut tcp = TcpStream::connect_timeout(&gateway.address, PATIENCE).expect("it listens");
    let head = "GET /a/info HTTP/1.1\r\nHost: gateway.example\r\nOrigin: https://page.example\r\nConnection: close\r\n\r\n";
    tcp.write_all(head.as_bytes()).expect("it reads");
    let line = gateway.line_with("a request of another origin was refused");
    assert!(line.contains("https://page.example"), "{line}");
    let named: Vec<_> = line.split('`').skip(1).step_by(2).filter(|word| word.contains("::")).collect();
    assert!(named.contains(&"Options::origins"), "{line}");
    for word in named {
        assert!(
            include_str!("../docs/operating.md").contains(&format!("| `{word}` |")),
            "{word} is not explained"
        );
    }
}

#[test]
fn a_limit_of_open_files_that_allows_no_session_is_an_error() {
    let start = |limit: u32, listen: &str| {
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_sockjs-gateway"), "--listen", listen]);
        let output = command.args(["--route", "/a=ws://127.0.0.1:1"]).env_clear().output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let taken = TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr().map(|at| (taken, at)));
    let (_taken, at) = taken.expect("an address");
    let (status, error) = start(64, &at.to_string());
    assert_eq!(status, Some(1), "{error}");
    assert!(error.starts_with("sockjs-gateway: ") && error.contains("64, allows no session"), "{error}");
    // It starts, and gets as far as the address.
    let (_, error) = start(256, &at.to_string());
    assert!(
        error.contains(" WARN ") && error.contains("sessions=64") && error.contains("listened at"),
        "{error}"
    );
    let (_, error) = start(64 + 3 * 1024, &at.to_string());
    assert!(error.contains(" INFO ") && error.contains("sessions=1024"), "{error}");
    assert!(!error.contains(" WARN "), "{error}");
}

#[test]
fn an_address_in_use_is_said() {
    let gateway = Gateway::start(&["/a"]);
    let second = Command::new(env!("CARGO_BIN_EXE_sockjs-gateway"))
        .args(["--listen", &gateway.address.to_string(), "--route", "/a=ws://127.0.0.1:1"])
        .env_clear()
        .output()
        .expect("it runs");
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("{} cannot be listened at", gateway.address)), "{error}");
}
