use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    admin::testing::{DOWN, Gateway, WELL},
    pool::testing::{Scripted, members, upstream},
};

/// A scrape: each series with its value.
fn series(scrape: &str) -> BTreeMap<&str, f64> {
    let values = scrape.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    values
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value stands behind its series");
            (series, value.parse().expect("a value is a number"))
        })
        .collect()
}

/// The names in a text that could be those of metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("sockjs_") || word.starts_with("process_")).collect()
}

/// The name under which a metric has values.
fn valued(name: &str, kind: Kind) -> String {
    if kind == Histogram { format!("{name}_bucket") } else { name.to_owned() }
}

#[test]
fn the_documented_metrics_are_the_real_ones() {
    let documented: Vec<&str> = include_str!("../../../docs/operating.md")
        .lines()
        .filter(|line| line.starts_with("| `sockjs_") || line.starts_with("| `process_"))
        .collect();
    let real: Vec<String> = METRICS
        .iter()
        .map(|(name, kind, _, labels, help)| {
            let kind = match kind {
                Counter => "counter",
                Gauge => "gauge",
                Histogram => "histogram",
            };
            format!("| `{name}` | {kind} | {labels} | {help} |").replace("|  |", "| |")
        })
        .collect();
    assert_eq!(documented, real);
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_scrape_has_all_that_the_dashboard_shows_and_the_dashboard_shows_all() {
    let scrape = scrape(&Gateway::new().await.shown());
    let series = series(&scrape);
    let scraped: BTreeSet<&str> =
        series.keys().map(|series| series.split('{').next().expect("a name comes first")).collect();
    let dashboard = include_str!("../../../docs/dashboard.json");
    serde_json::from_str::<serde_json::Value>(dashboard).expect("the dashboard is JSON");
    let shown = names(dashboard);
    let missing: Vec<_> = shown.difference(&scraped).collect();
    assert!(missing.is_empty(), "the dashboard shows what there is not: {missing:?}");
    for &(name, kind, ..) in METRICS {
        let valued = valued(name, kind);
        assert!(shown.contains(valued.as_str()), "the dashboard does not show {valued}");
        assert!(scraped.contains(valued.as_str()), "{valued} is not in {scrape}");
        assert_eq!(scrape.matches(&format!("# HELP {name} ")).count(), 1, "{name}");
        assert_eq!(scrape.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
    }
    let others = ["sockjs_sessions", "sockjs_requests_rejected_total", "sockjs_cluster_nodes"];
    assert!(others.iter().all(|name| scraped.contains(name)), "{scrape}");
}

#[tokio::test(start_paused = true)]
async fn a_scrape_tells_the_numbers() {
    let scrape = scrape(&Gateway::new().await.shown());
    let series = series(&scrape);
    let of = |name: &str, labels: &str| {
        *series
            .get(&*format!("{name}{{{labels}}}"))
            .unwrap_or_else(|| panic!("no {name}{{{labels}}} in {scrape}"))
    };
    let down = format!("route=\"/chat\",backend=\"{DOWN}\"");
    let well = format!("route=\"/chat\",backend=\"{WELL}\"");
    assert_eq!((of(UP, &down), of(UP, &well)), (0.0, 1.0));
    assert_eq!((of(SESSIONS, &down), of(SESSIONS, &well)), (0.0, 2.0));
    assert_eq!((of(DRAINING, &well), of(DIALLING, &well), of(LOST, &well)), (0.0, 0.0, 0.0));
    assert_eq!(of(DIALS, &format!("{down},outcome=\"failed\"")), 3.0);
    assert_eq!(of(DIALS, &format!("{well},outcome=\"opened\"")), 3.0);
    assert_eq!(of(ENDED, "route=\"/chat\",by=\"gateway\",code=\"1xxx\""), 1.0);
    assert_eq!(of(MESSAGES, &format!("{well},direction=\"to-backend\"")), 0.0);
    assert_eq!(of(BYTES, &format!("{well},direction=\"from-backend\"")), 0.0);
    assert_eq!((of(RELOADS, "outcome=\"succeeded\""), of(RELOADS, "outcome=\"failed\"")), (2.0, 1.0));
    assert_eq!(of("sockjs_handlers", "endpoint=\"/chat\""), 0.0);
    assert_eq!(of("sockjs_cluster_nodes", "node=\"gateway\""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_has_gone_is_not_shown() {
    let gateway = Gateway::new().await;
    let upstream = upstream(&["ws://new/"]);
    gateway.chat.replace(members(&upstream, &[&Scripted::new()]));
    let scrape = scrape(&gateway.shown());
    assert!(!scrape.contains(DOWN), "{scrape}");
    let series = series(&scrape);
    let well = format!("{{route=\"/chat\",backend=\"{WELL}\"}}");
    assert_eq!(series.get(&*format!("{SESSIONS}{well}")), Some(&2.0), "its sessions go on");
    assert_eq!(series.get(&*format!("{UP}{well}")), None, "nobody checks it");
}

#[tokio::test(start_paused = true)]
async fn backends_of_one_name_are_one_series() {
    let gateway = Gateway::new().await;
    let again = upstream(&[&format!("{WELL}?v=2")]);
    gateway.chat.replace(members(&again, &[&Scripted::new()]));
    let ((), _lease) = gateway.chat.open(&()).await.expect("it is well");
    let scrape = scrape(&gateway.shown());
    let series = series(&scrape);
    let well = format!("route=\"/chat\",backend=\"{WELL}\"");
    let of = |name: &str| series.get(&*format!("{name}{{{well}}}")).copied();
    assert_eq!((of(SESSIONS), of(UP)), (Some(3.0), Some(1.0)));
    assert_eq!(of(&format!("{DIAL_SECONDS}_count")), Some(4.0));
    assert_eq!(series.get(&*format!("{DIALS}{{{well},outcome=\"opened\"}}")), Some(&4.0));
}

#[test]
fn a_histogram_is_as_prometheus_reads_it() {
    use std::time::Duration;

    use crate::pool::snapshot::{BackendSnapshot, Dials};

    let mut dials = Dials::default();
    for millis in [1, 3, 3, 7000] {
        dials.count(DialOutcome::Opened, Duration::from_millis(millis));
    }
    let backend = BackendSnapshot {
        name: "ws://a/".into(),
        up: true,
        since: Duration::ZERO,
        admission: Admission::Open,
        sessions: 0,
        dialling: 0,
        dials,
        lost: 0,
        last_error: None,
    };
    let pool = PoolSnapshot {
        route: "/a\"b".into(),
        ready: true,
        is_configured: true,
        backends: vec![(backend, Default::default())],
        ended: Vec::new(),
    };
    let mut text = String::new();
    write_dial_seconds(&mut text, "dial_seconds", "How long.", &[pool]);
    let labels = r#"route="/a\"b",backend="ws://a/""#;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["# HELP dial_seconds How long.", "# TYPE dial_seconds histogram"]);
    let bucket = |bound: &str, count: u64| format!("dial_seconds_bucket{{{labels},le=\"{bound}\"}} {count}");
    assert_eq!(lines[2], bucket("0.001", 1));
    assert_eq!(lines[3], bucket("0.0025", 1));
    assert_eq!(lines[4], bucket("0.005", 3));
    assert_eq!(lines[13..15], [bucket("5", 3), bucket("+Inf", 4)]);
    assert_eq!(lines[15], format!("dial_seconds_sum{{{labels}}} 7.007"));
    assert_eq!(lines[16], format!("dial_seconds_count{{{labels}}} 4"));
}
