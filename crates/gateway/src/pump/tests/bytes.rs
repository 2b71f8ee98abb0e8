//! Whatever a backend sends after the handshake, the session ends in order and in time.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

/// Frames that are nearly right get further than noise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let nearly = (any::<u8>(), 0..10_u8, proptest::collection::vec(any::<u8>(), 0..10))
        .prop_map(|(first, length, payload)| [&[first, length][..], &payload].concat());
    let text = proptest::collection::vec(b'a'..=b'z', 0..100)
        .prop_map(|text| [&[0x81, text.len() as u8][..], &text].concat());
    prop_oneof![nearly, text, proptest::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #[test]
    fn any_bytes_of_a_backend_end_in_order(
        pieces in proptest::collection::vec(piece(), 0..10),
        is_framed in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let transport = if is_framed { Transport::WebSocket } else { Transport::RawWebSocket };
            let (mut client, mut far, pump) = Plan { transport, ..Plan::default() }.raw().await;
            let start = tokio::time::Instant::now();
            for piece in pieces {
                // It may have ended.
                far.write_all(&piece).await.ok();
                tokio::task::yield_now().await;
            }
            far.shutdown().await.ok();
            while client.recv().await.is_some() {}
            let told = client.close_frame().unwrap().clone();
            let ended = pump.await.unwrap();
            assert_eq!(ended.frame, told);
            assert!(start.elapsed() <= Duration::from_secs(6), "{:?}", start.elapsed());
        });
    }
}
