//! What clients do.

use std::{net::SocketAddr, time::Duration};

use sockjs_client::{Client, CloseEvent, Message, Session, Transport};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};

use super::{backend::piece, random::Random};

/// How much of what has come a client keeps that does not read it.
const RECEIVE_QUEUE: usize = 64 << 10;

/// What a client does with its one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// Talks, and closes.
    Leave,
    /// Talks, and vanishes.
    Vanish,
    /// Talks until the backend closes.
    Closed,
    /// Talks until the backend's connection ends without a close frame.
    Cut,
    /// Asks for much and reads it late, but all of it.
    Late,
    /// Asks for more, and reads none of it.
    Stalled,
    /// Is sent binary data.
    Binary,
    /// Is refused by the backend.
    Refused,
    /// Opens, and is silent on an open connection.
    Silent,
    /// Cuts its first request off.
    Half,
}

pub(super) const LIVES: [Life; 14] = [
    Life::Leave,
    Life::Vanish,
    Life::Closed,
    Life::Late,
    Life::Leave,
    Life::Cut,
    Life::Stalled,
    Life::Vanish,
    Life::Binary,
    Life::Leave,
    Life::Refused,
    Life::Silent,
    Life::Late,
    Life::Half,
];

/// How many kinds there are.
pub(super) const KINDS: usize = 10;

/// Who lives, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) gateway: SocketAddr,
    pub(super) route: &'static str,
    pub(super) transport: Transport,
    pub(super) number: u64,
}

impl Place {
    fn client(&self) -> Client {
        let url = format!("http://{}{}", self.gateway, self.route);
        Client::new(&url)
            .unwrap()
            .header("x-client", self.number.to_string())
            .receive_queue_bytes(RECEIVE_QUEUE)
            .min_open_timeout(Duration::from_secs(60))
    }

    /// The request that opens a session.
    fn request(&self) -> String {
        let Self { gateway, route, transport, number } = self;
        let path = transport.path();
        let path = match transport {
            Transport::RawWebSocket => format!("{route}/{path}"),
            Transport::HtmlFile | Transport::JsonpPolling => format!("{route}/000/soak{number}/{path}?c=f"),
            _ => format!("{route}/000/soak{number}/{path}"),
        };
        let (method, more) = match transport {
            Transport::XhrStreaming | Transport::XhrPolling => ("POST", "content-length: 0\r\n"),
            Transport::WebSocket | Transport::RawWebSocket => (
                "GET",
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ),
            _ => ("GET", ""),
        };
        format!("{method} {path} HTTP/1.1\r\nhost: {gateway}\r\nx-client: {number}\r\n{more}\r\n")
    }
}

/// A session that did not come to the end that its client wanted: how it ended, or did not open.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) code: Option<u16>,
    pub(super) what: String,
}

impl Lost {
    fn by(event: &CloseEvent) -> Self {
        Self { code: Some(event.code()), what: format!("{event:?}") }
    }
}

/// Lives one life.
pub(super) async fn live(place: Place, life: Life, random: &mut Random) -> Result<(), Lost> {
    match life {
        Life::Refused => return refused(place, random).await,
        Life::Silent | Life::Half => {
            vanish_early(place, life, random).await;
            return Ok(());
        }
        _ => {}
    }
    let opened = place.client().open(place.transport).await;
    let mut session = opened.map_err(|error| Lost { code: None, what: format!("{error:?}") })?;
    talk(&mut session, random).await?;
    match life {
        Life::Leave => {
            let event = session.close(3001, "bye").await.unwrap();
            expect(&event, 3001, "bye")
        }
        Life::Closed => {
            say(&mut session, "close 4001 asked").await?;
            expect(&session.closed().await, 4001, "asked")
        }
        Life::Cut => {
            say(&mut session, "cut").await?;
            expect(&session.closed().await, 1011, "Backend connection lost")
        }
        Life::Late => {
            let pieces = 10 + random.below(20);
            say(&mut session, &format!("flood {pieces}")).await?;
            sleep(Duration::from_millis(random.below(300) as u64)).await;
            for number in 0..pieces {
                hear(&mut session, &piece(number)).await?;
            }
            Ok(())
        }
        Life::Stalled => {
            say(&mut session, "flood 100000").await?;
            // Until the gateway gives it up, or before.
            sleep(Duration::from_millis(500 + random.below(6000) as u64)).await;
            Ok(())
        }
        Life::Binary => {
            say(&mut session, "binary").await?;
            if place.transport.is_framed() {
                return expect(&session.closed().await, 1003, "Binary messages are not supported");
            }
            let Some(message) = session.recv().await else { return Err(ended(&mut session).await) };
            assert_eq!(message, Message::binary(vec![0, 255]), "{place:?}");
            Ok(())
        }
        Life::Vanish | Life::Refused | Life::Silent | Life::Half => Ok(()),
    }
}

/// Messages, and each of them back in order.
async fn talk(session: &mut Session, random: &mut Random) -> Result<(), Lost> {
    for round in 0..random.below(5) {
        let count = 1 + random.below(12);
        let messages: Vec<String> =
            (0..count).map(|number| format!("{round}/{number}/{}", "y".repeat(random.length()))).collect();
        for message in &messages {
            say(session, message).await?;
        }
        for message in &messages {
            hear(session, message).await?;
        }
    }
    Ok(())
}

async fn say(session: &mut Session, message: &str) -> Result<(), Lost> {
    match session.send(message.to_owned()).await {
        Ok(()) => Ok(()),
        Err(_) => Err(ended(session).await),
    }
}

async fn hear(session: &mut Session, expected: &str) -> Result<(), Lost> {
    let Some(message) = session.recv().await else { return Err(ended(session).await) };
    let start = |text: &str| format!("{} bytes: {}", text.len(), &text[..text.len().min(20)]);
    let heard = message.as_str().unwrap();
    assert!(heard == expected, "{} where {} was due", start(heard), start(expected));
    Ok(())
}

/// How a session has ended that ends by itself.
async fn ended(session: &mut Session) -> Lost {
    // The end is behind what has come before.
    while session.recv().await.is_some() {}
    Lost::by(&session.closed().await)
}

fn expect(event: &CloseEvent, code: u16, reason: &str) -> Result<(), Lost> {
    if (event.code(), event.reason()) == (code, reason) { Ok(()) } else { Err(Lost::by(event)) }
}

async fn refused(place: Place, random: &mut Random) -> Result<(), Lost> {
    let status = [401, 403][random.below(2)];
    let opened = place.client().header("x-refuse", status.to_string()).open(place.transport).await;
    match &opened {
        Err(error) if error.response().is_some_and(|response| response.status() == status) => Ok(()),
        _ => Err(Lost { code: None, what: format!("{opened:?} where {status} was due") }),
    }
}

/// Sends the request that opens a session or a part of it, reads nothing, and vanishes.
async fn vanish_early(place: Place, life: Life, random: &mut Random) {
    let mut connection = TcpStream::connect(place.gateway).await.unwrap();
    let request = place.request();
    let length = if life == Life::Half { random.below(request.len()) } else { request.len() };
    connection.write_all(&request.as_bytes()[..length]).await.unwrap();
    if life == Life::Silent {
        sleep(Duration::from_millis(random.below(7000) as u64)).await;
    }
    if random.one_in(2) {
        reset(&connection);
    }
}

#[allow(
    deprecated,
    reason = "a linger time of zero does not block, and older versions of tokio know no other way"
)]
fn reset(connection: &TcpStream) {
    _ = connection.set_linger(Some(Duration::ZERO));
}
