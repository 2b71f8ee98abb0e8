//! The chat of a backend, over one WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{sync::broadcast::error::RecvError, time::MissedTickBehavior};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

use crate::{backend::Served, log::What};

/// Characters.
const LONGEST_NAME: usize = 30;
const LONGEST_LINE: usize = 500;

/// A line of the chat, which both backends have in common, as if they had it from one database.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Said {
    from: String,
    backend: &'static str,
    text: String,
}

#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) name: String,
    pub(crate) tab: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Say {
        text: String,
    },
    /// Asks the backend to close the WebSocket.
    Close {
        code: u16,
        reason: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    Hello { backend: &'static str, name: &'a str },
    Said(Said),
    Tick { count: u64 },
}

pub(crate) async fn talk(
    mut socket: WebSocketStream<TokioIo<Upgraded>>,
    Visitor { name, tab }: Visitor,
    served: &Served,
) {
    let add = |what| served.log.add(served.name, &tab, what);
    add(What::Opened);
    let name: String = name.chars().take(LONGEST_NAME).collect();
    let mut said = served.room.subscribe();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.reset();
    let mut count = 0;
    let mut next = Some(ToPage::Hello { backend: served.name, name: &name });
    loop {
        if let Some(message) = next.take() {
            let text = serde_json::to_string(&message).expect("it has texts and numbers");
            add(What::Sent { text: text.clone() });
            if socket.send(Message::text(text)).await.is_err() {
                return add(What::Lost);
            }
        }
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    add(What::Received { text: text.to_string() });
                    match serde_json::from_str(&text) {
                        Ok(FromPage::Say { text }) => {
                            let text = text.chars().take(LONGEST_LINE).collect();
                            // An error says that nobody is here, but this one is.
                            served.room.send(Said { from: name.clone(), backend: served.name, text }).ok();
                        }
                        Ok(FromPage::Close { code: code @ 3000..=4999, reason }) if reason.len() <= 123 => {
                            add(What::Closes { code, reason: reason.clone() });
                            let frame = CloseFrame { code: code.into(), reason: reason.into() };
                            socket.close(Some(frame)).await.ok();
                            // Until the gateway has answered it.
                            while let Some(Ok(_)) = socket.next().await {}
                            return;
                        }
                        Ok(FromPage::Close { .. }) | Err(_) => {}
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = match frame {
                        Some(frame) => (frame.code.into(), frame.reason.to_string()),
                        None => (1005, String::new()),
                    };
                    add(What::Closed { code, reason });
                    // The answer to it leaves.
                    while let Some(Ok(_)) = socket.next().await {}
                    return;
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return add(What::Lost),
            },
            line = said.recv() => match line {
                Ok(line) => next = Some(ToPage::Said(line)),
                // Somebody who reads slowly misses lines here.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => {
                count += 1;
                next = Some(ToPage::Tick { count });
            }
        }
    }
}
