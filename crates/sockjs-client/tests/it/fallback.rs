//! What `connect` ends at behind proxies that break transports: the same as the browser's client.

use std::time::{Duration, Instant};

use axum_sockjs::Options;
use sockjs_client::{Client, Transport};

use crate::support::{
    Server, echo,
    proxy::{Fault, Proxy, Request},
    soon,
};

/// A proxy, and what the clients end at behind it: a transport, or the code of the close event.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    rule: fn(&Request) -> Fault,
    pub(crate) expected: Result<Transport, u16>,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "passes everything", rule: |_| Fault::Pass, expected: Ok(Transport::WebSocket) },
    Case {
        name: "delays each request by 150 ms",
        rule: |_| Fault::Delay(Duration::from_millis(150)),
        expected: Ok(Transport::WebSocket),
    },
    Case {
        name: "answers an upgrade with 400",
        rule: |request| on(request.is_upgrade, Fault::Answer(400)),
        expected: Ok(Transport::XhrStreaming),
    },
    Case {
        name: "drops the header `Upgrade`",
        rule: |request| on(request.is_upgrade, Fault::WithoutUpgrade),
        expected: Ok(Transport::XhrStreaming),
    },
    Case {
        name: "closes the connection of an upgrade",
        rule: |request| on(request.is_upgrade, Fault::Close),
        expected: Ok(Transport::XhrStreaming),
    },
    Case {
        name: "lets an upgrade through, and cuts it",
        rule: |request| on(request.is_upgrade, Fault::CutAfter(0)),
        expected: Ok(Transport::XhrStreaming),
    },
    Case {
        name: "never answers an upgrade",
        rule: |request| on(request.is_upgrade, Fault::Swallow),
        expected: Ok(Transport::XhrStreaming),
    },
    Case {
        name: "refuses upgrades and `xhr_streaming`",
        rule: |request| {
            on(request.is_upgrade || request.target.contains("/xhr_streaming"), Fault::Answer(403))
        },
        expected: Ok(Transport::EventSource),
    },
    Case {
        name: "refuses upgrades, and holds answers back until they end",
        rule: |request| if request.is_upgrade { Fault::Answer(502) } else { Fault::Buffer },
        expected: Ok(Transport::XhrPolling),
    },
    Case {
        name: "answers everything but `/info` with 503",
        rule: |request| on(!request.target.contains("/info"), Fault::Answer(503)),
        expected: Err(2000),
    },
    Case { name: "answers everything with 404", rule: |_| Fault::Answer(404), expected: Err(404) },
    Case { name: "closes every connection", rule: |_| Fault::Close, expected: Err(1002) },
];

fn on(condition: bool, fault: Fault) -> Fault {
    if condition { fault } else { Fault::Pass }
}

/// A server, and a proxy in front of it.
pub(crate) async fn behind(case: &Case) -> (Server, Proxy, String) {
    let server = Server::new(echo, Options::new()).await;
    let proxy = Proxy::new(server.addr, case.rule).await;
    let url = format!("http://{}/app", proxy.addr);
    (server, proxy, url)
}

/// What this client ends at, and the time it took.
pub(crate) async fn outcome(url: &str) -> (Result<Transport, u16>, Duration) {
    let began = Instant::now();
    let connected = soon("a session or an error", Client::new(url).unwrap().connect()).await;
    let took = began.elapsed();
    match connected {
        Ok(mut session) => {
            session.send("a").await.unwrap();
            assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");
            (Ok(session.transport()), took)
        }
        Err(error) => (Err(error.close_frame().code()), took),
    }
}

#[tokio::test]
async fn a_transport_that_a_proxy_breaks_is_followed_by_the_next() {
    for case in CASES {
        let (_server, proxy, url) = behind(case).await;
        let (ended, _) = outcome(&url).await;
        assert_eq!(ended, case.expected, "a proxy that {}: {:?}", case.name, proxy.requests());
    }
}

#[tokio::test]
async fn each_attempt_is_a_session_of_its_own_with_the_query() {
    let case = &CASES[8];
    let (_server, proxy, url) = behind(case).await;
    let (ended, _) = outcome(&format!("{url}/?token=1")).await;
    assert_eq!(ended, Ok(Transport::XhrPolling));
    let requests = proxy.requests();
    assert!(requests.iter().all(|request| request.target.ends_with("?token=1")), "{requests:?}");
    let sessions: std::collections::BTreeSet<_> =
        requests.iter().filter_map(|request| request.target.split('/').nth(3)).collect();
    assert_eq!(sessions.len(), 4, "{requests:?}");
}
