//! Talks to a SockJS server from the command line: a line of input is a message, a message is a line of output.
//!
//! ```sh
//! cargo run --example connect -- http://127.0.0.1:8081/echo
//! ```
//!
//! What is not a message goes to the standard error. When the input ends, or by Ctrl-C, the session is closed with 1000.
//!
//! | exit status | the session |
//! |---|---|
//! | 0 | was closed with 1000, by either side |
//! | 1 | did not open |
//! | 2 | is not what was asked for: a wrong argument |
//! | 3 | was closed by the server with another code |
//! | 4 | was lost |

use std::{borrow::Cow, error::Error, pin::pin, process::exit, time::Duration};

use clap::Parser;
use sockjs_client::{Client, CloseEvent, Message, Sender, Session, Transport};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Stdin},
    time::timeout,
};

/// Talks to a SockJS server: a line of input is a message, a message is a line of output.
#[derive(Parser)]
struct Arguments {
    /// The URL of the endpoint, for instance http://127.0.0.1:8081/echo
    url: String,
    /// Only this transport, without asking /info unless it reconnects: websocket, websocket-raw, xhr-streaming, eventsource, xhr-polling,
    /// htmlfile or jsonp-polling
    #[arg(long, value_name = "NAME")]
    transport: Option<Transport>,
    /// A header for each request, as "Name: value"
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// A cookie, as name=value
    #[arg(long, value_name = "COOKIE")]
    cookie: Vec<String>,
    /// A sub-protocol that a raw WebSocket offers
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
    /// Shows the frames in both directions
    #[arg(long)]
    frames: bool,
    /// Opens a new session when one is lost, until the server closes one
    #[arg(long)]
    reconnect: bool,
    /// How many seconds to receive after the end of the input
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    wait: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let status = match run(&arguments).await {
        Ok(event) => {
            eprintln!("closed: {event}");
            match event.code() {
                1000 => 0,
                _ if event.was_clean() => 3,
                _ => 4,
            }
        }
        Err(error) => {
            eprintln!("not connected: {error}");
            1
        }
    };
    // The thread that reads the input would wait for its next line.
    exit(status);
}

async fn run(arguments: &Arguments) -> Result<CloseEvent, Box<dyn Error>> {
    let client = client(arguments)?;
    let mut lines = Lines { input: BufReader::new(tokio::io::stdin()), line: Vec::new(), is_complete: false };
    let mut sessions = arguments.reconnect.then(|| client.reconnect());
    loop {
        let session = match (&mut sessions, arguments.transport) {
            (Some(sessions), _) => sessions.next().await?,
            (None, Some(transport)) => client.open(transport).await?,
            (None, None) => client.connect().await?,
        };
        let event = talk(session, &mut lines, arguments).await?;
        if sessions.is_none() || event.was_clean() {
            return Ok(event);
        }
        eprintln!("lost: {event}");
    }
}

fn client(arguments: &Arguments) -> Result<Client, Box<dyn Error>> {
    let mut client = Client::new(&arguments.url)?.subprotocols(&arguments.subprotocol);
    for header in &arguments.header {
        let (name, value) =
            header.split_once(':').ok_or_else(|| format!("{header:?} is not \"Name: value\""))?;
        client = client.header(name.trim(), value.trim());
    }
    for cookie in &arguments.cookie {
        let (name, value) = cookie.split_once('=').ok_or_else(|| format!("{cookie:?} is not name=value"))?;
        client = client.cookie(name, value);
    }
    if let Some(transport) = arguments.transport {
        client = client.transports([transport]);
    }
    if arguments.frames {
        client = client.inspect_frames(|frame| eprintln!("< {}", String::from_utf8_lossy(&frame.text())));
    }
    Ok(client)
}

async fn talk(
    mut session: Session,
    lines: &mut Lines,
    arguments: &Arguments,
) -> Result<CloseEvent, Box<dyn Error>> {
    eprintln!("open: {}", session.transport());
    let sender = session.sender();
    // On its own, so that a server that waits for this side to receive does not wait for ever.
    let mut sending = pin!(send(&sender, lines, arguments.frames));
    loop {
        tokio::select! {
            message = session.recv() => match message {
                Some(message) => println!("{}", shown(&message)),
                None => break,
            },
            sent = &mut sending => match sent? {
                Input::Ended => return finish(session, Duration::try_from_secs_f64(arguments.wait)?).await,
                // The reason comes behind the last messages.
                Input::Refused => {
                    while let Some(message) = session.recv().await {
                        println!("{}", shown(&message));
                    }
                    break;
                }
            },
            _ = tokio::signal::ctrl_c() => return Ok(session.close(1000, "").await?),
        }
    }
    for message in session.unsent().queued {
        eprintln!("not sent: {}", shown(&message));
    }
    Ok(session.closed().await)
}

enum Input {
    Ended,
    /// The session has ended.
    Refused,
}

async fn send(sender: &Sender, lines: &mut Lines, shows_frames: bool) -> std::io::Result<Input> {
    while let Some(line) = lines.peek().await? {
        let message = Message::from(line);
        if sender.send(message.clone()).await.is_err() {
            return Ok(Input::Refused);
        }
        lines.skip();
        if shows_frames {
            eprintln!("> [{}]", String::from_utf8_lossy(message.quoted()));
        }
    }
    Ok(Input::Ended)
}

/// Receives a little longer, and closes the session.
async fn finish(mut session: Session, time: Duration) -> Result<CloseEvent, Box<dyn Error>> {
    session.flush().await.ok();
    let rest = async {
        while let Some(message) = session.recv().await {
            println!("{}", shown(&message));
        }
    };
    timeout(time, rest).await.ok();
    Ok(session.close(1000, "").await?)
}

fn shown(message: &Message) -> Cow<'_, str> {
    match message.as_str() {
        Some(text) => text.into(),
        None => format!("{message:?}").into(),
    }
}

/// The lines of the standard input.
struct Lines {
    input: BufReader<Stdin>,
    /// What has been read of the next line. Reading may be interrupted, and then goes on.
    line: Vec<u8>,
    is_complete: bool,
}

impl Lines {
    /// Waits for the next line, which stays the next one until it is skipped; `None` at the end.
    async fn peek(&mut self) -> std::io::Result<Option<String>> {
        if !self.is_complete {
            self.input.read_until(b'\n', &mut self.line).await?;
            self.is_complete = true;
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&self.line);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    fn skip(&mut self) {
        self.line.clear();
        self.is_complete = false;
    }
}
