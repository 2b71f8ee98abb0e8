//! The page, and what its buttons do. It is behind the balancer as the nodes are, in a process that nobody kills.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Redirect, Response},
    routing::{get, put},
};
use serde::Serialize;

use crate::{
    chat::{ChatRooms, Line, ROOM},
    processes::{Processes, Seen},
};

const CLIENT_URL: &str = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// How often the counter says the next number.
const COUNTS: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) processes: Processes,
    /// Host and port of the balancer.
    pub(crate) public: Arc<str>,
    pub(crate) is_counting: Arc<AtomicBool>,
    pub(crate) rooms: ChatRooms,
}

/// Says numbers to the room, one after the other: so that something is said while a page is away, and that a page sees
/// whether one is missing. It is no member of the room, nor a node that has sessions: whoever is on the bus may speak.
pub(crate) async fn count(rooms: ChatRooms, is_counting: Arc<AtomicBool>) {
    let mut ticks = tokio::time::interval(COUNTS);
    let mut count = 1;
    loop {
        ticks.tick().await;
        if is_counting.load(Relaxed) && rooms.send(ROOM, Line::Count { count }).refused.is_none() {
            count += 1;
        }
    }
}

/// The client's script from a local npm install, if there is one.
fn client_script() -> Option<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    ["node_modules", "tests/node/node_modules"].iter().find_map(|modules| {
        std::fs::read_to_string(format!("{root}/{modules}/sockjs-client/dist/sockjs.min.js")).ok()
    })
}

fn file(kind: &'static str, content: impl IntoResponse) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], content).into_response()
}

/// The nodes name the balancer's address in their URLs: so the page has to be of that origin.
async fn page(State(control): State<Control>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| host != &*control.public) {
        return Redirect::temporary(&format!("http://{}/", control.public)).into_response();
    }
    file("text/html; charset=utf-8", include_str!("../page/index.html"))
}

#[derive(Serialize)]
struct Overview {
    processes: Vec<Seen>,
    is_counting: bool,
    /// The nodes that are heard on the bus.
    heard: usize,
}

async fn overview(State(control): State<Control>) -> Json<Overview> {
    let is_counting = control.is_counting.load(Relaxed);
    let heard = control.rooms.stats().bus.map_or(0, |bus| bus.nodes);
    Json(Overview { processes: control.processes.seen(), is_counting, heard })
}

/// `PUT`, since a page of another origin cannot make a browser send one.
async fn act(Path((name, action)): Path<(String, String)>, State(control): State<Control>) -> StatusCode {
    let processes = &control.processes;
    let done = match &*action {
        // Whoever kills the balancer sees no page any more.
        _ if name == "nginx" => None,
        "start" => processes.start(&name),
        "kill" => processes.kill(&name),
        "drain" => processes.drain(&name),
        _ => None,
    };
    match done {
        Some(Ok(())) => StatusCode::NO_CONTENT,
        Some(Err(_)) => StatusCode::CONFLICT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn set_counting(Path(on): Path<bool>, State(control): State<Control>) -> StatusCode {
    control.is_counting.store(on, Relaxed);
    StatusCode::NO_CONTENT
}

pub(crate) fn router(control: Control) -> Router {
    let script = client_script();
    let client = async move || match script {
        Some(script) => file(JAVASCRIPT, script),
        None => Redirect::temporary(CLIENT_URL).into_response(),
    };
    Router::new()
        .route("/", get(page))
        .route("/page.js", get(async || file(JAVASCRIPT, include_str!("../page/page.js"))))
        .route("/style.css", get(async || file("text/css; charset=utf-8", include_str!("../page/style.css"))))
        .route("/sockjs.min.js", get(client))
        .route("/processes", get(overview))
        .route("/processes/{name}/{action}", put(act))
        .route("/counting/{on}", put(set_counting))
        .with_state(control)
}
