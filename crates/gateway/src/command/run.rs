//! The program from its arguments to its exit status.

use std::{fmt::Display, panic::resume_unwind, process::ExitCode, time::Duration};

use clap::CommandFactory;
use tokio::{
    runtime::{Builder, Runtime},
    task::spawn_blocking,
};

use super::{
    arguments::Arguments,
    check::Summary,
    file_limit, files, healthcheck, log,
    output::{complain, say},
    supervise::{Control, Ended, Signals, supervise},
    variables::{self, Variables},
};
use crate::{
    config::config::Config,
    gateway::{gateway::Gateway, handle::Handle},
};

/// An argument or a setting is wrong.
const WRONG: u8 = 2;

/// How often a thread looks at the queue of all threads, in polls. The runtime's own guess lets sessions wait too long
/// where many hundreds are busy at once.
const GLOBAL_QUEUE_INTERVAL: u32 = 3;

/// How long tasks may take to notice the end of the process.
const LAST_TASKS: Duration = Duration::from_millis(100);

/// Runs the program by the arguments of the process.
pub fn run() -> ExitCode {
    let arguments = Arguments::of_process();
    let unknown = variables::unknown(&Arguments::command());
    if !unknown.is_empty() {
        unknown.iter().for_each(complain);
        return WRONG.into();
    }
    let variables = Variables::read();
    let config = match arguments.config(&variables) {
        Ok(config) => config,
        Err(error) => {
            complain(error);
            return WRONG.into();
        }
    };
    if arguments.healthcheck {
        return match healthcheck::ask(config.admin) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        };
    }
    // A certificate that is about to end is a warning, in a check too.
    let filter = log::start(&config.log);
    let unusable = files::unusable(&config);
    if !unusable.is_empty() {
        unusable.iter().for_each(complain);
        return WRONG.into();
    }
    if arguments.check {
        say(Summary(&config).to_string().trim_end());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = file_limit::raise(&config) {
        return failed(&error);
    }
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
        let gateway = match Gateway::new(config).await {
            Ok(gateway) => gateway,
            Err(error) => return failed(&error),
        };
        let serve = |stop: tokio::sync::oneshot::Receiver<()>| {
            tracing::info!(addresses = ?gateway.addresses(), "listens");
            let handle = gateway.handle();
            // A task of its own: connections are accepted while a reload reads files.
            let serving = tokio::spawn(gateway.serve(async { _ = stop.await }));
            let report = async { serving.await.unwrap_or_else(|error| resume_unwind(error.into_panic())) };
            (handle, report)
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
    complain(format_args!("sockjs-gateway: {error}"));
    ExitCode::FAILURE
}

impl Control for Handle {
    async fn reload(&self, config: Config) -> Result<String, String> {
        // It reads files.
        let handle = self.clone();
        let reloaded = spawn_blocking(move || Self::reload(&handle, config)).await;
        match reloaded {
            Ok(Ok(report)) => Ok(report.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn reload_failed(&self) {
        Self::reload_failed(self);
    }

    fn sessions(&self) -> usize {
        Self::sessions(self)
    }
}
