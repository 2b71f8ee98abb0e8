//! The processes: started, watched, and ended by their own handles.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// How long a program may take until it is ready, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(15);
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// This program itself. The end of its standard input tells it to drain.
    Node,
    /// Another program, below `keep`, which ends it when its own standard input ends.
    Kept,
}

/// How a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum State {
    Starting,
    /// With the program's number, for tests that look for it.
    Running {
        pid: u32,
    },
    Draining {
        pid: u32,
    },
    Ended {
        how: String,
    },
}

enum Order {
    Kill,
    Drain,
}

/// A process that can be started again.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    program: Command,
    state: watch::Sender<State>,
    orders: Option<mpsc::Sender<Order>>,
}

/// A process in another state than the one in which this can be asked for.
pub(crate) struct Unfit;

impl Process {
    pub(crate) fn new(name: &'static str, kind: Kind, address: SocketAddr, mut program: Command) -> Self {
        // What another program needs around it ends with this process, but `keep` has to live until it has ended that.
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(kind == Kind::Node);
        // A group of its own, so that Ctrl-C comes to the parent alone, which ends all in order.
        #[cfg(unix)]
        program.process_group(0);
        let state = watch::Sender::new(State::Ended { how: "not started".to_owned() });
        Self { name, kind, address, program, state, orders: None }
    }

    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    fn start(&mut self) -> Result<(), Unfit> {
        if !matches!(*self.state.borrow(), State::Ended { .. }) {
            return Err(Unfit);
        }
        match self.program.spawn() {
            Ok(child) => {
                let (orders, taken) = mpsc::channel(4);
                self.orders = Some(orders);
                self.state.send_replace(State::Starting);
                tokio::spawn(watch_over(child, self.name, self.kind, taken, self.state.clone()));
            }
            Err(error) => _ = self.state.send_replace(State::Ended { how: error.to_string() }),
        }
        Ok(())
    }

    fn order(&self, order: Order) -> Result<(), Unfit> {
        if matches!(*self.state.borrow(), State::Ended { .. }) {
            return Err(Unfit);
        }
        // One that has ended meanwhile takes no orders, and needs none.
        self.orders.as_ref().map(|orders| orders.try_send(order));
        Ok(())
    }
}

/// Follows a process to its end, and does what is ordered.
async fn watch_over(
    mut child: Child,
    name: &'static str,
    kind: Kind,
    mut orders: mpsc::Receiver<Order>,
    state: watch::Sender<State>,
) {
    let mut input = child.stdin.take();
    let mut lines = child.stdout.take().map(|output| BufReader::new(output).lines());
    let mut last_words = None;
    let mut killed = false;
    let status = loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Kill) if kind == Kind::Node => {
                    killed = true;
                    // An error says that it has ended.
                    child.start_kill().ok();
                }
                order => {
                    killed |= matches!(order, Some(Order::Kill));
                    if let Some(mut input) = input.take() {
                        // In words, so that `keep` can tell it from the end of this process.
                        input.write_all(b"end\n").await.ok();
                    }
                    state.send_if_modified(|state| match *state {
                        State::Running { pid } if kind == Kind::Node => {
                            *state = State::Draining { pid };
                            true
                        }
                        _ => false,
                    });
                }
            },
            line = next_line(&mut lines) => match line {
                Some(line) => match line.strip_prefix("ready: pid ").and_then(|pid| pid.parse().ok()) {
                    Some(pid) => _ = state.send_replace(State::Running { pid }),
                    None => {
                        println!("{name}: {line}");
                        last_words = Some(line);
                    }
                },
                // Its end follows.
                None => lines = None,
            },
            status = child.wait() => break status,
        }
    };
    drop(input);
    // What it has printed at last. A process that it has left behind may hold its output open.
    while let Ok(Some(line)) = timeout(LAST_WORDS, next_line_of(&mut lines)).await {
        println!("{name}: {line}");
        last_words = Some(line);
    }
    let how = match (killed, last_words) {
        (true, _) => "killed".to_owned(),
        (false, Some(words)) => words,
        (false, None) => status.as_ref().map_or_else(ToString::to_string, ExitStatus::to_string),
    };
    state.send_replace(State::Ended { how });
}

type Lines = Option<tokio::io::Lines<BufReader<tokio::process::ChildStdout>>>;

/// The next line, or `None` at the end; never, once the end was seen.
async fn next_line(lines: &mut Lines) -> Option<String> {
    if lines.is_none() {
        std::future::pending::<()>().await;
    }
    next_line_of(lines).await
}

async fn next_line_of(lines: &mut Lines) -> Option<String> {
    lines.as_mut()?.next_line().await.ok().flatten()
}

/// All processes of the example.
#[derive(Clone)]
pub(crate) struct Processes(Arc<Mutex<Vec<Process>>>);

/// One process, as the page is told of it.
#[derive(Serialize)]
pub(crate) struct Seen {
    name: &'static str,
    kind: Kind,
    address: SocketAddr,
    #[serde(flatten)]
    state: State,
}

impl Processes {
    pub(crate) fn new(processes: Vec<Process>) -> Self {
        Self(Arc::new(Mutex::new(processes)))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = |process: &Process| Seen {
            name: process.name,
            kind: process.kind,
            address: process.address,
            state: process.state(),
        };
        self.all().iter().map(seen).collect()
    }

    /// Does something with the process of this name; `None` if there is none.
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Process) -> T) -> Option<T> {
        self.all().iter_mut().find(|process| process.name == name).map(act)
    }

    pub(crate) fn start(&self, name: &str) -> Option<Result<(), Unfit>> {
        self.with(name, Process::start)
    }

    pub(crate) fn kill(&self, name: &str) -> Option<Result<(), Unfit>> {
        self.with(name, |process| process.order(Order::Kill))
    }

    /// Asks a process to end by itself: a node drains, and any other program is killed.
    pub(crate) fn drain(&self, name: &str) -> Option<Result<(), Unfit>> {
        self.with(name, |process| process.order(Order::Drain))
    }

    /// Starts a process, and waits until it is ready and accepts connections.
    ///
    /// # Errors
    /// Returns how it has ended, if it has.
    pub(crate) async fn start_and_wait(&self, name: &str) -> Result<(), String> {
        self.start(name);
        let Some((mut state, address)) =
            self.with(name, |process| (process.state.subscribe(), process.address))
        else {
            return Err(format!("there is no {name}"));
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let is_ready = match &*state.borrow_and_update() {
                State::Ended { how } => return Err(format!("{name} does not start: {how}")),
                // It listens, perhaps, and has yet to find the bus.
                State::Starting => false,
                State::Running { .. } | State::Draining { .. } => true,
            };
            if is_ready && TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{name} is not ready on {address}"));
            }
            // A change of its state, or the next attempt.
            tokio::select! {
                _ = state.changed() => {}
                () = sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    /// Ends processes in order, those of one step together, and waits until they have ended.
    pub(crate) async fn end(&self, steps: &[&[&str]]) {
        for names in steps {
            for name in *names {
                self.drain(name);
            }
            for name in *names {
                let Some(mut state) = self.with(name, |process| process.state.subscribe()) else { continue };
                let ended = async { _ = state.wait_for(|state| matches!(state, State::Ended { .. })).await };
                if timeout(PATIENCE, ended).await.is_err() {
                    self.kill(name);
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Processes {
        let mut program = Command::new("/bin/sh");
        program.args(["-c", script]);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        Processes::new(vec![Process::new("a", Kind::Node, nowhere, program)])
    }

    async fn until(processes: &Processes, wanted: impl Fn(&State) -> bool) -> State {
        let mut state = processes.with("a", |process| process.state.subscribe()).expect("it is there");
        let found = timeout(PATIENCE, state.wait_for(wanted)).await.expect("in time");
        found.expect("the process is kept").clone()
    }

    fn is_running(state: &State) -> bool {
        matches!(state, State::Running { .. })
    }

    fn has_ended(state: &State) -> bool {
        matches!(state, State::Ended { .. })
    }

    #[tokio::test]
    async fn a_process_is_started_killed_and_started_again() {
        let processes = shell("echo ready: pid $$; cat; echo has drained");
        for _ in 0..2 {
            assert!(processes.kill("a").is_some_and(|order| order.is_err()), "nothing to kill");
            assert!(processes.start("a").is_some_and(|order| order.is_ok()));
            until(&processes, is_running).await;
            assert!(processes.start("a").is_some_and(|order| order.is_err()), "it runs");
            processes.kill("a");
            assert_eq!(until(&processes, has_ended).await, State::Ended { how: "killed".to_owned() });
        }
        assert!(processes.start("b").is_none());
    }

    #[tokio::test]
    async fn a_process_that_drains_has_the_last_word() {
        let processes = shell("echo ready: pid $$; cat; echo has drained");
        processes.start("a");
        until(&processes, is_running).await;
        processes.end(&[&["a"]]).await;
        assert_eq!(until(&processes, has_ended).await, State::Ended { how: "has drained".to_owned() });
    }

    #[tokio::test]
    async fn a_process_that_does_not_start_says_why() {
        let processes = shell("echo no room; exit 3");
        let error = processes.start_and_wait("a").await.expect_err("it has ended");
        assert_eq!(error, "a does not start: no room");
    }
}
