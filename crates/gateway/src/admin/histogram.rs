//! Histograms that have been counted elsewhere, in the text format of Prometheus. The recorder knows only values that it
//! has been told one by one, and would keep each of them until the next scrape.

use std::{collections::BTreeMap, sync::Arc};

use metrics::{Key, Label};
use metrics_exporter_prometheus::{
    LabelSet,
    formatting::{write_help_line, write_metric_line, write_type_line},
};

use crate::pool::{pool::PoolSnapshot, snapshot::Dials};

/// Writes how long dials took, by route and backend.
pub(super) fn write_dial_seconds(out: &mut String, name: &str, help: &str, pools: &[PoolSnapshot]) {
    // Two backends may have the same name, if one of them is no longer configured.
    let mut series: BTreeMap<(Arc<str>, Arc<str>), Dials> = BTreeMap::new();
    for pool in pools {
        for (backend, _) in &pool.backends {
            series.entry((pool.route.clone(), backend.name.clone())).or_default().add(&backend.dials);
        }
    }
    write_help_line(out, name, None, None, help);
    write_type_line(out, name, None, None, "histogram");
    for ((route, backend), dials) in series {
        let labels = vec![Label::new("route", route.to_string()), Label::new("backend", backend.to_string())];
        let labels =
            LabelSet::from_key_and_global(&Key::from_parts(name.to_owned(), labels), &Default::default());
        for (bound, count) in dials.cumulative() {
            write_metric_line(out, name, Some("bucket"), &labels, Some(("le", bound)), count, None);
        }
        write_metric_line(out, name, Some("bucket"), &labels, Some(("le", "+Inf")), dials.timed(), None);
        write_metric_line::<&str, _>(
            out,
            name,
            Some("sum"),
            &labels,
            None,
            dials.total().as_secs_f64(),
            None,
        );
        write_metric_line::<&str, _>(out, name, Some("count"), &labels, None, dials.timed(), None);
    }
    out.push('\n');
}
