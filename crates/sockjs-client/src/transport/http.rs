//! The transports over HTTP: responses that bring frames, and requests that take messages.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sockjs_core::{
    Frame, Message, Transport,
    body::{FrameDecoder, FrameError},
    decode::DecodeError,
};
use tokio::{
    task::coop::consume_budget,
    time::{Instant, sleep},
};
use url::Url;

use super::{Settings, unless_silent};
use crate::{
    error::Error,
    http::{Http, discard, refused},
};

/// How long a browser waits before it opens an event stream again.
const EVENT_SOURCE_DELAY: Duration = Duration::from_millis(200);

/// The delays after answers without a frame, which would be a loop without a rest. The first one is short: a server may
/// end a stream when it restarts.
const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The end of the name of the function that a response with a script calls.
const CALLBACK: &str = "_jp.a";

/// The frames of one response.
#[derive(Debug)]
struct Frames {
    body: Incoming,
    decoder: FrameDecoder,
    /// What has arrived and is not decoded yet.
    piece: Bytes,
}

/// Receives frames over as many requests as it takes.
#[derive(Debug)]
pub(crate) struct Receiver {
    transport: Transport,
    url: Url,
    http: Http,
    settings: Settings,
    response: Option<Frames>,
    /// Whether this response was worth its request: it has brought a frame, other than a heartbeat at once.
    has_frame: bool,
    /// When it was asked for.
    asked: Instant,
    delay: Duration,
    has_heartbeats: bool,
}

impl Receiver {
    pub(crate) fn new(transport: Transport, mut url: Url, http: Http, settings: &Settings) -> Self {
        if matches!(transport, Transport::HtmlFile | Transport::JsonpPolling) {
            url.query_pairs_mut().append_pair("c", CALLBACK);
        }
        let settings = settings.clone();
        Self {
            transport,
            url,
            http,
            settings,
            response: None,
            has_frame: true,
            asked: Instant::now(),
            delay: FIRST_DELAY,
            has_heartbeats: false,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            // A server that sends what says nothing, without a pause, must not hold up this thread.
            consume_budget().await;
            let Some(response) = &mut self.response else {
                self.request().await?;
                continue;
            };
            match response.decoder.decode(&mut response.piece) {
                Ok(Some(frame)) => {
                    let is_empty = match &frame {
                        Frame::Heartbeat => true,
                        Frame::Messages(messages) => messages.is_empty(),
                        _ => false,
                    };
                    self.has_frame |= !is_empty || self.asked.elapsed() >= self.delay;
                    self.has_heartbeats |= frame == Frame::Heartbeat;
                    return Ok(frame);
                }
                Ok(None) => {}
                Err(FrameError::FrameTooLong | FrameError::Decode(DecodeError::TooManyMessages)) => {
                    return Err(Error::FrameTooLong);
                }
                Err(FrameError::Decode(DecodeError::LoneSurrogate)) => return Err(Error::LoneSurrogate),
                // What is not understood is dropped.
                Err(_) => continue,
            }
            let silence = self.settings.silence;
            let silence = if self.transport.is_polling() {
                silence.limit()
            } else {
                silence.on_stream(self.has_heartbeats)
            };
            match unless_silent(silence, response.body.frame()).await? {
                Some(Ok(piece)) => {
                    if let Ok(data) = piece.into_data() {
                        response.piece = data;
                    }
                }
                None => self.rest().await,
                // A browser opens an event stream again, however it ended.
                Some(Err(_)) if self.transport == Transport::EventSource => self.rest().await,
                Some(Err(error)) => return Err(Error::Lost(error.into())),
            }
        }
    }

    /// The response has ended: waits as long as the next request has to.
    async fn rest(&mut self) {
        self.response = None;
        if self.has_frame {
            self.delay = FIRST_DELAY;
        } else {
            sleep(self.delay).await;
            self.delay = (2 * self.delay).min(LONGEST_DELAY);
        }
        if self.transport == Transport::EventSource {
            sleep(EVENT_SOURCE_DELAY).await;
        }
    }

    async fn request(&mut self) -> Result<(), Error> {
        let (method, accept) = match self.transport {
            Transport::XhrPolling | Transport::XhrStreaming => (Method::POST, "*/*"),
            Transport::EventSource => (Method::GET, "text/event-stream"),
            _ => (Method::GET, "*/*"),
        };
        let mut headers = vec![
            (header::ACCEPT, HeaderValue::from_static(accept)),
            // A cache would give an old session's frames.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        // A page of any origin can make a browser send this request with its cookies, so servers want to know which one it
        // was: this server's own.
        let origin = HeaderValue::try_from(self.url.origin().ascii_serialization());
        if self.transport == Transport::EventSource {
            headers.extend(origin.map(|origin| (header::ORIGIN, origin)));
        }
        self.asked = Instant::now();
        let request = self.http.send(method, &self.url, &headers, Bytes::new());
        let response = unless_silent(self.settings.silence.limit(), request).await??;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        let content_type =
            response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if self.transport == Transport::EventSource
            && !content_type.to_ascii_lowercase().starts_with(b"text/event-stream")
        {
            return Err(Error::InvalidResponse("the server's answer is no event stream".into()));
        }
        let decoder = FrameDecoder::new(self.transport, self.settings.max_frame_bytes, self.settings.limits);
        let decoder = decoder.ok_or_else(|| Error::InvalidResponse("a WebSocket has no response".into()))?;
        self.response = Some(Frames { body: response.into_body(), decoder, piece: Bytes::new() });
        self.has_frame = false;
        Ok(())
    }
}

/// Sends messages, one request after the other.
#[derive(Debug)]
pub(crate) struct Sender {
    url: Url,
    http: Http,
    /// Whether the messages are a field of a form: that is how pages send to another origin without a script.
    is_form: bool,
}

impl Sender {
    pub(crate) fn new(transport: Transport, url: Url, http: Http) -> Self {
        Self { url, http, is_form: transport == Transport::JsonpPolling }
    }

    pub(crate) async fn send(&self, messages: &mut Vec<Message>) -> Result<(), Error> {
        let response = self.post(payload(messages)).await.map_err(|error| Error::Sending(Box::new(error)))?;
        messages.clear();
        discard(response).await;
        Ok(())
    }

    async fn post(&self, payload: Bytes) -> Result<Response<Incoming>, Error> {
        // Types that a browser may send to another origin without asking first. The browser's client has them, so every
        // server takes them.
        let (content_type, body) = if self.is_form {
            ("application/x-www-form-urlencoded", form(&payload))
        } else {
            ("text/plain", payload)
        };
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        let response = self.http.send(Method::POST, &self.url, &headers, body).await?;
        match response.status() {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(response),
            _ => Err(refused(response).await),
        }
    }
}

/// The form that brings a payload.
fn form(payload: &[u8]) -> Bytes {
    let mut form = "d=".to_owned();
    form.extend(url::form_urlencoded::byte_serialize(payload));
    form.into()
}

/// An array of messages in JSON.
pub(super) fn payload(messages: &[Message]) -> Bytes {
    let length = messages.iter().map(|message| message.quoted().len() + 1).sum::<usize>() + 1;
    let mut payload = Vec::with_capacity(length);
    for message in messages {
        payload.push(if payload.is_empty() { b'[' } else { b',' });
        payload.extend_from_slice(message.quoted());
    }
    payload.push(b']');
    payload.into()
}
