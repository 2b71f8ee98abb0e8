//! Another configuration for a gateway that runs.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{
    client::Proxies,
    generation::{Environment, Generation, Settings},
    route::Route,
    route_error::RouteError,
    state::{Current, RouteState},
    table::Table,
};
use crate::{
    config::{
        config::{Config, Log},
        route::Route as RouteConfig,
    },
    pool::members::Members,
};

/// What a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReloadReport {
    /// The paths of routes that are new.
    pub added: Vec<String>,
    /// The paths of routes that get no sessions any more.
    pub removed: Vec<String>,
    /// The paths of routes whose new sessions find something else than those before.
    pub changed: Vec<String>,
    /// The settings of the process that have changed, and count from now on. `log.filter` is the program's: a library's
    /// log is that of its application.
    pub settings: Vec<&'static str>,
    /// The settings of the process that are not those of its start, and count from the next start on.
    pub needs_restart: Vec<&'static str>,
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let routes = lists.iter().filter(|(_, paths)| !paths.is_empty());
        let mut sentences: Vec<String> =
            routes.map(|(what, paths)| format!("routes {what}: {}", paths.join(", "))).collect();
        if !self.settings.is_empty() {
            sentences.push(format!("settings changed: {}", self.settings.join(", ")));
        }
        if !self.needs_restart.is_empty() {
            sentences.push(format!("only a restart changes: {}", self.needs_restart.join(", ")));
        }
        if sentences.is_empty() {
            return f.write_str("no setting has changed");
        }
        f.write_str(&sentences.join("; "))
    }
}

/// A route that cannot be made: its path, and why.
pub(super) type Failure = (String, RouteError);

/// What a reload is about to do. Whatever can fail has been done.
pub(super) struct Plan {
    table: Table,
    added: Vec<Arc<Route>>,
    changes: Vec<Change>,
    pub(super) removed: Vec<Arc<Route>>,
    pub(super) report: ReloadReport,
}

struct Change {
    route: Arc<Route>,
    members: Members,
    current: Current,
    next: Option<Generation>,
}

impl Plan {
    /// Makes everything that the configuration asks for and that is not there yet.
    pub(super) fn new(
        table: &Table,
        config: &Config,
        previous: Option<&Config>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let proxies = Proxies::new(config.trusted_proxies.clone());
        let mut routes = Vec::new();
        let (mut added, mut changes) = (Vec::new(), Vec::new());
        let mut report = ReloadReport::default();
        for wanted in &config.routes {
            let failure = |error| (wanted.path.clone(), error);
            let settings = Settings::read(wanted, &proxies).map_err(failure)?;
            let Some(route) = table.get(&wanted.path) else {
                added.push(Arc::new(new_route(wanted, settings, environment).map_err(failure)?));
                report.added.push(wanted.path.clone());
                continue;
            };
            routes.push(Arc::clone(route));
            let same = previous.is_some_and(|previous| previous.routes.contains(wanted));
            let next = route.next(settings, environment).map_err(failure)?;
            if !same || next.is_some() {
                let list = if route.is_removed() { &mut report.added } else { &mut report.changed };
                list.push(wanted.path.clone());
            }
            // Where it is the same, its certificates may have been renewed.
            let members = Members::new(&wanted.upstream).map_err(|error| failure(error.into()))?;
            changes.push(Change { route: Arc::clone(route), members, current: Current::of(wanted), next });
        }
        let wanted: BTreeSet<&str> = config.routes.iter().map(|route| route.path.as_str()).collect();
        let mut removed = Vec::new();
        for route in table.routes().iter().filter(|route| !wanted.contains(&*route.path)) {
            if !route.is_removed() {
                report.removed.push(route.path.to_string());
                removed.push(Arc::clone(route));
            }
            if !route.is_gone() {
                // Its sessions go on.
                routes.push(Arc::clone(route));
            }
        }
        routes.extend(added.iter().cloned());
        Ok(Self { table: Table::new(routes), added, changes, removed, report })
    }

    /// Carries it out, and returns the routes of from now on.
    pub(super) fn apply(self) -> (Table, ReloadReport) {
        for route in self.added {
            route.state.pool.start();
        }
        for Change { route, members, current, next } in self.changes {
            route.state.pool.replace(members);
            route.state.current.store(Arc::new(current));
            if let Some(next) = next {
                route.replace(Some(next));
            }
        }
        for route in self.removed {
            route.replace(None);
            route.state.pool.replace(Members::none());
        }
        (self.table, self.report)
    }
}

fn new_route(
    config: &RouteConfig,
    settings: Settings,
    environment: &Environment,
) -> Result<Route, RouteError> {
    let state = RouteState::new(config, Arc::clone(&environment.proxies))?;
    Route::new(&config.path, settings, Arc::new(state), environment)
}

/// The settings of the process that have changed, and those that are not those of its start.
pub(super) fn of_process(
    started: &Config,
    previous: &Config,
    next: &Config,
) -> (Vec<&'static str>, Vec<&'static str>) {
    let Config { listen, tls, http2, admin, cluster, trusted_proxies, grace, log, routes: _ } = next;
    let Log { format, filter } = log;
    let stays_with_tls = started.tls.is_some() && tls.is_some();
    let settings = [
        // Other files. Whether there is TLS at all takes a restart.
        ("tls", stays_with_tls && previous.tls != *tls),
        ("trusted_proxies", previous.trusted_proxies != *trusted_proxies),
        ("log.filter", previous.log.filter != *filter),
    ];
    let needs_restart = [
        ("listen", started.listen != *listen),
        ("tls", started.tls.is_some() != tls.is_some()),
        ("http2", started.http2 != *http2),
        ("admin", started.admin != *admin),
        ("cluster", started.cluster != *cluster),
        ("grace", started.grace != *grace),
        ("log.format", started.log.format != *format),
    ];
    let words = |words: &[(&'static str, bool)]| {
        words.iter().filter_map(|&(word, differs)| differs.then_some(word)).collect()
    };
    (words(&settings), words(&needs_restart))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "[[route]]\npath = '/chat'\nbackends = ['ws://127.0.0.1:1']";

    fn parse(toml: &str) -> Config {
        Config::parse(&format!("{toml}\n{ROUTE}")).unwrap_or_else(|error| panic!("{toml}: {error}"))
    }

    #[test]
    fn each_word_of_the_process_counts_at_once_or_takes_a_restart() {
        let tls = |name: &str| format!("[tls]\ncertificate = '/{name}.c'\nkey = '/{name}.k'");
        let cluster = |more: &str| {
            format!(
                "[cluster]\naddress = '127.0.0.1:1'\nsecret = 'a secret of 32 bytes or a few more'\n{more}"
            )
        };
        for (before, after, settings, needs_restart) in [
            ("", "", &[][..], &[][..]),
            ("", "listen = '127.0.0.1:1'", &[], &["listen"]),
            ("", "http2 = false", &[], &["http2"]),
            ("", "admin = '127.0.0.1:1'", &[], &["admin"]),
            ("", "grace = '7s'", &[], &["grace"]),
            ("", "trusted_proxies = ['127.0.0.1']", &["trusted_proxies"], &[]),
            ("", "[log]\nformat = 'json'", &[], &["log.format"]),
            ("", "[log]\nfilter = 'debug'", &["log.filter"], &[]),
            ("", &tls("a"), &[], &["tls"]),
            (&tls("a"), "", &[], &["tls"]),
            (&tls("a"), &tls("b"), &["tls"], &[]),
            ("", &cluster(""), &[], &["cluster"]),
            (&cluster(""), &cluster("public_url = 'http://a.test'"), &[], &["cluster"]),
        ] {
            let (before, next) = (parse(before), parse(after));
            assert_eq!(
                of_process(&before, &before, &next),
                (settings.to_vec(), needs_restart.to_vec()),
                "{after}"
            );
            // A second time, only what still waits for a restart is said.
            assert_eq!(of_process(&before, &next, &next), (Vec::new(), needs_restart.to_vec()), "{after}");
            assert_eq!(of_process(&before, &next, &before).1, Vec::<&str>::new(), "{after} and back");
        }
    }
}
