//! The feature `metrics`: the example with its Prometheus endpoint, and the dashboard that goes with it.

#[path = "../../../examples/metrics/scrape.rs"]
mod scrape;

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum_sockjs::{Options, SockJs};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::support::{
    PATIENCE,
    apps::{Endpoint, echo, open_to_all},
    client::{Client, Frame, Kind, WAYS, http_ways},
    server::Server,
};

/// A scrape: each series with its value.
fn series(scrape: &str) -> BTreeMap<String, f64> {
    let values = scrape.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    values
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value stands behind its series");
            (series.to_owned(), value.parse().expect("a value is a number"))
        })
        .collect()
}

/// The names in a text that could be those of metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("sockjs_")).collect()
}

#[tokio::test]
async fn a_scrape_tells_the_traffic_and_has_all_that_the_dashboard_shows() {
    let prometheus = PrometheusBuilder::new().install_recorder().expect("only this test installs one");
    let sockjs = SockJs::new(echo).options(open_to_all(Options::new()));
    let handle = sockjs.handle();
    let app = Router::new().route("/metrics", scrape::route(prometheus, handle.clone()));
    let server = Server::start(app.nest_service("/app", sockjs)).await;
    let endpoint = Endpoint { server, handle };
    let server = &endpoint.server;
    let mut clients = Vec::new();
    for way in WAYS {
        let mut client = Client::open(&endpoint, way).await;
        client.send(&["12345", "é"]).await;
        assert_eq!(client.messages(2).await, ["12345", "é"]);
        clients.push(client);
    }
    assert_eq!(server.get("/app/nowhere/at/all").await.status, 404);

    let scrape = server.get("/metrics").await.text().to_owned();
    let series = series(&scrape);
    let value = |name: &str, labels: &str| {
        let series_name = format!("{name}{{endpoint=\"echo\"{labels}}}");
        *series.get(&series_name).unwrap_or_else(|| panic!("no {series_name} in {scrape}"))
    };
    for way in WAYS {
        let of = |name| value(name, &format!(",transport=\"{}\"", way.transport));
        assert_eq!(of("sockjs_sessions_opened_total"), 1.0, "{}", way.transport);
        assert_eq!(of("sockjs_messages_received_total"), 2.0, "{}", way.transport);
        assert_eq!(of("sockjs_received_bytes_total"), 7.0, "{}", way.transport);
        assert_eq!(of("sockjs_messages_sent_total"), 2.0, "{}", way.transport);
        assert_eq!(of("sockjs_sent_bytes_total"), 7.0, "{}", way.transport);
        assert_eq!(of("sockjs_messages_dropped_total"), 0.0, "{}", way.transport);
        let (attached, detached) = if way.kind == Kind::Poll { (0.0, 1.0) } else { (1.0, 0.0) };
        for (state, sessions) in [("attached", attached), ("detached", detached), ("closed", 0.0)] {
            let labels = format!(",transport=\"{}\",state=\"{state}\"", way.transport);
            assert_eq!(value("sockjs_sessions", &labels), sessions, "{} {state}", way.transport);
        }
    }
    assert_eq!(value("sockjs_requests_rejected_total", ",cause=\"not-found\""), 1.0);
    assert_eq!(value("sockjs_sessions_closed_total", ",reason=\"client\""), 0.0);
    assert_eq!(value("sockjs_handlers", ""), WAYS.len() as f64);
    let fallbacks = if cfg!(feature = "websocket") { http_ways().count() } else { 0 };
    assert_eq!(value("sockjs_fallbacks_total", ""), fallbacks as f64);
    assert!(value("sockjs_receive_queue_peak_bytes", "") > 0.0);
    assert!(value("sockjs_send_queue_peak_bytes", "") > 0.0);

    // Every metric of the dashboard is in the scrape, and each that is there has been described.
    let dashboard = include_str!("../../../examples/metrics/dashboard.json");
    serde_json::from_str::<serde_json::Value>(dashboard).expect("the dashboard is JSON");
    let scraped: BTreeSet<&str> =
        series.keys().map(|series| series.split('{').next().expect("a name comes first")).collect();
    let missing: Vec<_> = names(dashboard).difference(&scraped).copied().collect();
    assert!(missing.is_empty(), "the dashboard shows what there is not: {missing:?}");
    let unseen: Vec<_> = scraped.difference(&names(dashboard)).copied().collect();
    assert!(unseen.is_empty(), "the dashboard does not show {unseen:?}");
    for name in &scraped {
        assert!(scrape.contains(&format!("# HELP {name} ")), "{name} is not described");
    }

    // Counters go on, and so does what is shown of sessions that have gone.
    let report = tokio::join!(endpoint.handle.shutdown(4001, "restarting", PATIENCE), async {
        for client in &mut clients {
            while !matches!(client.frame().await, Frame::Close(..) | Frame::Goodbye(..)) {}
        }
        // Reading on, it answers the close.
        #[cfg(feature = "websocket")]
        for client in clients.iter_mut().filter(|client| client.way.kind == Kind::Socket) {
            while client.frame().await != Frame::Gone {}
        }
    });
    assert_eq!(report.0.closed, WAYS.len());
    let later = server.get("/metrics").await.text().to_owned();
    let later = self::series(&later);
    for (name, before) in &series {
        // What was told is remembered for a while.
        if name.contains("state=\"closed\"") {
            continue;
        }
        let falls = ["sockjs_sessions{", "sockjs_handlers{"].iter().any(|gauge| name.starts_with(gauge));
        assert!(if falls { later[name] <= *before } else { later[name] >= *before }, "{name}");
    }
    let shut_down = "sockjs_sessions_closed_total{endpoint=\"echo\",reason=\"shutdown\"}";
    assert_eq!(later[shut_down], WAYS.len() as f64);
    assert_eq!(later["sockjs_handlers{endpoint=\"echo\"}"], 0.0);
}
