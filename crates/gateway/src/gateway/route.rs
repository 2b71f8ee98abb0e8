//! A route: its endpoint of now, and those of before whose sessions go on.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{body::Body, extract::Request, response::Response};
use axum_sockjs::{SockJsHandle, Stats};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    generation::{Environment, Generation, Settings},
    not_found::not_found,
    route_error::RouteError,
    state::RouteState,
};

/// How often an endpoint of before is asked whether its sessions have ended.
const RETIRE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Route {
    pub(super) path: Box<str>,
    pub(super) state: Arc<RouteState>,
    generations: ArcSwap<Generations>,
}

#[derive(Debug, Clone)]
struct Generations {
    /// None once a reload has removed the route.
    current: Option<Arc<Generation>>,
    old: Vec<Arc<Generation>>,
    /// Of endpoints that are gone.
    ended: Option<Stats>,
}

impl Route {
    pub(super) fn new(
        path: &str,
        settings: Settings,
        state: Arc<RouteState>,
        environment: &Environment,
    ) -> Result<Self, RouteError> {
        let current = Generation::new(path, settings, Arc::clone(&state), environment, None)?;
        let generations = Generations { current: Some(Arc::new(current)), old: Vec::new(), ended: None };
        Ok(Self { path: path.into(), state, generations: ArcSwap::from_pointee(generations) })
    }

    /// Whether a path is this route's.
    pub(super) fn serves(&self, path: &str) -> bool {
        self.rest(path).is_some()
    }

    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.path)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    pub(super) fn call(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + use<> {
        let answer = self.generation(request.uri().path()).map(|generation| generation.call(request));
        async move {
            match answer {
                Some(answer) => answer.await,
                None => not_found(),
            }
        }
    }

    /// Whether an endpoint of before has the path's session.
    pub(super) fn has_session_at(&self, path: &str) -> bool {
        let rest = self.rest(path).unwrap_or_default();
        self.generations.load().old.iter().any(|old| old.handle.has_session_at(rest))
    }

    /// The endpoint of before that has the path's session, or the one of now.
    fn generation(&self, path: &str) -> Option<Arc<Generation>> {
        let generations = self.generations.load();
        let rest = self.rest(path).unwrap_or_default();
        let old = generations.old.iter().find(|old| old.handle.has_session_at(rest));
        old.or(generations.current.as_ref()).cloned()
    }

    /// The endpoint that the settings ask for, if it is not that of now.
    pub(super) fn next(
        &self,
        settings: Settings,
        environment: &Environment,
    ) -> Result<Option<Generation>, RouteError> {
        let generations = self.generations.load();
        if generations.current.as_ref().is_some_and(|current| current.settings == settings) {
            return Ok(None);
        }
        let previous = generations.current.as_ref().or(generations.old.last()).map(Arc::as_ref);
        Generation::new(&self.path, settings, Arc::clone(&self.state), environment, previous).map(Some)
    }

    /// Serves new sessions by another endpoint, or by none. The one of before goes with its last session.
    pub(super) fn replace(self: &Arc<Self>, next: Option<Generation>) {
        let next = next.map(Arc::new);
        let previous = self.generations.rcu(|generations| {
            let mut generations = Generations::clone(generations);
            generations.old.extend(generations.current.take());
            generations.current.clone_from(&next);
            generations
        });
        if let Some(replaced) = &previous.current {
            tokio::spawn(Arc::clone(self).retire(Arc::clone(replaced)));
        }
    }

    async fn retire(self: Arc<Self>, old: Arc<Generation>) {
        // Requests that came before the exchange may still open sessions.
        sleep(old.open_timeout()).await;
        while !is_over(&old) {
            sleep_until(Instant::now() + RETIRE_INTERVAL).await;
        }
        let stats = old.handle.stats();
        self.generations.rcu(|generations| {
            let mut generations = Generations::clone(generations);
            generations.old.retain(|other| !Arc::ptr_eq(other, &old));
            match &mut generations.ended {
                Some(ended) => *ended += &stats,
                none => *none = Some(stats.clone()),
            }
            generations
        });
        tracing::info!(route = %self.path, "old endpoint retired: its last session has ended");
    }

    /// Completes once a removed route is gone, or a reload has brought it back.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(super) async fn gone(&self) {
        while self.is_removed() && !self.is_gone() {
            sleep(RETIRE_INTERVAL).await;
        }
    }

    /// Whether a reload has removed it, and its last session has ended.
    pub(super) fn is_gone(&self) -> bool {
        let generations = self.generations.load();
        generations.current.is_none() && generations.old.is_empty()
    }

    pub(super) fn is_removed(&self) -> bool {
        self.generations.load().current.is_none()
    }

    /// The handles of its endpoints, that of now first.
    pub(super) fn handles(&self) -> Vec<SockJsHandle> {
        let generations = self.generations.load();
        let all = generations.current.iter().chain(&generations.old);
        all.map(|generation| generation.handle.clone()).collect()
    }

    /// The numbers of all endpoints that it has had.
    pub(super) fn stats(&self) -> Option<Stats> {
        let generations = self.generations.load_full();
        let living = generations.current.iter().chain(&generations.old).map(|one| one.handle.stats());
        generations.ended.iter().cloned().chain(living).reduce(|mut sum, stats| {
            sum += &stats;
            sum
        })
    }
}

/// Whether neither a session nor what is remembered of one is left.
fn is_over(generation: &Generation) -> bool {
    if !generation.handle.is_empty() {
        return false;
    }
    let stats = generation.handle.stats();
    let total = stats.total();
    stats.handlers == 0 && total.opening + total.closing + total.closed == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::config::Config, gateway::client::Proxies};

    fn settings(heartbeat: &str) -> (Settings, crate::config::route::Route) {
        let toml = format!(
            "[[route]]\npath = '/chat'\nbackends = ['ws://127.0.0.1:1']\nheartbeat = '{heartbeat}'\nopen_timeout = '3s'"
        );
        let config = Config::parse(&toml).unwrap().routes.remove(0);
        (Settings::read(&config, &Proxies::default()).unwrap(), config)
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_of_before_goes_when_no_request_can_open_a_session_there() {
        let environment = Environment::default();
        let (first, config) = settings("7s");
        let state = Arc::new(RouteState::new(&config, Arc::default()).unwrap());
        let route = Arc::new(Route::new("/chat", first.clone(), state, &environment).unwrap());
        assert!(route.next(first, &environment).unwrap().is_none(), "nothing has changed");
        let next = route.next(settings("8s").0, &environment).unwrap();
        assert!(next.is_some());
        route.replace(next);
        assert_eq!(route.handles().len(), 2);
        // A second more than the three for backends.
        sleep(Duration::from_millis(3_900)).await;
        assert_eq!(route.handles().len(), 2);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(route.handles().len(), 1);
        assert!(route.stats().is_some(), "its numbers stay");

        route.replace(None);
        assert!(route.is_removed() && !route.is_gone());
        sleep(Duration::from_secs(5)).await;
        assert!(route.is_gone());
        assert_eq!(route.call(Request::new(Body::empty())).await.status(), 404);
    }

    #[test]
    fn a_path_is_a_routes_as_a_whole() {
        let (settings, config) = settings("7s");
        let state = Arc::new(RouteState::new(&config, Arc::default()).unwrap());
        let route = Route::new("/chat", settings, state, &Environment::default()).unwrap();
        for (path, serves) in
            [("/chat", true), ("/chat/", true), ("/chat/info", true), ("/chatter", false), ("/", false)]
        {
            assert_eq!(route.serves(path), serves, "{path}");
        }
    }
}
