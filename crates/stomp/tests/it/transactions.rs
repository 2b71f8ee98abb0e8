//! Transactions from end to end.

use axum_stomp::{
    ClientSend, SendToUser, Stomp, StompOptions,
    broker::memory::{MemoryBroker, QueueMode},
};

use crate::support::{Scene, Way};

fn scene() -> Scene {
    let stomp = Stomp::new()
        .options(StompOptions::new().client_send(ClientSend::HANDLERS.broker(true)))
        .broker(MemoryBroker::builder().queue_mode(QueueMode::Competing).build())
        .message("/echo", async |body: String| SendToUser::new("/queue/echo", body))
        .message("/fail", async || -> () { panic!("a bug") });
    Scene::new(stomp)
}

#[tokio::test(start_paused = true)]
async fn a_commit_does_all_in_order_and_an_abort_nothing() {
    let scene = scene();
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("t", "/topic/a").await;
        client.subscribe("e", "/user/queue/echo").await;
        let send = |transaction: &str, destination: &str, body: &str| {
            format!("SEND\ndestination:{destination}\ntransaction:{transaction}\nreceipt:{body}\n\n{body}^")
        };
        client.send("BEGIN\ntransaction:a\n\n^BEGIN\ntransaction:b\n\n^").await;
        for (transaction, destination, body) in
            [("a", "/topic/a", "1"), ("b", "/topic/a", "2"), ("a", "/app/echo", "3"), ("a", "/topic/a", "4")]
        {
            client.send(&send(transaction, destination, body)).await;
            client.receipt(body).await;
        }
        client.send("ABORT\ntransaction:b\nreceipt:abort\n\n^").await;
        client.receipt("abort").await;
        client.send("COMMIT\ntransaction:a\nreceipt:commit\n\n^").await;
        for body in ["1", "3", "4"] {
            assert_eq!(client.body().await, body, "{way}");
        }
        client.receipt("commit").await;
        client.send("COMMIT\ntransaction:a\nreceipt:r\n\n^").await;
        assert_eq!(client.refusal().await, "no such transaction: ", "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_beside_others_run_one_after_the_other_in_a_commit() {
    let slower_first = async |body: String| {
        let seconds = body.parse().expect("a number");
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        SendToUser::new("/queue/echo", body)
    };
    let scene = Scene::new(Stomp::new().message_parallel("/sleep", slower_first));
    let mut client = scene.connect(Way::SOCKET).await;
    client.subscribe("e", "/user/queue/echo").await;
    client.send("BEGIN\ntransaction:t\n\n^").await;
    for body in ["3", "2", "1"] {
        client.ask("SEND\ndestination:/app/sleep\ntransaction:t", body).await;
    }
    client.send("COMMIT\ntransaction:t\nreceipt:commit\n\n^").await;
    for body in ["3", "2", "1"] {
        assert_eq!(client.body().await, body);
    }
    client.receipt("commit").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_committed_is_dropped_at_the_end() {
    let scene = scene();
    let mut other = scene.connect(Way::SOCKET).await;
    other.subscribe("a", "/topic/a").await;
    for way in Way::all() {
        for end in ["DISCONNECT\n\n^", "SEND\n\n^", ""] {
            let mut client = scene.connect(way).await;
            let send = "BEGIN\ntransaction:a\n\n^SEND\ndestination:/topic/a\ntransaction:a\n\nx^";
            client.send(&format!("{send}{end}")).await;
            if end.is_empty() {
                client.ask("UNSUBSCRIBE\nid:a", "").await;
                client.abort();
            } else {
                while client.next().await.is_some() {}
            }
        }
    }
    scene.events.after_ends(3 * Way::all().count()).await;
    other.ask("UNSUBSCRIBE\nid:none", "").await;
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_waits_for_the_commit() {
    for (end, redelivered) in [("COMMIT", false), ("ABORT", true)] {
        let scene = scene();
        let mut client = scene.connect(Way::SOCKET).await;
        client.ask("SUBSCRIBE\nid:q\ndestination:/queue/a\nack:client", "").await;
        scene.messenger().send("/queue/a", "x").await.unwrap();
        let ack = client.message().await.headers.get("ack").unwrap().to_owned();
        client.send("BEGIN\ntransaction:t\n\n^").await;
        client.ask(&format!("ACK\nid:{ack}\ntransaction:t"), "").await;
        client.ask(&format!("{end}\ntransaction:t"), "").await;
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
        let mut other = scene.connect(Way::SOCKET).await;
        other.send("SUBSCRIBE\nid:q\ndestination:/queue/a\n\n^").await;
        if redelivered {
            assert_eq!(other.body().await, "x");
        }
        other.ask("UNSUBSCRIBE\nid:q", "").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_an_error() {
    let scene = scene();
    let mut client = scene.connect(Way::SOCKET).await;
    client.subscribe("t", "/topic/a").await;
    client.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/topic/a\ntransaction:t\n\n1^").await;
    client.send("SEND\ndestination:/app/fail\ntransaction:t\n\n^").await;
    client.send("SEND\ndestination:/topic/a\ntransaction:t\n\n2^COMMIT\ntransaction:t\nreceipt:c\n\n^").await;
    assert_eq!(client.body().await, "1");
    let error = client.error().await;
    assert_eq!(error.headers.get("receipt-id"), Some("c"));
}
