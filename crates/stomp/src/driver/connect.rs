//! From the first byte to `CONNECTED`.

use std::sync::Arc;

use axum_sockjs::Message as Piece;
use bytes::Bytes;
use bytestring::ByteString;
use http::request::Parts;
use stomp_codec::{Command, Decoder, Frame, Headers, Version, write_header};
use tokio::time::{Instant, timeout};

use super::{
    connection::Connection,
    destination::copy,
    heart_beat::{HeartBeats, Offer},
    slot::Slot,
};
use crate::{
    app::App,
    broker::BrokerError,
    events::Event,
    handler::{Context, Inbound, Login, User},
    link::Link,
    outbox::{Outbox, SessionId, Subscriber},
    session::{Refusal, Session},
};

/// What `CONNECTED` says about this server.
const SERVER: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A session that has begun.
pub(super) struct Connected {
    pub(super) session: Session,
    pub(super) slot: Slot,
    pub(super) heart_beats: HeartBeats,
    pub(super) expires_at: Option<Instant>,
}

/// Why no session has begun.
pub(super) enum Failure {
    Refused(Refusal),
    /// The client has gone.
    Lost,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Waits for `CONNECT` and answers it. What the client has sent behind it is left in `piece`.
pub(super) async fn connect<S: Send + Sync + 'static>(
    app: &App<S>,
    state: &S,
    connection: &mut Connection,
    opening: &mut Parts,
    decoder: &mut Decoder,
    piece: &mut Bytes,
) -> Result<Connected, Failure> {
    let first = timeout(app.options.connect_timeout, first_frame(connection, decoder, piece));
    let frame = first.await.map_err(|_| {
        Refusal::new("no CONNECT in time").details("No CONNECT has come within connect_timeout.")
    })??;
    app.counters.frame(frame.command);
    if !matches!(frame.command, Command::Connect | Command::Stomp) {
        let receipt = frame.headers.get_shared("receipt").cloned();
        return Err(Refusal::new("not connected").receipt(receipt).into());
    }
    let version = version(&frame.headers)?;
    let offer = match frame.headers.get("heart-beat") {
        Some(header) => Offer::parse(header).ok_or_else(|| Refusal::new("invalid heart-beat"))?,
        None => Offer::default(),
    };
    let heart_beats = HeartBeats::agree(offer, app.options.heart_beat, app.options.min_read_timeout);
    let link = connection.link();
    let deciding = timeout(app.options.connect_timeout, login(app, state, &link, opening, &frame));
    let login = deciding.await.map_err(|_| {
        tracing::warn!("on_connect has not finished within connect_timeout");
        Refusal::new("no login in time").details("on_connect has not finished within connect_timeout.")
    })??;
    decoder.set_version(version);
    // A time that no clock reaches is none.
    let expires_at = login.lifetime().and_then(|lifetime| Instant::now().checked_add(lifetime));

    let id = SessionId::random();
    let limits = app.options.outbox();
    if heart_beats.send.is_some() {
        link.stop_heartbeats();
    }
    // The name may be a part of all that was read at once.
    let name = login.name.as_ref().map(copy);
    let outbox = Arc::new(Outbox::new(id, name, version, connection.carriage(), limits, link));
    let client = Subscriber::new(outbox.clone());
    let session = Session::new(outbox.clone(), connection.peer_addr(), login.attributes);
    // The broker knows the user before the client knows that it is connected.
    let joining = timeout(app.options.connect_timeout, app.broker.connect(client));
    let joined = joining.await.unwrap_or_else(|late| Err(BrokerError::Unavailable(late.into())));
    let slot = Slot::new(joined.map_err(Refusal::from)?);
    app.counters.connected();
    app.registry.add(&session);
    app.event(&Event::Connected(session.clone()));
    outbox.control(connected(&session, &heart_beats));
    Ok(Connected { session, slot, heart_beats, expires_at })
}

async fn first_frame(
    connection: &mut Connection,
    decoder: &mut Decoder,
    piece: &mut Bytes,
) -> Result<Frame, Failure> {
    loop {
        *piece = connection.receive().await.map_err(|_| Failure::Lost)?;
        if let Some(frame) = decoder.decode(piece).map_err(Refusal::from)? {
            return Ok(frame);
        }
    }
}

/// Asks the application who the client is. Without a function for that, it is who the endpoint below has found out.
async fn login<S: Send + Sync + 'static>(
    app: &App<S>,
    state: &S,
    link: &Link,
    opening: &mut Parts,
    frame: &Frame,
) -> Result<Login, Refusal> {
    let Some(connector) = &app.connector else {
        return Ok(User::of_endpoint(link).map_or_else(Login::anonymous, |User(name)| Login::new(name)));
    };
    let inbound = Inbound {
        command: frame.command,
        destination: ByteString::new(),
        route: "".into(),
        params: Vec::new(),
        headers: frame.headers.clone(),
        body: Bytes::new(),
    };
    let context = Context { frame: &inbound, session: None, messenger: &app.messenger, link, opening };
    // Why is in the log, and not for the client.
    connector.connect(context, state).await.map_err(|_| Refusal::new("access refused"))
}

fn version(headers: &Headers) -> Result<Version, Refusal> {
    let Some(accepted) = headers.get("accept-version") else { return Ok(Version::V1_0) };
    Version::newest(accepted).ok_or_else(|| {
        Refusal::new("no common version")
            .header("version", "1.0,1.1,1.2")
            .details("This server speaks the versions 1.0, 1.1 and 1.2.")
    })
}

fn connected(session: &Session, heart_beats: &HeartBeats) -> Piece {
    let mut frame = String::with_capacity(192);
    frame.push_str("CONNECTED\n");
    let mut header = |name: &str, value: &str| write_header(&mut frame, None, name, value);
    header("version", session.version().as_str());
    header("session", &session.id().to_string());
    header("server", SERVER);
    header("heart-beat", &heart_beats.header());
    if let Some(user) = session.user() {
        header("user-name", user);
    }
    frame.push_str("\n\0");
    Piece::from(frame)
}
