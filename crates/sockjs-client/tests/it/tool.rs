//! The example `connect`, as a tool.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
};

use axum_sockjs::{Options, Session};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::support::{Server, echo, soon};

/// Where cargo puts examples: beside the folder of this test.
fn tool() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/connect")
}

async fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(tool())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("cargo build --package sockjs-client --example connect");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    let Output { status, stdout, stderr } =
        soon("the end of the tool", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test]
#[ignore = "needs the example, which `cargo test --test it` does not build"]
async fn lines_are_messages_and_the_status_is_how_the_session_ended() {
    let server = Server::new(echo, Options::new()).await;
    let url = format!("http://{}/app", server.addr);
    for transport in ["websocket", "websocket-raw", "xhr-streaming", "eventsource", "xhr-polling"] {
        let (status, out, err) = run(&[&url, "--transport", transport], "one\ntwo é\r\nthree").await;
        assert_eq!((status, out.as_str()), (0, "one\ntwo é\nthree\n"), "{transport}: {err}");
        assert_eq!(err, format!("open: {transport}\nclosed: 1000 \"\"\n"));
    }
    let (status, out, err) = run(&[&url, "--frames"], "a\"\n").await;
    assert_eq!((status, out.as_str()), (0, "a\"\n"), "{err}");
    assert!(
        err.contains("< o\n") && err.contains("> [\"a\\\"\"]\n") && err.contains("< a[\"a\\\"\"]\n"),
        "{err}"
    );

    async fn go_away(session: Session) {
        session.send("last").await.ok();
        session.close(3000, "Go away!");
    }
    let rude = Server::new(go_away, Options::new()).await;
    let (status, out, err) = run(&[&format!("http://{}/app", rude.addr)], "").await;
    assert_eq!((status, out.as_str()), (3, "last\n"), "{err}");
    assert!(err.ends_with("closed: 3000 \"Go away!\"\n"), "{err}");

    let (status, _, err) = run(&[&format!("http://{}/nothing", server.addr)], "").await;
    assert_eq!((status, err.as_str()), (1, "not connected: /info: the server answered 404 Not Found\n"));
    let (status, _, err) = run(&[&url, "--header", "no colon"], "").await;
    assert_eq!((status, err.as_str()), (1, "not connected: \"no colon\" is not \"Name: value\"\n"));
    let (status, _, err) = run(&[&url, "--transport", "telepathy"], "").await;
    assert!(status == 2 && err.contains("telepathy"), "{err}");
}
