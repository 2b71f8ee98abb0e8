//! The pages of the examples: their own files, and the libraries that they load.

use std::{io, path::Path};

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse as _,
    routing::get,
};
use axum_sockjs::{ClientScript, Options};

/// Where `npm ci` puts the libraries: beside the examples, or for the tests under Node.
const FOLDERS: [&str; 2] = ["examples/node_modules", "../../tests/node/node_modules"];

/// What is told when they are not there; the pages say the same.
const MISSING: &str = "The page needs sockjs-client and @stomp/stompjs, which are not installed.\n\
                       Run `npm ci` in crates/stomp/examples, and start this example again.";

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The libraries of the pages, from npm.
#[derive(Clone, Default)]
pub(crate) struct Libraries {
    sockjs: Option<ClientScript>,
    stompjs: Option<Vec<u8>>,
}

impl Libraries {
    /// Reads them. What is missing is said, and the page says it as well.
    pub(crate) fn load() -> Self {
        let sockjs = read("sockjs-client/dist/sockjs.min.js").map(ClientScript::from_bytes);
        let stompjs = read("@stomp/stompjs/bundles/stomp.umd.min.js");
        if sockjs.is_err() || stompjs.is_err() {
            eprintln!("{MISSING}");
        }
        Self { sockjs: sockjs.ok(), stompjs: stompjs.ok() }
    }

    /// The endpoint itself serves the script of its SockJS client.
    pub(crate) fn sockjs(&self, options: Options) -> Options {
        match &self.sockjs {
            Some(script) => options.client_script(script.clone()),
            None => options,
        }
    }

    /// The files of a page: path, type, content. `/lib/stomp.umd.min.js` is among them, if it is installed.
    pub(crate) fn page(self, files: &[(&'static str, &'static str, &'static str)]) -> Router {
        let base = ("/base.css", CSS, include_str!("base.css"));
        let mut router = Router::new();
        for &(path, kind, content) in files.iter().chain([&base]) {
            let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
            router = router.route(path, get(move || async move { (headers, content).into_response() }));
        }
        let Some(stompjs) = self.stompjs else { return router };
        let script = || async move { ([(CONTENT_TYPE, JAVASCRIPT)], stompjs) };
        router.route("/lib/stomp.umd.min.js", get(script))
    }
}

fn read(library: &str) -> io::Result<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut results = FOLDERS.iter().map(|folder| std::fs::read(root.join(folder).join(library)));
    results.find(Result::is_ok).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}
