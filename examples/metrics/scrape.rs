//! What Prometheus reads.

use axum::{
    extract::State,
    routing::{MethodRouter, get},
};
use axum_sockjs::SockJsHandle;
use metrics_exporter_prometheus::PrometheusHandle;

type Numbers = (PrometheusHandle, SockJsHandle);

async fn scrape(State((prometheus, handle)): State<Numbers>) -> String {
    handle.record_metrics("echo");
    prometheus.render()
}

pub(crate) fn route(prometheus: PrometheusHandle, handle: SockJsHandle) -> MethodRouter {
    get(scrape).with_state((prometheus, handle))
}
