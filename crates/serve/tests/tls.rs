//! TLS over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod support;

use std::{fs, sync::Arc, time::Duration};

use axum_sockjs_serve::{Tls, TlsError};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::{client_async, tungstenite::Message};

use support::{Files, LONG, Running, ended, generate, head, read_until};

#[tokio::test]
async fn requests_and_websockets_go_over_tls() {
    let files = Files::new("requests_and_websockets");
    let certificate = files.renew();
    let running = Running::with_tls(&Tls::from_pem(&files.certificate, &files.key).unwrap()).await;
    let mut page = running.tls(0, &certificate, &[]).await;
    let own = page.get_ref().0.local_addr().unwrap().to_string();
    page.write_all(head("GET", "/whoami", "").as_bytes()).await.unwrap();
    assert!(read_until(&mut page, &own).await.starts_with("HTTP/1.1 200"));

    let tls = running.tls(0, &certificate, &["http/1.1"]).await;
    let (mut socket, _) = client_async("wss://localhost/echo/websocket", tls).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    running.stop.send(()).unwrap();
    assert!(
        matches!(socket.next().await, Some(Ok(Message::Close(Some(frame)))) if frame.code == 1001.into())
    );
    // The client answers the close frame while it reads.
    while let Some(Ok(_)) = socket.next().await {}
    let report = tokio::time::timeout(LONG, running.server).await.unwrap().unwrap();
    assert_eq!((report.endpoints[0].closed, report.endpoints[0].lost, report.connections_cut_off), (1, 0, 0));
}

#[tokio::test]
async fn a_page_without_tls_is_of_another_origin() {
    let files = Files::new("another_origin");
    let certificate = files.renew();
    let tls = Tls::from_pem(&files.certificate, &files.key).unwrap();
    let running =
        Running::start(|server| server, &[&|listener| listener.tls(&tls), &|listener| listener]).await;
    let origins = ["https://localhost", "http://localhost", "https://other.test"];
    for (origin, status) in origins.into_iter().zip(["200", "403", "403"]) {
        let mut page = running.tls(0, &certificate, &[]).await;
        let head = head("GET", "/echo/info", &format!("Origin: {origin}\r\n"));
        page.write_all(head.as_bytes()).await.unwrap();
        assert!(read_until(&mut page, "\r\n").await.starts_with(&format!("HTTP/1.1 {status}")), "{origin}");
    }
    // Without TLS here, there may be some in front.
    for (origin, status) in origins.into_iter().zip(["200", "200", "403"]) {
        let mut page = running.tcp(1).await;
        let head = head("GET", "/echo/info", &format!("Origin: {origin}\r\n"));
        page.write_all(head.as_bytes()).await.unwrap();
        assert!(read_until(&mut page, "\r\n").await.starts_with(&format!("HTTP/1.1 {status}")), "{origin}");
        // Nor does an absolute URL say whether there is; its host takes precedence over `Host`.
        let head =
            head.replace(" /echo", " https://localhost/echo").replace("Host: localhost", "Host: other.test");
        let mut page = running.tcp(1).await;
        page.write_all(head.as_bytes()).await.unwrap();
        assert!(read_until(&mut page, "\r\n").await.starts_with(&format!("HTTP/1.1 {status}")), "{origin}");
    }
}

#[tokio::test]
async fn new_connections_get_a_certificate_that_was_read_anew() {
    let files = Files::new("read_anew");
    let first = files.renew();
    let tls = Tls::from_pem(&files.certificate, &files.key).unwrap();
    let running = Running::with_tls(&tls).await;
    let mut stream = running.tls(0, &first, &[]).await;
    stream.write_all(head("POST", "/echo/000/a/xhr_streaming", "").as_bytes()).await.unwrap();
    read_until(&mut stream, "o\n").await;

    let second = files.renew();
    running.tls(0, &first, &[]).await;
    tls.reload().unwrap();
    let mut page = running.tls(0, &second, &[]).await;
    assert!(running.try_tls(0, &first, &[]).await.is_err());

    // The old connection goes on.
    let send = "POST /echo/000/a/xhr_send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n[\"new\"]";
    page.write_all(send.as_bytes()).await.unwrap();
    read_until(&mut page, "204").await;
    read_until(&mut stream, "a[\"new\"]").await;

    // What cannot be used changes nothing.
    fs::write(&files.key, generate().1.serialize_pem()).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
    fs::remove_file(&files.certificate).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Unreadable { .. })));
    running.tls(0, &second, &[]).await;
}

#[tokio::test]
async fn a_certificate_is_read_from_other_files() {
    let (old, new) = (Files::new("other_files_old"), Files::new("other_files_new"));
    let first = old.renew();
    let tls = Tls::from_pem(&old.certificate, &old.key).unwrap();
    let running = Running::with_tls(&tls).await;
    fs::remove_file(&old.certificate).unwrap();
    // What cannot be read changes nothing, not the names either.
    assert!(matches!(tls.reload_from(&new.certificate, &new.key), Err(TlsError::Unreadable { .. })));
    assert!(
        matches!(tls.reload(), Err(TlsError::Unreadable { file, .. }) if file == old.certificate),
        "it reads the files of before"
    );
    running.tls(0, &first, &[]).await;

    let second = new.renew();
    tls.reload_from(&new.certificate, &new.key).unwrap();
    running.tls(0, &second, &[]).await;
    let third = new.renew();
    tls.reload().unwrap();
    running.tls(0, &third, &[]).await;
    assert!(format!("{tls:?}").contains("other_files_new"), "{tls:?}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_is_given_up_and_delays_nobody() {
    let files = Files::new("handshake");
    let certificate = files.renew();
    let tls = Tls::from_pem(&files.certificate, &files.key).unwrap();
    let quick = Running::start(
        |server| server.tls_handshake_timeout(Duration::from_millis(50)),
        &[&|listener| listener.tls(&tls)],
    )
    .await;
    let mut silent = quick.tcp(0).await;
    assert_eq!(tokio::time::timeout(LONG, silent.read(&mut [0; 1])).await.unwrap().unwrap(), 0);

    let patient =
        Running::start(|server| server.tls_handshake_timeout(LONG), &[&|listener| listener.tls(&tls)]).await;
    let mut silent = patient.tcp(0).await;
    // The beginning of a record of 512 bytes.
    silent.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    for _ in 0..3 {
        let mut page = patient.tls(0, &certificate, &[]).await;
        page.write_all(head("GET", "/whoami", "").as_bytes()).await.unwrap();
        read_until(&mut page, "200 OK").await;
    }
    // Nor does it hold up the stop, for which it is idle.
    assert_eq!(patient.stop().await.connections_cut_off, 0);
    ended(&mut silent).await;
}

#[tokio::test]
async fn what_is_no_tls_gets_no_answer() {
    let files = Files::new("no_tls");
    let certificate = files.renew();
    let running = Running::with_tls(&Tls::from_pem(&files.certificate, &files.key).unwrap()).await;
    let mut plain = running.tcp(0).await;
    plain.write_all(head("GET", "/whoami", "").as_bytes()).await.unwrap();
    let mut read = Vec::new();
    _ = tokio::time::timeout(LONG, plain.read_to_end(&mut read)).await.unwrap();
    assert!(!read.starts_with(b"HTTP"), "{read:?}");
    // HTTP/2 is off.
    assert!(running.try_tls(0, &certificate, &["h2"]).await.is_err());
    let both = running.tls(0, &certificate, &["h2", "http/1.1"]).await;
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_configuration_may_be_given() {
    let (certificate, key) = generate();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let tls = Tls::from_config(config);
    tls.reload().unwrap();
    let running = Running::with_tls(&tls).await;
    let mut page = running.tls(0, certificate.der(), &["http/1.1"]).await;
    page.write_all(head("GET", "/whoami", "").as_bytes()).await.unwrap();
    read_until(&mut page, "200 OK").await;
}

#[test]
fn each_wrong_file_is_named_with_what_is_wrong() {
    let files = Files::new("wrong_files");
    files.renew();
    let (certificate, key) =
        (fs::read_to_string(&files.certificate).unwrap(), fs::read_to_string(&files.key).unwrap());
    let (other_certificate, other_key) = generate();
    let not_base64 = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let no_certificate = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----\n";
    let endless = key.replace("-----END", "");
    let with_password = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let swapped = format!("{}{certificate}", other_certificate.pem());
    for (certificate, key, file, word) in [
        (None, Some(&*key), "certificate.pem", "cannot be read"),
        (Some(&*certificate), None, "key.pem", "cannot be read"),
        (Some(""), Some(&*key), "certificate.pem", "no certificate"),
        (Some(&*key), Some(&*key), "certificate.pem", "no certificate"),
        (Some(not_base64), Some(&*key), "certificate.pem", "damaged"),
        (Some(no_certificate), Some(&*key), "certificate.pem", "cannot be used"),
        (Some(&*certificate), Some(""), "key.pem", "no private key"),
        (Some(&*certificate), Some(&*certificate), "key.pem", "no private key"),
        (Some(&*certificate), Some(&*with_password), "key.pem", "without a password"),
        (Some(&*certificate), Some(&*endless), "key.pem", "damaged"),
        (Some(&*certificate), Some(no_key), "key.pem", "cannot be used"),
        (Some(&*certificate), Some(&*other_key.serialize_pem()), "key.pem", "is not that of"),
        // The chain comes before the server's own.
        (Some(&*swapped), Some(&*key), "certificate.pem", "is not that of"),
    ] {
        for (file, contents) in [(&files.certificate, certificate), (&files.key, key)] {
            match contents {
                Some(contents) => fs::write(file, contents).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
        }
        let error = Tls::from_pem(&files.certificate, &files.key).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(word), "{file}, {word}: {error}");
    }
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    let tls = Tls::from_pem(&files.certificate, &files.key).unwrap();
    assert!(format!("{tls:?}").contains("key.pem"));
}
