//! The life of a gateway that serves: signals, and what the service manager is told.

use std::{
    fmt::Display,
    future::{Future, pending},
    pin::pin,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{output::say, systemd};
use crate::config::{
    config::{Config, Log},
    problem::ConfigError,
};

/// What a signal does to a gateway.
pub(crate) trait Control {
    /// Serves by other settings from now on; the text says what has changed. An error has changed nothing.
    fn reload(&self, config: Config) -> impl Future<Output = Result<String, String>>;

    /// A configuration could not be read.
    fn reload_failed(&self);

    /// The sessions that are open.
    fn sessions(&self) -> usize;
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was asked to stop and has done so.
    Stopped,
    /// It was asked twice.
    CutShort,
}

/// The signals to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Stop,
    Reload,
}

/// Serves until a signal stops it. What `serve` gets completes then; the report of the serving is printed.
/// A reload takes what `read` returns, and `reloaded` gets its log once it is in effect.
pub(super) async fn supervise<C, S, R>(
    serve: impl FnOnce(oneshot::Receiver<()>) -> (C, S),
    read: impl Fn() -> Result<Config, ConfigError>,
    reloaded: impl Fn(&Log),
    mut next: impl AsyncFnMut() -> Signal,
) -> Ended
where
    C: Control,
    S: Future<Output = R>,
    R: Display,
{
    let (stop, stopped) = oneshot::channel();
    let mut stop = Some(stop);
    let (control, serving) = serve(stopped);
    let mut serving = pin!(serving);
    let mut status = every(Some(systemd::STATUS_INTERVAL));
    let mut failed = None;
    let mut watchdog = every(systemd::watchdog());
    systemd::ready();
    loop {
        tokio::select! {
            report = &mut serving => {
                say(report);
                return Ended::Stopped;
            }
            signal = next() => match (signal, stop.take()) {
                (Signal::Stop, Some(stop)) => {
                    tracing::info!(sessions = control.sessions(), "stops");
                    systemd::stopping();
                    systemd::status(&status_of(control.sessions(), true, None));
                    status = every(Some(systemd::STOP_STATUS_INTERVAL));
                    // Nobody waits for it where the gateway has ended by itself.
                    let _ = stop.send(());
                }
                (Signal::Stop, None) => {
                    tracing::warn!(sessions = control.sessions(), "the stop is cut short by a second signal");
                    return Ended::CutShort;
                }
                (Signal::Reload, Some(running)) => {
                    stop = Some(running);
                    failed = reload(&control, &read, &reloaded).await.err();
                    systemd::status(&status_of(control.sessions(), false, failed.as_deref()));
                }
                (Signal::Reload, None) => tracing::info!("nothing is reloaded during a stop"),
            },
            () = tick(&mut status) => {
                systemd::status(&status_of(control.sessions(), stop.is_none(), failed.as_deref()));
            }
            // By a worker: one that turns is the sign.
            () = tick(&mut watchdog) => drop(tokio::spawn(async { systemd::alive() })),
        }
    }
}

/// What the service manager shows of the gateway. A reload that has failed is shown until one has not: for the service
/// manager itself, each succeeds.
fn status_of(sessions: usize, stops: bool, failed: Option<&str>) -> String {
    match failed.map(|error| error.lines().next().unwrap_or_default()) {
        _ if stops => format!("stopping: {sessions} sessions left"),
        Some(error) => format!("reload failed: {error} ({sessions} sessions)"),
        None => format!("{sessions} sessions"),
    }
}

/// The error has been logged.
async fn reload(
    control: &impl Control,
    read: impl Fn() -> Result<Config, ConfigError>,
    reloaded: impl Fn(&Log),
) -> Result<(), String> {
    #[cfg(unix)]
    systemd::reloading();
    let done = match read() {
        Ok(config) => {
            let log = config.log.clone();
            control.reload(config).await.inspect(|_| reloaded(&log))
        }
        Err(error) => {
            control.reload_failed();
            Err(error.to_string())
        }
    };
    match &done {
        Ok(changed) => tracing::info!(%changed, "reloaded"),
        Err(error) => tracing::error!("not reloaded, everything stays as it is:\n{error}"),
    }
    systemd::ready();
    done.map(drop)
}

fn every(time: Option<Duration>) -> Option<Interval> {
    time.map(|time| {
        let mut interval = interval(time);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    })
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => _ = interval.tick().await,
        None => pending().await,
    }
}

/// The signals of the system.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancel safe: a signal that has come is not lost.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Stop,
            Err(_) => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque};

    use tokio::time::sleep;

    use super::*;

    /// What was reloaded; a configuration without HTTP/2 is refused.
    #[derive(Default)]
    struct Fake {
        reloaded: RefCell<Vec<Config>>,
    }

    impl Control for &Fake {
        async fn reload(&self, config: Config) -> Result<String, String> {
            if !config.http2 {
                return Err("refused".to_owned());
            }
            self.reloaded.borrow_mut().push(config);
            Ok("a route".to_owned())
        }

        fn reload_failed(&self) {}

        fn sessions(&self) -> usize {
            7
        }
    }

    /// Runs with these signals, one a second; the stop takes `stop_takes`, and each reload reads the next text.
    async fn run(signals: &[Signal], stop_takes: Duration, texts: &[&str]) -> (Ended, usize) {
        let fake = Fake::default();
        let signals = RefCell::new(signals.iter().copied().collect::<VecDeque<_>>());
        let texts = RefCell::new(texts.iter().copied().collect::<VecDeque<_>>());
        let serve = |stop: oneshot::Receiver<()>| {
            let serving = async move {
                stop.await.unwrap();
                sleep(stop_takes).await;
                "report"
            };
            (&fake, serving)
        };
        let read = || Config::parse(texts.borrow_mut().pop_front().unwrap());
        let next = async || {
            sleep(Duration::from_secs(1)).await;
            let next = signals.borrow_mut().pop_front();
            match next {
                Some(signal) => signal,
                None => pending().await,
            }
        };
        let logs = RefCell::new(0);
        let ended = supervise(serve, read, |_| *logs.borrow_mut() += 1, next).await;
        let reloaded = fake.reloaded.borrow().len();
        assert_eq!(logs.into_inner(), reloaded, "the log is that of what is in effect");
        (ended, reloaded)
    }

    const ROUTE: &str = "[[route]]\npath = \"/a\"\nbackends = \"ws://127.0.0.1:1\"";

    #[test]
    fn the_status_is_one_line() {
        assert_eq!(status_of(7, false, None), "7 sessions");
        assert_eq!(status_of(7, false, Some("a:1:1: b\n | c")), "reload failed: a:1:1: b (7 sessions)");
        assert_eq!(status_of(7, true, Some("a")), "stopping: 7 sessions left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_stops_and_a_second_one_cuts_short() {
        let quick = Duration::from_millis(10);
        assert_eq!(run(&[Signal::Stop], quick, &[]).await, (Ended::Stopped, 0));
        assert_eq!(run(&[Signal::Stop], Duration::from_secs(60), &[]).await, (Ended::Stopped, 0));
        let both = [Signal::Stop, Signal::Stop];
        assert_eq!(run(&both, quick, &[]).await, (Ended::Stopped, 0));
        assert_eq!(run(&both, Duration::from_secs(60), &[]).await, (Ended::CutShort, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_fails_changes_nothing() {
        let refused = format!("http2 = false\n{ROUTE}");
        let texts = [ROUTE, "wrong", &refused, ROUTE];
        let signals = [Signal::Reload; 4].into_iter().chain([Signal::Stop]).collect::<Vec<_>>();
        assert_eq!(run(&signals, Duration::from_secs(1), &texts).await, (Ended::Stopped, 2));
        // During a stop nothing is read.
        let signals = [Signal::Stop, Signal::Reload];
        assert_eq!(run(&signals, Duration::from_secs(60), &[]).await, (Ended::Stopped, 0));
    }
}
