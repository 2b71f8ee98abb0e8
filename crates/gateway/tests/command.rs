//! The program by its arguments, from outside.

use std::{
    fs,
    process::{Command, Output},
};

fn gateway(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockjs-gateway"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (status.code().expect("it exits by itself"), text(stdout), text(stderr))
}

const ROUTE: &str = "/chat=ws://127.0.0.1:9000/ws,wss://b.example/ws?token=S3CRET";

#[test]
fn a_check_says_what_would_be_served() {
    let (status, out, error) = gateway(&["--check", "--route", ROUTE, "--admin", "127.0.0.1:9090"], &[]);
    assert_eq!((status, &*error), (0, ""));
    assert_eq!(
        out,
        "listen: 127.0.0.1:8080, HTTP/2\n\
         admin: 127.0.0.1:9090\n\
         log: text, info\n\
         grace: 8s\n\
         route /chat: from the same origin; sessions: 65536\n  \
         ws://127.0.0.1:9000/ws, in turn, checked by TCP\n  \
         wss://b.example/ws, in turn, checked by TCP\n"
    );
}

#[test]
fn arguments_go_before_variables_and_those_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    fs::write(&file, "listen = \"127.0.0.1:1\"\ngrace = \"1s\"\n[log]\nfilter = \"warn\"\n").unwrap();
    let variables = [
        ("SOCKJS_GATEWAY_CONFIG", file.to_str().unwrap()),
        ("SOCKJS_GATEWAY_LISTEN", "127.0.0.1:2,127.0.0.1:3"),
        ("SOCKJS_GATEWAY_GRACE", "2s"),
        ("SOCKJS_GATEWAY_ROUTE", "/a=ws://a /b=ws://b"),
        ("SOCKJS_GATEWAY_CLUSTER_ADDRESS", "127.0.0.1:5"),
        ("SOCKJS_GATEWAY_CLUSTER_SECRET", "0123456789abcdef0123456789abcdef"),
    ];
    let (status, out, error) = gateway(&["--check", "--grace", "3s", "--max-sessions", "off"], &variables);
    assert_eq!((status, &*error), (0, ""));
    for line in [
        "listen: 127.0.0.1:2, 127.0.0.1:3, HTTP/2\n",
        "cluster: 127.0.0.1:5\n",
        "log: text, warn\n",
        "grace: 3s\n",
        "route /a: from the same origin; sessions: no limit\n  ws://a/, checked by TCP\n",
        "route /b: from the same origin; sessions: no limit\n",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

#[test]
fn variables_that_are_empty_are_not_set_and_those_not_known_are_errors() {
    let empty = [
        "LISTEN",
        "ADMIN",
        "GRACE",
        "HTTP2",
        "MAX_SESSIONS",
        "TLS_KEY",
        "LOG_FORMAT",
        "CLUSTER_SECRET",
        "LISEN",
    ];
    let empty: Vec<_> = empty.iter().map(|name| format!("SOCKJS_GATEWAY_{name}")).collect();
    let mut variables: Vec<_> = empty.iter().map(|name| (&**name, "")).collect();
    let (status, out, error) = gateway(&["--check", "--route", ROUTE], &variables);
    assert_eq!((status, &*error), (0, ""));
    assert!(out.contains("listen: 127.0.0.1:8080, HTTP/2\n") && out.contains("grace: 8s\n"), "{out}");

    variables.extend([("SOCKJS_GATEWAY_MAX_SESSION", "1"), ("SOCKJS_GATEWAY_PORT", "tcp://10.0.0.1:8080")]);
    let (status, out, error) = gateway(&["--check", "--route", ROUTE], &variables);
    let said = "the variable `SOCKJS_GATEWAY_MAX_SESSION` is not known: did you mean `SOCKJS_GATEWAY_MAX_SESSIONS`?\n";
    assert_eq!((status, &*out, &*error), (2, "", said));
}

#[test]
fn what_is_wrong_is_status_2_and_said() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("wrong.toml"), "lisen = 1\n").unwrap();
    fs::write(at("empty.js"), "").unwrap();
    fs::write(at("no.pem"), "no certificate").unwrap();
    fs::write(
        at("files.toml"),
        "[tls]\ncertificate = \"no.pem\"\nkey = \"nowhere.pem\"\n\
         [[route]]\npath = \"/a\"\nbackends = \"wss://a\"\nclient_script = \"empty.js\"\n\
         [route.backend_tls]\nca = \"no.pem\"\ncertificate = \"no.pem\"\nkey = \"no.pem\"\n",
    )
    .unwrap();
    fs::write(at("short"), "short\n").unwrap();
    let secret = [("SOCKJS_GATEWAY_CLUSTER_SECRET", "S3CRET")];
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 12] = [
        (&[], &[], &["there is no route", "--route /chat=ws://"]),
        (&["--route", "/a"], &[], &["--route: ", "such as /chat=ws://127.0.0.1:9000/ws"]),
        (&["--route", "/a=http://a"], &[], &["the scheme of a WebSocket is `ws`"]),
        (&["--lisen", "127.0.0.1:1"], &[], &["--listen"]),
        (&["--route", ROUTE, "--max-sessions", "-1"], &[], &["the number is below zero; \"off\""]),
        (&["--listen", ":80", "--route", ROUTE], &[], &["`0.0.0.0:80` for all networks"]),
        (&["--route", ROUTE], &[("SOCKJS_GATEWAY_GRACE", "8")], &["such as `25s`"]),
        (
            &["--config", &at("wrong.toml")],
            &[],
            &["wrong.toml:1:1: `lisen` is not known: did you mean `listen`?"],
        ),
        (&["--config", &at("nowhere.toml")], &[], &["nowhere.toml: cannot be read"]),
        (
            &["--config", &at("files.toml")],
            &[],
            &["tls: ", "no.pem", "route /a: ", "route /a: the client script ", "it is empty"],
        ),
        (
            &["--route", ROUTE, "--cluster-address", "127.0.0.1:1", "--cluster-secret-file", &at("short")],
            &[],
            &["at least 32 bytes"],
        ),
        (&["--route", ROUTE, "--cluster-address", "127.0.0.1:1"], &secret, &["at least 32 bytes"]),
    ];
    for (arguments, variables, words) in cases {
        for check in [&["--check"][..], &[]] {
            let (status, out, error) = gateway(&[arguments, check].concat(), variables);
            assert_eq!((status, &*out), (2, ""), "{arguments:?}: {error}");
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
            assert!(!error.contains("S3CRET"), "{error}");
        }
    }
}

#[test]
fn secrets_of_urls_are_in_no_error() {
    for route in [
        "a=ws://user:S3CRET@x/?k=S3CRET",
        "/a=ws://user:S3CRET@x/",
        "/a=ws://user:1,S3CRET@x/",
        "/a=http://x/?k=S3CRET",
        "/a=ws://x/?k=1,S3CRET",
        "/a=ws://x/?S3CRET,ws://x/?S3CRET",
        "/a=ws://user:S3CRET",
        "ws://user:S3CRET@x/?k=S3CRET",
    ] {
        for (arguments, variables) in [
            (&["--route", route][..], &[][..]),
            (&[], &[("SOCKJS_GATEWAY_ROUTE", route)]),
            (&["--route", "/b=ws://b", route], &[]),
            (&["--route", "/b=ws://b", "--origins", route], &[]),
            (&["--route", "/b=ws://b", "--listen", route], &[]),
            (&["--route", "/b=ws://b", "--cluster-public-url", route], &[]),
        ] {
            let (status, out, error) = gateway(arguments, variables);
            assert_eq!((status, &*out), (2, ""), "{arguments:?}: {error}");
            let is_route = arguments.is_empty() || arguments[1] == route;
            // Without a name before it, or a query, a text may be anything.
            let may_show = !is_route && !route.contains(['@', '?']);
            assert!(may_show || !error.contains("S3CRET"), "{arguments:?}: {error}");
        }
    }
    let (_, _, error) = gateway(&["--route", "/a=ws://x,ws://user:S3CRET@x"], &[]);
    assert_eq!(
        error,
        "--route: backend 2 of `/a` is no URL of a backend: a name and password go into `set_headers`, as \
         `Authorization = \"Basic …\"`\n"
    );
}

#[test]
fn a_healthcheck_needs_somebody_who_answers() {
    let (status, out, error) = gateway(&["--healthcheck", "--route", ROUTE], &[]);
    assert_eq!((status, &*out), (1, ""));
    assert!(error.contains("no `admin` address"), "{error}");
}

#[test]
fn the_program_names_itself() {
    let (status, out, _) = gateway(&["--version"], &[]);
    assert_eq!((status, &*out), (0, concat!("sockjs-gateway ", env!("CARGO_PKG_VERSION"), "\n")));
    let (status, help, _) = gateway(&["--help"], &[]);
    assert_eq!(status, 0);
    for part in ["--route <PATH=URL[,URL...]>", "SOCKJS_GATEWAY_LISTEN", "\nSignals:\n", "\nExit status:\n"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
