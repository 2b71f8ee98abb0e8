//! Passes the numbers of a node to the application's metrics recorder.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::handle::Cluster;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

/// Every metric: its name, kind and description. All count requests, links or nodes.
const METRICS: &[(&str, Kind, &str)] = &[
    (FORWARDED, Counter, "Requests forwarded to other nodes."),
    (OVER_LINKS, Counter, "Those of them that were answered over a link."),
    (ANSWERED, Counter, "Requests that other nodes have forwarded to this one."),
    (WAITING, Gauge, "Requests that wait for other nodes."),
    (WAITING_FOR_ONE, Gauge, "The most of them that wait for one node."),
    (LINKS, Gauge, "Links to other nodes."),
    (NODES, Gauge, "Other nodes that this one forwards to."),
    (NODES_SILENT, Gauge, "Those of them that do not answer."),
    (NODES_GIVEN_UP, Counter, "Times that a node was given up since it did not answer."),
];

const FORWARDED: &str = "sockjs_cluster_forwarded_total";
const OVER_LINKS: &str = "sockjs_cluster_forwarded_over_links_total";
const ANSWERED: &str = "sockjs_cluster_answered_total";
const WAITING: &str = "sockjs_cluster_waiting";
const WAITING_FOR_ONE: &str = "sockjs_cluster_waiting_for_one_node";
const LINKS: &str = "sockjs_cluster_links";
const NODES: &str = "sockjs_cluster_nodes";
const NODES_SILENT: &str = "sockjs_cluster_nodes_silent";
const NODES_GIVEN_UP: &str = "sockjs_cluster_nodes_given_up_total";

impl Cluster {
    /// Passes [`stats`](Self::stats) to the recorder of the [`metrics`](https://docs.rs/metrics) facade, under [these
    /// names](crate::guide::cluster#metrics). The label `node` distinguishes nodes of one process; any text will do if
    /// there is one.
    ///
    /// Nothing is recorded between calls: call it where
    /// [`SockJsHandle::record_metrics`](crate::SockJsHandle::record_metrics) is called. Without a recorder it does nothing.
    ///
    /// ```
    /// # fn scrape(
    /// #     handle: &axum_sockjs::SockJsHandle, cluster: &axum_sockjs::Cluster,
    /// #     prometheus: &metrics_exporter_prometheus::PrometheusHandle,
    /// # ) -> String {
    /// handle.record_metrics("chat");
    /// cluster.record_metrics("a");
    /// prometheus.render()
    /// # }
    /// ```
    pub fn record_metrics(&self, node: &str) {
        for &(name, kind, help) in METRICS {
            match kind {
                Counter => describe_counter!(name, Unit::Count, help),
                Gauge => describe_gauge!(name, Unit::Count, help),
            }
        }
        let stats = self.stats();
        let node = || node.to_owned();
        for (name, total) in [
            (FORWARDED, stats.forwarded),
            (OVER_LINKS, stats.forwarded_over_links),
            (ANSWERED, stats.answered),
            (NODES_GIVEN_UP, stats.nodes_given_up),
        ] {
            counter!(name, "node" => node()).absolute(total);
        }
        for (name, now) in [
            (WAITING, stats.waiting),
            (WAITING_FOR_ONE, stats.waiting_for_one),
            (LINKS, stats.links),
            (NODES, stats.nodes),
            (NODES_SILENT, stats.nodes_silent),
        ] {
            gauge!(name, "node" => node()).set(now as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::cluster::options::ClusterOptions;

    #[test]
    fn the_documented_metrics_are_the_real_ones() {
        let lines = include_str!("../docs/cluster.md").lines();
        let documented: Vec<&str> = lines.filter(|line| line.starts_with("| `sockjs_")).collect();
        let real: Vec<String> = METRICS
            .iter()
            .map(|(name, kind, help)| {
                let kind = if *kind == Counter { "counter" } else { "gauge" };
                format!("| `{name}` | {kind} | {help} |")
            })
            .collect();
        assert_eq!(documented, real);
    }

    #[test]
    fn each_metric_is_recorded() {
        let secret = "a secret of thirty-two bytes, or more";
        let cluster = Cluster::new(ClusterOptions::new(secret, "127.0.0.1:80".parse().unwrap())).unwrap();
        for _ in 0..3 {
            cluster.count_answered();
        }
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || cluster.record_metrics("a"));
        let scrape = recorder.handle().render();
        let recorded: BTreeSet<&str> = scrape
            .lines()
            .filter_map(|line| line.split_once("{node=\"a\"} ").map(|(name, _)| name))
            .collect();
        assert_eq!(recorded, METRICS.iter().map(|(name, ..)| *name).collect());
        assert!(scrape.contains("sockjs_cluster_answered_total{node=\"a\"} 3"), "{scrape}");
        assert!(METRICS.iter().all(|(name, ..)| scrape.contains(&format!("# HELP {name} "))), "{scrape}");
    }
}
