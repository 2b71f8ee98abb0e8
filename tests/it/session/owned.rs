//! Messages whose bytes have an owner (`Bytes::from_owner`): its drop is code of the application's, which may ask the
//! library for anything.

use std::{sync::mpsc, thread};

use axum::body::Bytes;
use axum_sockjs::{CloseReason, Message, Options, Overflow, Pair, Peer, SendError, Session};
use futures_util::FutureExt as _;

use crate::support::{
    PATIENCE,
    in_process::{forgotten, polling},
};

/// Bytes whose owner asks something when it is dropped, and tells that it got an answer.
struct Owned {
    ask: Box<dyn Fn() + Send>,
    answered: mpsc::Sender<()>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        (self.ask)();
        self.answered.send(()).ok();
    }
}

fn owned(ask: impl Fn() + Send + 'static, answered: &mpsc::Sender<()>) -> Bytes {
    Bytes::from_owner(Owned { ask: Box::new(ask), answered: answered.clone() })
}

/// Runs a scene in which an owner is dropped, in a thread of its own: whoever waits for a lock that it holds itself does
/// so for ever.
#[track_caller]
fn expect_answer(what: &str, scene: impl FnOnce(&mpsc::Sender<()>) + Send + 'static) {
    let (answered, answer) = mpsc::channel();
    let scene = thread::spawn(move || scene(&answered));
    assert_eq!(answer.recv_timeout(PATIENCE), Ok(()), "{what}: no answer");
    scene.join().expect("the scene does not panic");
}

/// A session in process whose queue to the client is full with any message, and a message that asks for it.
fn with_message(answered: &mpsc::Sender<()>) -> (Session, Peer, Message) {
    let (session, peer) = Pair::new().options(&Options::new().send_queue_bytes(1)).open();
    let sender = session.sender();
    let ask = move || {
        let is_open = sender.try_send("goodbye").is_ok();
        assert!(!(is_open && sender.is_closed()));
    };
    (session, peer, Message::binary(owned(ask, answered)))
}

#[test]
fn an_owner_may_ask_for_its_session_when_its_message_does_not_leave() {
    type Way = fn(&mut Option<Session>, &mut Option<Peer>);
    let ways: [(&str, Way); 5] = [
        ("the client goes", |_, peer| drop(peer.take())),
        ("the client closes", |_, peer| peer.as_ref().unwrap().close(3000, "enough")),
        ("the client goes after the end", |session, peer| {
            drop(session.take());
            drop(peer.take());
        }),
        ("a newer one comes", |session, _| {
            let newer = session.as_ref().unwrap().try_send_with("newer", Overflow::DropOldest);
            assert_eq!(newer, Ok(()));
        }),
        ("one too many comes", |session, _| {
            let refused = session.as_ref().unwrap().try_send_with("too many", Overflow::Close);
            assert_eq!(refused, Err(SendError::Closed("too many".into())));
        }),
    ];
    for (what, way) in ways {
        expect_answer(what, move |answered| {
            let (session, peer, message) = with_message(answered);
            session.try_send(message).unwrap();
            way(&mut Some(session), &mut Some(peer));
        });
    }
}

#[test]
fn an_owner_may_ask_for_its_session_when_its_message_is_not_read() {
    expect_answer("the application goes", |answered| {
        let (session, peer, message) = with_message(answered);
        peer.send(message).now_or_never().expect("there is room").unwrap();
        drop(session);
    });
}

#[test]
fn an_owner_may_ask_for_its_endpoint() {
    expect_answer("a client stays away", |answered| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (stage, client, session) = polling().await;
            let handle = stage.endpoint.handle.clone();
            let ask = move || assert_eq!(handle.stats().total().opened, 1);
            session.try_send(Message::from_utf8(owned(ask, answered)).unwrap()).unwrap();
            drop(client);
            assert_eq!(session.closed().await, CloseReason::TimedOut);
            forgotten(stage.endpoint.handle).await;
        });
    });
}
