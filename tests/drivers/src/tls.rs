//! Connections by TLS.

use std::time::{Duration, Instant};

use sockjs_bus::{ConnectError, Retention, Status};

use crate::{
    certificates::Certificates,
    engine::{Engine, Settings},
    server::Server,
    wait::{connected, limited, subject, subscribe, until},
};

fn start(engine: &'static dyn Engine, asks_clients: bool) -> (Server, Certificates) {
    let mut certificates = None;
    let server = Server::start_with(engine, true, |directory, port| {
        let made = certificates.insert(Certificates::new(directory));
        engine.secured(port, made, asks_clients)
    });
    (server, certificates.unwrap())
}

fn trusting(certificates: &Certificates) -> Settings {
    Settings { root: Some(certificates.root.clone()), ..Settings::default() }
}

/// Messages and entries go over it, also after an outage.
pub async fn a_server_that_is_trusted_is_used(engine: &'static dyn Engine) {
    let (server, certificates) = start(engine, false);
    let here = server.try_connect(&trusting(&certificates)).await.unwrap();
    let there = server.try_connect(&trusting(&certificates)).await.unwrap();
    let (_subscription, mut received) = subscribe(&*there, "secret").await;
    for text in ["before", "after"] {
        here.publish(&subject("secret"), text.into()).unwrap();
        assert_eq!(limited("a message", received.recv()).await.unwrap(), text);
        let appended =
            here.streams().unwrap().append(&subject("entries"), text.into(), Retention::entries(9));
        limited("an entry", appended).await.unwrap();
        let batch = there.streams().unwrap().last(&subject("entries"), 1).await.unwrap();
        assert_eq!(batch.entries[0].payload, text);
        if text == "before" {
            server.kill();
            connected(&*here, false).await;
            connected(&*there, false).await;
            server.run();
            connected(&*here, true).await;
            connected(&*there, true).await;
        }
    }
}

/// A certificate that nobody trusted has signed, and files that cannot be used.
pub async fn a_server_that_is_not_trusted_is_told(engine: &'static dyn Engine) {
    let (server, certificates) = start(engine, false);
    let start = Instant::now();
    for settings in [
        // The system's.
        Settings::default(),
        // Another certificate than that of the authority.
        Settings { root: Some(certificates.client.0.clone()), ..Settings::default() },
    ] {
        let error = server.try_connect(&settings).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
        assert_eq!(error.to_string(), "no TLS connection to the server of the bus");
    }
    assert!(start.elapsed() < Duration::from_secs(4), "it is told before the time of an attempt is over");
    for file in [certificates.root.with_file_name("missing.pem"), certificates.server.1.clone()] {
        let error =
            server.try_connect(&Settings { root: Some(file), ..Settings::default() }).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls(_) | ConnectError::Invalid(_)), "{error:?}");
    }
    // One that does not wait for its server says it, too.
    let early = Settings { is_early: true, ..Settings::default() };
    let bus = server.try_connect(&early).await.unwrap();
    until("it has tried", || matches!(bus.failure(), Some(ConnectError::Tls(_)))).await;
    assert!(matches!(*bus.status().borrow(), Status::Reconnecting { .. }));
}

/// Clients are known by their certificates.
pub async fn a_server_that_wants_a_certificate_gets_one(engine: &'static dyn Engine) {
    let (server, certificates) = start(engine, true);
    let known = Settings { client_certificate: Some(certificates.client.clone()), ..trusting(&certificates) };
    let bus = server.try_connect(&known).await.unwrap();
    let (_subscription, mut received) = subscribe(&*bus, "known").await;
    bus.publish(&subject("known"), "x".into()).unwrap();
    assert_eq!(limited("a message", received.recv()).await.unwrap(), "x");
    let error = server.try_connect(&trusting(&certificates)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
}

/// A client without TLS and a server with it, and the other way round.
pub async fn one_side_without_tls_is_told(engine: &'static dyn Engine) {
    let (secured, certificates) = start(engine, false);
    let plain = Server::start(engine);
    for (server, is_secured) in [(&secured, false), (&plain, true)] {
        let (_, place) =
            server.address().split_once("://").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let address = format!("{}://{place}", engine.scheme(is_secured));
        let settings = if is_secured { trusting(&certificates) } else { Settings::default() };
        let error = limited("an error", engine.connect(&address, &settings)).await.unwrap_err();
        // A server without TLS may wait for the rest of what looks like a command to it.
        assert!(is_secured || !matches!(error, ConnectError::TimedOut), "it is told at once: {error:?}");
    }
}
