//! The gateway with its backends, and what happens to them.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    backend::{Backend, Disturbed, End, Mood},
    random::Random,
};
use crate::support::{Running, config};

/// The route whose backends are disturbed.
pub(super) const DISTURBED: &str = "/disturbed";
/// The route whose backend never is.
pub(super) const STEADY: &str = "/steady";

/// Backends of the disturbed route.
const BACKENDS: usize = 3;

/// How long a backend may take to answer: a session that was begun before a reload is with its backend by then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What happens to one backend, while the others are well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Event {
    Resets,
    Vanishes,
    Restarts,
    Hangs,
    Refuses,
    IsSlow,
    IsDrained,
    IsRemoved,
}

pub(super) const EVENTS: [Event; 8] = [
    Event::Resets,
    Event::IsDrained,
    Event::Hangs,
    Event::Refuses,
    Event::Vanishes,
    Event::IsSlow,
    Event::Restarts,
    Event::IsRemoved,
];

/// What reloads change.
#[derive(Debug, Clone, Default)]
struct Settings {
    heartbeat: u64,
    drained: Option<usize>,
    removed: Option<usize>,
    least_sessions: bool,
    /// Whether there is another route.
    has_more: bool,
}

/// What has happened.
pub(super) type Happened = HashMap<Event, usize>;

pub(super) struct World {
    pub(super) gateway: Running,
    pub(super) disturbed: Disturbed,
    steady: Backend,
    /// One task disturbs them.
    backends: tokio::sync::Mutex<Vec<Backend>>,
    settings: Mutex<Settings>,
    urls: (String, Vec<String>),
}

impl World {
    pub(super) async fn start() -> Self {
        let disturbed = Disturbed::default();
        // Nobody disturbs its sessions.
        let steady = Backend::start(&Disturbed::default()).await;
        let mut backends = Vec::new();
        for _ in 0..BACKENDS {
            backends.push(Backend::start(&disturbed).await);
        }
        let url = |backend: &Backend| format!("ws://{}/", backend.address);
        let urls = (url(&steady), backends.iter().map(url).collect());
        let gateway = Running::start(&text(&Settings::default(), &urls)).await;
        let (backends, settings) = (tokio::sync::Mutex::new(backends), Mutex::default());
        Self { gateway, disturbed, steady, backends, settings, urls }
    }

    /// Reloads with other settings.
    fn reload(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.settings.lock().unwrap();
        change(&mut settings);
        let next = config(&text(&settings, &self.urls));
        self.gateway.handle.reload(next).unwrap();
    }

    /// The configuration of the start, with nothing of any other.
    pub(super) async fn calm_down(&self) {
        self.reload(|settings| *settings = Settings::default());
        // What is over by then goes with the next reload.
        while self.generations() > 2 || self.gateway.handle.sessions() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
        self.reload(|_| ());
    }

    /// Endpoints, those of before included, as the debug output shows them.
    pub(super) fn generations(&self) -> usize {
        format!("{:?}", self.gateway.handle).matches("Generation {").count()
    }

    /// The connections of all backends.
    pub(super) async fn connections(&self) -> usize {
        let disturbed: usize = self.backends.lock().await.iter().map(Backend::connections).sum();
        disturbed + self.steady.connections()
    }

    /// Reloads now and then, each time with something else.
    pub(super) async fn reloads(&self, until: Instant, mut random: Random) -> usize {
        let mut count = 0;
        while Instant::now() < until {
            match random.below(4) {
                0 => self.reload(|settings| settings.heartbeat = random.below(5) as u64),
                1 => self.reload(|settings| settings.least_sessions ^= true),
                2 => self.reload(|settings| settings.has_more ^= true),
                _ => self.reload(|_| ()),
            }
            count += 1;
            sleep(Duration::from_millis(100 + random.below(800) as u64)).await;
        }
        count
    }

    /// Disturbs one backend after the other.
    pub(super) async fn disturb(&self, until: Instant, happened: &Mutex<Happened>) {
        let mut backends = self.backends.lock().await;
        let mut turn = 0;
        while Instant::now() < until {
            let before: usize = happened.lock().unwrap().values().sum();
            let event = EVENTS[before % EVENTS.len()];
            self.happens(event, &mut backends, turn % BACKENDS).await;
            turn += 1;
            *happened.lock().unwrap().entry(event).or_default() += 1;
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn happens(&self, event: Event, backends: &mut [Backend], at: usize) {
        let backend = &mut backends[at];
        let pause = Duration::from_millis(700);
        match event {
            Event::Resets => backend.restart(End::Reset, pause).await,
            Event::Vanishes => backend.restart(End::Gone, pause).await,
            Event::Restarts => backend.restart(End::Restarts, pause).await,
            Event::Hangs => {
                backend.be(Mood::Hangs);
                // Longer than a ping and its answer may take.
                sleep(Duration::from_secs(7)).await;
                backend.be(Mood::Well);
            }
            Event::Refuses => {
                backend.be(Mood::Refuses);
                sleep(pause).await;
                backend.be(Mood::Well);
            }
            Event::IsSlow => {
                backend.be(Mood::Slow);
                sleep(pause * 2).await;
                backend.be(Mood::Well);
            }
            Event::IsDrained => {
                self.reload(|settings| settings.drained = Some(at));
                gets_none(backend).await;
                self.reload(|settings| settings.drained = None);
            }
            Event::IsRemoved => {
                self.reload(|settings| settings.removed = Some(at));
                gets_none(backend).await;
                self.reload(|settings| settings.removed = None);
            }
        }
    }
}

/// A backend that is to get no sessions gets none.
async fn gets_none(backend: &Backend) {
    // What was being dialled is not called back.
    sleep(CONNECT_TIMEOUT).await;
    let opened = backend.opened();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(backend.opened(), opened, "sessions have come all the same");
}

fn text(settings: &Settings, (steady, backends): &(String, Vec<String>)) -> String {
    let heartbeat = 300 + settings.heartbeat;
    let backends: Vec<String> = (backends.iter().enumerate())
        .filter(|(at, _)| settings.removed != Some(*at))
        .map(|(at, url)| format!("{{ url = '{url}', drain = {} }}", settings.drained == Some(at)))
        .collect();
    let backends = backends.join(", ");
    let balance = if settings.least_sessions { "least-sessions" } else { "round-robin" };
    let more = format!("[[route]]\npath = '/more'\nbackends = '{steady}'\n");
    let more = if settings.has_more { more.as_str() } else { "" };
    // Times are long enough for a machine that is busy with other things too.
    format!(
        "[defaults]\n\
         heartbeat = '{heartbeat}ms'\norigins = 'any'\nlegacy_transports = true\npass_headers = ['x-client', 'x-refuse']\n\
         disconnect_delay = '10s'\nresponse_limit = '8 KiB'\nsend_queue_bytes = '64 KiB'\n\
         write_timeout = '4s'\npong_timeout = '4s'\n\
         connect_timeout = '{CONNECT_TIMEOUT:?}'\nopen_timeout = '12s'\nbackend_ping_interval = '500ms'\n\
         backend_pong_timeout = '4s'\nbackend_close_timeout = '1s'\nbalance = '{balance}'\n\
         [[route]]\npath = '{DISTURBED}'\nbackends = [{backends}]\n\
         health = {{ check = 'websocket', interval = '300ms', timeout = '300ms', fall = 2, rise = 1 }}\n\
         [[route]]\npath = '{STEADY}'\nbackends = '{steady}'\n{more}",
    )
}
