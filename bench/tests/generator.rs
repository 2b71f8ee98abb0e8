//! The load generator, run against our server, and against servers that are wrong.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Output, Stdio},
};

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child =
            Command::new(program).args(args).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the server says where it is");
        let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn load(url: &str, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_axum-sockjs-bench"))
        .args(["load", "--url", url, "--sessions", "3", "--warm-up", "0.05", "--seconds", "0.1"])
        .args(args.split(' '))
        .output()
        .expect("the generator runs")
}

/// Runs a load that must succeed, and says how many messages it counted.
fn messages(url: &str, args: &str) -> u64 {
    let output = load(url, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["messages"].as_u64().expect("a count")
}

#[test]
fn every_transport_echoes_and_broadcasts() {
    let server = Server::start(env!("CARGO_BIN_EXE_ours"), &[]);
    for transport in [
        "websocket",
        "raw-websocket",
        "xhr-streaming",
        "eventsource",
        "htmlfile",
        "xhr-polling",
        "jsonp-polling",
    ] {
        // Two streams' worth of data: the receiving request has to be made anew.
        for shape in ["--in-flight 1", "--in-flight 16 --size 1024 --body json", "--in-flight 4 --size 65536"]
        {
            let args = format!("--transport {transport} {shape}");
            assert!(messages(&format!("{}/echo", server.url), &args) > 0, "{args}");
        }
        let args = format!("--transport {transport} --in-flight 4 --shape broadcast");
        assert!(messages(&format!("{}/broadcast", server.url), &args) > 0, "{args}");
    }
}

#[test]
fn the_ceilings_echo() {
    let axum = Server::start(env!("CARGO_BIN_EXE_ceiling"), &[]);
    for transport in ["raw-websocket", "plain-streaming", "plain-polling"] {
        let args = format!("--transport {transport} --in-flight 4");
        assert!(messages(&format!("{}/echo", axum.url), &args) > 0, "{args}");
    }
    let tcp = Server::start(env!("CARGO_BIN_EXE_ceiling"), &["--tcp"]);
    assert!(messages(&format!("{}/echo", tcp.url), "--transport tcp --in-flight 4") > 0);
}

/// Answers 64-byte messages with what `wrong` makes of the tenth, for one connection.
fn wrong_echo(wrong: fn(&mut Vec<u8>)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        for number in 0.. {
            let mut message = vec![0; 64];
            if socket.read_exact(&mut message).is_err() {
                return;
            }
            if number == 10 {
                wrong(&mut message);
            }
            if socket.write_all(&message).is_err() {
                return;
            }
        }
    });
    address
}

#[test]
fn what_is_altered_lost_or_doubled_is_found() {
    let errors: [fn(&mut Vec<u8>); 3] =
        [|message| message[40] ^= 1, |message| message.clear(), |message| message.extend_from_within(..)];
    for error in errors {
        let url = format!("http://{}/echo", wrong_echo(error));
        let output = load(&url, "--transport tcp --sessions 1 --in-flight 4");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("expected"), "{said}");
    }
}

#[test]
fn stomp_is_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_axum-sockjs-bench"))
        .args(["stomp", "--smoke"])
        .output()
        .expect("the generator runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.starts_with("|  | axum-stomp |") && table.contains("| fan-out of 64 B to 200"), "{table}");
}

#[test]
fn rooms_on_three_nodes_are_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_axum-sockjs-bench"))
        .args(["rooms", "--smoke"])
        .output()
        .expect("the generator runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("text");
    // A row for each: one node, three with NATS, three with Redis, and with a history.
    for row in ["| one node |", "|  | three, NATS |", "|  | three, Redis |"] {
        assert_eq!(table.matches(row).count(), 5, "{table}");
    }
    assert_eq!(table.matches("with history").count(), 2, "{table}");
    assert!(!table.contains("| - |"), "{table}");
}
