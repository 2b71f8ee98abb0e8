//! The page's server: its files, and what its script asks for.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::IntoResponse,
    routing::{get, put},
};
use serde::{Deserialize, Serialize};
use sockjs_gateway::Handle;

use crate::stage::{Action, Overview, Stage};

const CDN: &str = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type, content. The tap is that of the server's own demo.
const FILES: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page.js", JAVASCRIPT, include_str!("page/page.js")),
    ("/wire.js", JAVASCRIPT, include_str!("page/wire.js")),
    ("/tap.js", JAVASCRIPT, include_str!("../../../../examples/demo/page/tap.js")),
];

/// Where the gateway is.
#[derive(Debug, Clone, Serialize)]
struct Place {
    port: u16,
    /// Of the client's script: a path below the gateway's own, or a URL.
    client: &'static str,
}

/// What a page asks for: who it is, and the last that it has heard.
#[derive(Debug, Deserialize)]
struct Look {
    tab: String,
    since: u64,
}

#[derive(Debug, Clone)]
struct Shared {
    stage: Arc<Stage>,
    gateway: Handle,
}

pub(crate) fn router(stage: Arc<Stage>, gateway: Handle, port: u16, has_script: bool) -> Router {
    let place = Place { port, client: if has_script { "/chat/sockjs.min.js" } else { CDN } };
    let files = FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
        router.route(path, get(move || async move { (headers, content).into_response() }))
    });
    files
        .route("/place", get(move || async move { Json(place) }))
        .route("/overview", get(overview))
        // A page of another origin would have to ask before a PUT, and nothing here says yes.
        .route("/backends/{name}/{action}", put(act))
        .with_state(Shared { stage, gateway })
}

async fn overview(State(shared): State<Shared>, Query(Look { tab, since }): Query<Look>) -> Json<Overview> {
    Json(shared.stage.overview(&shared.gateway, &tab, since))
}

async fn act(
    State(Shared { stage, gateway }): State<Shared>,
    Path((name, action)): Path<(String, Action)>,
) -> Result<String, (StatusCode, String)> {
    stage.act(&gateway, &name, action).await.map_err(|error| (StatusCode::CONFLICT, error))
}
