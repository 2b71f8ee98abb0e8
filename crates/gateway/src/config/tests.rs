//! Whole configurations.

use std::{collections::BTreeSet, fs, time::Duration};

use axum_sockjs::Transport;
use proptest::prelude::*;
use toml::de::DeTable;

use super::{
    backend::{Balance, Binary, Check, Cookies, Host},
    config::{Config, LogFormat, Secret},
    endpoint::Origins,
    read::{Given, read},
    table::{Notes, Table},
};

/// Every word, with another value than its default.
const EVERYTHING: &str = r#"
listen = ["127.0.0.1:1", "[::1]:2"]
http2 = false
admin = "127.0.0.1:3"
grace = "1m 30s"
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]

[tls]
certificate = "fullchain.pem"
key = "/keys/key.pem"

[cluster]
address = "10.0.0.1:8090"
secret = "0123456789abcdef0123456789abcdef"
other_secret = "fedcba9876543210fedcba9876543210"
public_url = "https://www.example.com"

[log]
format = "json"
filter = "warn,sockjs_gateway=debug"

[defaults]
origins = "any"
heartbeat = "20s"

[defaults.set_headers]
X-Gateway = "a"
Authorization = "Bearer x"

[[route]]
path = "/chat"
backends = ["ws://127.0.0.1:9000/ws", { url = "wss://b.example/ws?a=b", drain = true }]
balance = "least-sessions"
origins = ["https://*.example.com", "http://localhost:*"]
transports = ["websocket", "xhr-polling"]
legacy_transports = true
subprotocols = ["v12.stomp", "v11.stomp"]
heartbeat = "off"
disconnect_delay = "6s"
response_limit = "64KiB"
client_script = "sockjs.min.js"
client_url = "/sockjs.js"
require_origin_with_credentials = true
affinity_cookie = "node"
max_message_bytes = "1 KiB"
max_body_bytes = 4096
max_batch_messages = 10
receive_queue_bytes = "2MiB"
receive_queue_messages = 20
receive_timeout = "7s"
max_pending_sends = 4
send_queue_bytes = "3MiB"
write_timeout = "off"
pong_timeout = "8s"
max_sessions = "off"
max_sessions_per_peer = 5
message_rate = 30
byte_rate = "1MiB"
hixie76 = true
binary = "base64"
connect_timeout = "1s"
open_timeout = "3s"
max_backend_message_bytes = "4MiB"
backend_ping_interval = "off"
backend_pong_timeout = "9s"
backend_close_timeout = "10s"
pass_headers = ["user-agent", "Accept-Language"]
pass_cookies = ["session"]
pass_query = true
host = "chat.example.com"

[route.set_headers]
Authorization = "Bearer S3CRET"
Origin = "https://www.example.com"

[route.backend_tls]
ca = "ca.pem"
certificate = "client.pem"
key = "client.key"
server_name = "b.internal"

[route.health]
check = "http"
path = "/up?x=1"
interval = "11s"
timeout = "4s"
fall = 2
rise = 3

[[route]]
path = "/news"
backends = "ws://127.0.0.1:9001"
"#;

#[test]
fn every_word_has_its_effect() {
    let config = Config::parse(EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert!(!config.http2);
    assert_eq!(config.admin, Some("127.0.0.1:3".parse().unwrap()));
    assert_eq!(config.grace, Duration::from_secs(90));
    assert_eq!(config.trusted_proxies, ["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
    let tls = config.tls.unwrap();
    assert_eq!((tls.certificate.to_str(), tls.key.to_str()), (Some("fullchain.pem"), Some("/keys/key.pem")));
    let cluster = config.cluster.unwrap();
    assert_eq!(cluster.address, "10.0.0.1:8090".parse().unwrap());
    assert_eq!(cluster.secret, Secret("0123456789abcdef0123456789abcdef".to_owned()));
    assert_eq!(cluster.other_secret, Some(Secret("fedcba9876543210fedcba9876543210".to_owned())));
    assert_eq!(cluster.public_url.as_deref(), Some("https://www.example.com"));
    assert_eq!((config.log.format, &*config.log.filter), (LogFormat::Json, "warn,sockjs_gateway=debug"));

    let [chat, news] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!((&*chat.path, &*news.path), ("/chat", "/news"));
    let seconds = |seconds| Some(Duration::from_secs(seconds));

    let endpoint = &chat.endpoint;
    let origins = ["https://*.example.com", "http://localhost:*"].map(str::to_owned).to_vec();
    assert_eq!(endpoint.origins, Origins::List(origins));
    assert_eq!(endpoint.transports, [Transport::WebSocket, Transport::XhrPolling]);
    assert_eq!(endpoint.legacy_transports, Some(true));
    assert_eq!(endpoint.subprotocols, ["v12.stomp", "v11.stomp"]);
    assert_eq!((endpoint.heartbeat, Some(endpoint.disconnect_delay)), (None, seconds(6)));
    assert_eq!(endpoint.response_limit, 64 << 10);
    assert_eq!(endpoint.client_script.as_ref().unwrap().to_str(), Some("sockjs.min.js"));
    assert_eq!(endpoint.client_url.as_deref(), Some("/sockjs.js"));
    assert!(endpoint.require_origin_with_credentials);
    assert_eq!(endpoint.affinity_cookie.as_deref(), Some("node"));
    assert_eq!((endpoint.max_message_bytes, endpoint.max_body_bytes), (1 << 10, 4096));
    assert_eq!((endpoint.max_batch_messages, endpoint.max_pending_sends), (10, 4));
    assert_eq!((endpoint.receive_queue_bytes, endpoint.receive_queue_messages), (2 << 20, 20));
    assert_eq!((endpoint.receive_timeout, endpoint.send_queue_bytes), (seconds(7), 3 << 20));
    assert_eq!((endpoint.write_timeout, endpoint.pong_timeout), (None, seconds(8)));
    assert_eq!((endpoint.max_sessions, endpoint.max_sessions_per_peer), (None, Some(5)));
    assert_eq!((endpoint.message_rate, endpoint.byte_rate), (Some(30), Some(1 << 20)));

    let upstream = &chat.upstream;
    let backends: Vec<_> =
        upstream.backends.iter().map(|backend| (backend.url.to_string(), backend.drain)).collect();
    let expected = [("ws://127.0.0.1:9000/ws", false), ("wss://b.example/ws?a=b", true)];
    assert_eq!(backends, expected.map(|(url, drain)| (url.to_owned(), drain)));
    assert_eq!((upstream.balance, upstream.binary), (Balance::LeastSessions, Binary::Base64));
    assert_eq!(upstream.pass.headers, ["user-agent", "accept-language"]);
    assert_eq!(upstream.pass.cookies, Cookies::Named(vec!["session".to_owned()]));
    assert!(upstream.pass.query);
    assert_eq!(upstream.pass.host, Host::Fixed("chat.example.com".parse().unwrap()));
    assert_eq!(upstream.set["authorization"], "Bearer S3CRET");
    assert_eq!(
        (&upstream.set["origin"], upstream.set.len()),
        (&"https://www.example.com".parse().unwrap(), 3)
    );
    assert_eq!((Some(upstream.connect_timeout), Some(upstream.open_timeout)), (seconds(1), seconds(3)));
    assert_eq!((upstream.max_message_bytes, upstream.ping_interval), (4 << 20, None));
    assert_eq!((Some(upstream.pong_timeout), Some(upstream.close_timeout)), (seconds(9), seconds(10)));
    assert_eq!(upstream.tls.ca.as_ref().unwrap().to_str(), Some("ca.pem"));
    assert_eq!(upstream.tls.identity.as_ref().unwrap().key.to_str(), Some("client.key"));
    assert_eq!(upstream.tls.server_name.as_deref(), Some("b.internal"));
    let health = &upstream.health;
    assert_eq!(health.check, Check::Http("/up?x=1".to_owned()));
    assert_eq!((Some(health.interval), Some(health.timeout)), (seconds(11), seconds(4)));
    assert_eq!((health.fall, health.rise), (2, 3));

    // The other has what all routes have, and is otherwise as by default.
    assert_eq!((&news.endpoint.origins, news.endpoint.heartbeat), (&Origins::Any, seconds(20)));
    assert_eq!(news.upstream.set["authorization"], "Bearer x");
    assert_eq!(news.upstream.balance, Balance::RoundRobin);
    assert!(!news.upstream.pass.query, "a client's query passes by default");

    // A log may have the whole of it.
    let shown = format!("{:?}", Config::parse(EVERYTHING));
    assert!(
        !shown.contains("S3CRET") && !shown.contains("0123456789abcdef") && !shown.contains("a=b"),
        "{shown}"
    );
}

/// Table and word, for each that the program knows.
pub(super) fn words() -> BTreeSet<(String, &'static str)> {
    let whole = DeTable::parse(EVERYTHING).unwrap();
    let notes = Notes::default();
    super::read::config(&Table::whole(&whole, &notes), std::path::Path::new(""), &Given::default());
    notes.asked()
}

#[test]
fn defaults_may_have_every_word_of_a_route_but_its_own() {
    let words = words();
    let of = |table: &str| -> BTreeSet<_> {
        words.iter().filter(|(of, _)| of == table).map(|(_, word)| *word).collect()
    };
    let own = BTreeSet::from(["path", "backends"]);
    assert_eq!(of("route"), &of("defaults") | &own);
}

#[test]
fn everything_is_there_in_the_text_of_the_test() {
    for (table, word) in words() {
        let is_file = matches!(word, "secret_file" | "other_secret_file");
        let inherited = table == "defaults";
        assert!(is_file || inherited || EVERYTHING.contains(word), "[{table}] {word}");
    }
}

/// Wrong texts, each with its whole error, in `wrong.txt`.
#[test]
fn what_is_wrong_is_said_where_it_stands() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/wrong.txt");
    let committed = fs::read_to_string(path).unwrap();
    let cases: Vec<_> = committed.trim_end().split("\n---\n").collect();
    let shown: Vec<_> = cases
        .iter()
        .map(|case| {
            let (text, _) = case.split_once("\n=>\n").expect(case);
            let error = Config::parse(text).expect_err(text);
            format!("{text}\n=>\n{error}")
        })
        .collect();
    if std::env::var_os("WRITE_WRONG").is_some() {
        fs::write(path, shown.join("\n---\n") + "\n").unwrap();
    }
    for (shown, committed) in shown.iter().zip(cases) {
        assert_eq!(shown, committed, "if it is to be so, run this test with WRITE_WRONG=1");
    }
}

#[test]
fn secrets_are_in_no_error() {
    const ROUTE: &str = "[[route]]\npath = \"/a\"\nbackends = \"ws://127.0.0.1:1\"\n";
    for text in [
        // Too short, not a text, not closed, beside something wrong.
        "[cluster]\naddress = \"127.0.0.1:1\"\nsecret = \"S3CRET\"\n",
        "[cluster]\naddress = \"127.0.0.1:1\"\nsecret = [\"S3CRET\"]\n",
        "[cluster]\naddress = \"127.0.0.1:1\"\nsecret = \"S3CRET\n",
        "[cluster]\naddress = \"127.0.0.1:1\"\nsecret = '''\nS3CRET\n",
        "cluster = { address = \"x\", secret = \"S3CRET\" }\n",
        "[[route]]\npath = \"/a\"\nbackends = \"ws://ada:S3CRET@a\"\n",
        "[[route]]\npath = \"/a\"\nbackends = { url = \"ws://ada:S3CRET@a\", dain = true }\n",
        "[[route]]\npath = \"/a\"\nbackends = [\n\"ws://ada:S3=CRET@a\",\n]\n",
        // The query of a backend that is wrong, and of one that is right beside something wrong.
        "[[route]]\npath = \"/a\"\nbackends = \"http://a/?k=S3CRET\"\n",
        "[[route]]\npath = \"/a\"\nbackends = \"a?S3CRET\"\n",
        "[[route]]\npath = \"/a\"\nbackends = [\n\"ws://a/?k=S3CRET\", \"ws://a:0\",\n]\n",
        "[[route]]\npath = \"/a\"\nbackends = [\"ws://a/?S3CRET\", \"ws://a/?S3CRET\"]\n",
        &format!("{ROUTE}client_url = \"ftp://a/?S3CRET\"\n"),
        "[cluster]\naddress = \"127.0.0.1:1\"\npublic_url = \"https://ada:S3CRET@a/?k=S3CRET\"\n",
        &format!("{ROUTE}[route.set_headers]\nX-Own = \"S3CRET\\n\"\n"),
        &format!("{ROUTE}[route.set_headers]\nUpgrade = \"S3CRET\"\n"),
        &format!("{ROUTE}[route.set_headers]\nAuthorization = \"Bearer S3CRET\n"),
        &format!("{ROUTE}set_headers = {{ X-Own = \"S3CRET\", Upgrade = \"a\" }}\n"),
    ] {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(!error.contains("S3") && !error.contains("CRET"), "{text}\n{error}");
    }
}

#[test]
fn many_problems_are_counted() {
    let error = Config::parse(&(0..30).map(|n| format!("x{n} = 1\n")).collect::<String>()).unwrap_err();
    let error = error.to_string();
    assert_eq!(error.matches("is not known").count(), 20, "{error}");
    assert!(error.ends_with("and 10 more"), "{error}");
}

#[test]
fn a_file_names_others_beside_itself() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let text = "[[route]]\npath = \"/a\"\nbackends = \"ws://127.0.0.1:1\"\nclient_script = \"a/b.js\"\n\
                [cluster]\naddress = \"127.0.0.1:1\"\nsecret_file = \"secret\"\n";
    fs::write(at("gateway.toml"), text).unwrap();
    let config = Config::read(at("gateway.toml")).unwrap();
    assert_eq!(config.routes[0].endpoint.client_script, Some(at("a/b.js")));
    assert_eq!(config.cluster.unwrap().secret, Secret("0123456789abcdef0123456789abcdef".to_owned()));

    fs::write(at("secret"), "\n").unwrap();
    let error = Config::read(at("gateway.toml")).unwrap_err().to_string();
    assert!(error.contains("gateway.toml:7:15: ") && error.contains("is empty"), "{error}");
    fs::remove_file(at("secret")).unwrap();
    let error = Config::read(at("gateway.toml")).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    let error = Config::read(at("none.toml")).unwrap_err().to_string();
    assert!(error.contains("none.toml: cannot be read"), "{error}");
    fs::write(at("gateway.toml"), b"\xff").unwrap();
    assert!(Config::read(at("gateway.toml")).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn what_is_given_takes_precedence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    fs::write(&file, EVERYTHING).unwrap();
    let backend = |url: &str| super::backend::Backend { url: url.parse().unwrap(), drain: false };
    let given = Given {
        listen: vec!["127.0.0.1:9".parse().unwrap()],
        http2: Some(true),
        grace: Some(Duration::from_secs(1)),
        log_format: Some(LogFormat::Text),
        cluster_secret: Some(Secret("a".repeat(32))),
        routes: vec![
            ("/chat".to_owned(), vec![backend("ws://a")]),
            ("/new".to_owned(), vec![backend("ws://b")]),
        ],
        max_sessions: Some(Some(3)),
        ..Given::default()
    };
    let config = read(Some(&file), &given).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.listen, given.listen);
    assert!(config.http2 && config.grace == Duration::from_secs(1));
    assert_eq!((config.log.format, &*config.log.filter), (LogFormat::Text, "warn,sockjs_gateway=debug"));
    assert_eq!(config.cluster.unwrap().secret, Secret("a".repeat(32)));
    let paths: Vec<_> = config.routes.iter().map(|route| &*route.path).collect();
    assert_eq!(paths, ["/chat", "/news", "/new"]);
    let [chat, _, new] = &config.routes[..] else { panic!() };
    assert_eq!(chat.upstream.backends, [backend("ws://a")]);
    assert_eq!(chat.endpoint.pong_timeout, Some(Duration::from_secs(8)));
    assert_eq!((&new.endpoint.origins, new.endpoint.max_sessions), (&Origins::Any, Some(3)));

    // Nothing else is needed.
    let alone = Given { routes: given.routes, ..Given::default() };
    assert_eq!(read(None, &alone).unwrap().routes.len(), 2);
    let routes = |paths: [&str; 2]| Given {
        routes: paths.map(|path| (path.to_owned(), vec![backend("ws://a")])).to_vec(),
        ..Given::default()
    };
    for (given, word) in [
        (Given::default(), "there is no route"),
        (routes(["/a", "/a"]), "there is a route `/a` already"),
        (routes(["/a", "/a/b"]), "overlaps"),
        (
            Given { cluster_address: Some("127.0.0.1:1".parse().unwrap()), ..alone.clone() },
            "`secret_file` is missing",
        ),
        (Given { cluster_secret: Some(Secret("a".repeat(32))), ..alone.clone() }, "no address"),
        (Given { admin: Some("127.0.0.1:8080".parse().unwrap()), ..alone.clone() }, "of another listener"),
        (Given { listen: vec!["127.0.0.1:1".parse().unwrap(); 2], ..alone }, "twice"),
    ] {
        let error = read(None, &given).unwrap_err().to_string();
        assert!(error.starts_with("configuration: ") && error.contains(word), "{word}: {error}");
    }
}

proptest! {
    /// Any text: no panic, and an error whose places are in it.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*|[\\[\\]a-z=\"'\\n\\r\\t\\\\ {}.,0-9#\u{e9}-]{0,200}") {
        let _ = Config::parse(&text).map_err(|error| error.to_string());
    }

    /// A right text with a part that is another.
    #[test]
    fn any_change_is_read_or_refused(
        at in 0..EVERYTHING.len(), length in 0..40usize, by in "[\\PC\\n]{0,10}"
    ) {
        let end = (at + length).min(EVERYTHING.len());
        let text = format!("{}{by}{}", &EVERYTHING[..at], &EVERYTHING[end..]);
        let _ = Config::parse(&text).map_err(|error| error.to_string());
    }
}
