//! Random messages, stalls and closes on both sides: nothing is lost, copied, reordered or altered before the end, and
//! what is on its way is bounded.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// By the client, if it need not wait.
    ClientSends(usize),
    BackendSends(usize),
    ClientReads(usize),
    BackendReads(usize),
    BackendPings,
    /// Seconds.
    Wait(u32),
}

#[derive(Debug, Clone, Copy)]
enum Last {
    ClientCloses,
    BackendCloses,
}

const QUEUE: usize = 4_000;
const PIPE: usize = 2_000;
const MOST: usize = 3_000;

/// The buffers of the library.
const BUFFERS: usize = (16 << 10) + (4 << 10);

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..MOST).prop_map(Step::ClientSends),
        4 => (0..MOST).prop_map(Step::BackendSends),
        2 => (0..10_usize).prop_map(Step::ClientReads),
        2 => (0..10_usize).prop_map(Step::BackendReads),
        1 => Just(Step::BackendPings),
        1 => (0..4_u32).prop_map(Step::Wait),
    ]
}

/// Texts that differ, of about this length.
fn text(number: usize, length: usize) -> String {
    let mut text = format!("{number}\"\u{e9}");
    text.extend(std::iter::repeat_n('x', length));
    text
}

struct Model {
    scene: Scene,
    number: usize,
    to_backend: VecDeque<String>,
    to_client: VecDeque<String>,
    /// A future that was dropped has sent its message in part: it is flushed before the next.
    unflushed: bool,
}

impl Model {
    async fn step(&mut self, step: Step) {
        const MOMENT: Duration = Duration::from_millis(1);
        match step {
            Step::ClientSends(length) => {
                self.number += 1;
                let text = text(self.number, length);
                if tokio::time::timeout(MOMENT, self.scene.client.send(text.clone())).await.is_ok() {
                    self.to_backend.push_back(text);
                }
            }
            Step::BackendSends(length) => {
                if self.unflushed {
                    self.unflushed = tokio::time::timeout(MOMENT, self.scene.backend.flush()).await.is_err();
                }
                if !self.unflushed {
                    self.number += 1;
                    let text = text(self.number, length);
                    let sent = self.scene.backend.send(WsMessage::text(text.clone()));
                    self.unflushed = tokio::time::timeout(MOMENT, sent).await.is_err();
                    self.to_client.push_back(text);
                }
            }
            Step::ClientReads(count) => {
                for _ in 0..count {
                    let Some(message) = self.scene.client.try_recv() else { break };
                    assert_eq!(message, self.to_client.pop_front().unwrap());
                    tokio::task::yield_now().await;
                }
            }
            Step::BackendReads(count) => {
                for _ in 0..count {
                    match tokio::time::timeout(MOMENT, self.scene.backend.next()).await {
                        Ok(Some(Ok(WsMessage::Text(text)))) => {
                            assert_eq!(text, self.to_backend.pop_front().unwrap());
                        }
                        Ok(Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_)))) => {}
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => break,
                    }
                }
            }
            Step::BackendPings => {
                if !self.unflushed {
                    let sent = self.scene.backend.send(WsMessage::Ping("ping".into()));
                    self.unflushed = tokio::time::timeout(MOMENT, sent).await.is_err();
                }
            }
            Step::Wait(seconds) => tokio::time::sleep(seconds * SECOND).await,
        }
        // Each queue and pipe is as full as it may be, each buffer of the library has as much again, and a message each
        // is under way.
        let bound = QUEUE + MOST + PIPE + BUFFERS + 3 * (MOST + 20);
        for queue in [&self.to_backend, &self.to_client] {
            let bytes: usize = queue.iter().map(String::len).sum();
            assert!(bytes <= bound, "{bytes} bytes are on their way, {bound} may be");
        }
    }

    async fn finish(mut self, last: Last) {
        match last {
            Last::ClientCloses => {
                self.scene.client.close(4001, "client");
                loop {
                    match self.scene.backend.next().await {
                        Some(Ok(WsMessage::Text(text))) => {
                            assert_eq!(text, self.to_backend.pop_front().unwrap())
                        }
                        Some(Ok(WsMessage::Close(told))) => {
                            assert_eq!(WsMessage::Close(told), frame(4001, "client"));
                            break;
                        }
                        Some(Ok(_)) => {}
                        other => panic!("{other:?}"),
                    }
                }
                assert!(self.to_backend.is_empty(), "{} are missing", self.to_backend.len());
            }
            Last::BackendCloses => {
                let Scene { mut client, mut backend, .. } = self.scene;
                let closes = tokio::spawn(async move {
                    backend.send(frame(4002, "backend")).await.unwrap();
                    // What the client sends until it knows is nobody's.
                    while backend.next().await.is_some_and(|message| message.is_ok()) {}
                });
                while let Some(message) = client.recv().await {
                    assert_eq!(message, self.to_client.pop_front().unwrap());
                }
                assert_eq!(client.close_frame().unwrap().code(), 4002);
                assert!(self.to_client.is_empty(), "{} are missing", self.to_client.len());
                closes.await.unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_lost_copied_or_reordered(
        steps in proptest::collection::vec(step(), 0..120),
        is_framed in any::<bool>(),
        last in prop_oneof![Just(Last::ClientCloses), Just(Last::BackendCloses)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let transport = if is_framed { Transport::WebSocket } else { Transport::RawWebSocket };
            let options = Options::new().send_queue_bytes(QUEUE).receive_queue_bytes(QUEUE);
            let settings = Settings { ping_interval: None, ..SETTINGS };
            let scene = Plan { transport, options, settings, pipe: PIPE }.start().await;
            let mut model = Model {
                scene,
                number: 0,
                to_backend: VecDeque::new(),
                to_client: VecDeque::new(),
                unflushed: false,
            };
            for step in steps {
                model.step(step).await;
            }
            model.finish(last).await;
        });
    }
}
