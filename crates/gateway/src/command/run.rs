//! The program from its arguments to its exit status.

use std::{fmt::Display, future::Future, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use super::{
    arguments::{Arguments, Variables},
    check::Summary,
    file_limit, files, healthcheck, log,
    supervise::{Control, Ended, Signals, supervise},
};
use crate::config::config::Config;

/// An argument or a setting is wrong.
const WRONG: u8 = 2;

/// How often a thread looks at the queue of all threads, in polls. The runtime's own guess lets sessions wait too long
/// where many hundreds are busy at once.
const GLOBAL_QUEUE_INTERVAL: u32 = 3;

/// How long tasks may take to notice the end of the process.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// What the program serves by.
pub(crate) trait Serve: Sized {
    type Control: Control;

    /// Binds the listeners; an error says what is in the way.
    fn start(config: Config) -> impl Future<Output = Result<Self, String>>;

    fn control(&self) -> Self::Control;

    /// Serves until `stop` completes, and then until everything is over.
    fn serve(self, stop: impl Future<Output = ()> + Send) -> impl Future<Output = impl Display>;
}

/// Runs the program by the arguments of the process.
pub(crate) fn run_with<S: Serve>() -> ExitCode {
    let arguments = Arguments::parse();
    let variables = Variables::read();
    let config = match arguments.config(&variables) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return WRONG.into();
        }
    };
    if arguments.healthcheck {
        return match healthcheck::ask(config.admin) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        };
    }
    let unusable = files::unusable(&config);
    if !unusable.is_empty() {
        unusable.iter().for_each(|file| eprintln!("{file}"));
        return WRONG.into();
    }
    if arguments.check {
        print!("{}", Summary(&config));
        return ExitCode::SUCCESS;
    }
    let filter = log::start(&config.log);
    file_limit::raise(&config);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let read = || arguments.config(&variables);
    let status = runtime.block_on(async {
        // Before anything is bound: a stop that comes during the start is one.
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return failed(&error),
        };
        let gateway = match S::start(config).await {
            Ok(gateway) => gateway,
            Err(error) => return failed(&error),
        };
        let serve = |stop: tokio::sync::oneshot::Receiver<()>| {
            let control = gateway.control();
            (control, gateway.serve(async { _ = stop.await }))
        };
        match supervise(serve, read, |log| filter.set(log), async || signals.next().await).await {
            Ended::Stopped => ExitCode::SUCCESS,
            Ended::CutShort => ExitCode::FAILURE,
        }
    });
    runtime.shutdown_timeout(LAST_TASKS);
    status
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().global_queue_interval(GLOBAL_QUEUE_INTERVAL).enable_all().build()
}

fn failed(error: &impl Display) -> ExitCode {
    eprintln!("sockjs-gateway: {error}");
    ExitCode::FAILURE
}

/// Runs the program by the arguments of the process.
pub fn run() -> ExitCode {
    run_with::<Unconnected>()
}

/// In the place of the gateway, until that is there.
enum Unconnected {}

impl Serve for Unconnected {
    type Control = Self;

    async fn start(_: Config) -> Result<Self, String> {
        Err("this build checks settings, but cannot serve".to_owned())
    }

    fn control(&self) -> Self {
        match *self {}
    }

    #[allow(refining_impl_trait)]
    fn serve(self, _: impl Future<Output = ()> + Send) -> std::future::Ready<String> {
        match self {}
    }
}

impl Control for Unconnected {
    async fn reload(&self, _: Config) -> Result<String, String> {
        match *self {}
    }

    fn sessions(&self) -> usize {
        match *self {}
    }
}
