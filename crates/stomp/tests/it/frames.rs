//! Receipts, errors and the carriage of frames.

use axum_stomp::{
    AckMode, Bytes, ClientSend, Command, Encoded, Headers, Payload, SendTo, SendToUser, Stomp, StompOptions,
    Version,
};
use sockjs_client::{Frame, LoneSurrogates, Transport};
use sockjs_core::decode::Limits;

use crate::support::{Scene, Way};

fn anywhere() -> StompOptions {
    StompOptions::new().client_send(ClientSend::HANDLERS.broker(true).users(true))
}

fn relay() -> Stomp {
    Stomp::new().options(anywhere()).message("/echo", async |headers: Headers, body: Bytes| {
        let mut encoded = Encoded::new(body);
        encoded.headers = headers;
        SendToUser::new("/queue/echo", encoded).this_session_only()
    })
}

#[tokio::test(start_paused = true)]
async fn every_frame_has_its_receipt_in_order() {
    let scene = Scene::new(relay());
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        let frames = [
            "SUBSCRIBE\nid:a\ndestination:/topic/a\nreceipt:1\n\n^\n\r\n",
            "SEND\ndestination:/app/echo\nreceipt:2\n\nbody^",
            "SEND\ndestination:/queue/a\nreceipt:\n\nbody^",
            "BEGIN\ntransaction:t\nreceipt:a\\cb\\n\n\n^",
            "SEND\ndestination:/app/echo\ntransaction:t\nreceipt:5\n\nbody^",
            "COMMIT\ntransaction:t\nreceipt:6\n\n^",
            "BEGIN\ntransaction:t\nreceipt:7\n\n^",
            "ABORT\ntransaction:t\nreceipt:8\n\n^",
            "UNSUBSCRIBE\nid:a\nreceipt:9\n\n^",
            "UNSUBSCRIBE\nid:a\nreceipt:10\n\n^",
            "DISCONNECT\nreceipt:11\n\n^",
            "SEND\ndestination:/app/echo\nreceipt:12\n\nbody^",
        ];
        client.send(&frames.concat()).await;
        for receipt in ["1", "2", "", "a:b\n", "5", "6", "7", "8", "9", "10", "11"] {
            client.receipt(receipt).await;
        }
        client.closed().await.is(1000);
    }
    assert!(scene.registry().is_empty());
}

#[tokio::test(start_paused = true)]
async fn acks_have_receipts_and_no_effect_on_topics() {
    let scene = Scene::new(relay());
    let mut client = scene.connect(Way::SOCKET).await;
    client.ask("SUBSCRIBE\nid:a\nack:client\ndestination:/topic/a", "").await;
    assert_eq!(scene.session().subscriptions()[0].ack(), AckMode::Client);
    client.send("SEND\ndestination:/topic/a\n\nx^").await;
    let message = client.message().await;
    let id = message.headers.get("ack").unwrap().to_owned();
    client.ask(&format!("ACK\nid:{id}\nsubscription:a"), "").await;
    client.ask(&format!("NACK\nid:{id}"), "").await;
    client.send("ACK\nid:0-2\nreceipt:r\n\n^").await;
    let error = client.error().await;
    assert_eq!(error.headers.get("receipt-id"), Some("r"));
}

#[tokio::test(start_paused = true)]
async fn frames_before_a_bad_one_are_processed_and_none_behind_it() {
    let scene = Scene::new(relay());
    for (number, way) in Way::all().enumerate() {
        for (bad, message, receipt) in [
            ("SEND\nreceipt:2\n\n^", "missing header", Some("2")),
            ("NOTHING\nreceipt:2\n\n^", "malformed frame", Some("2")),
            ("SEND\nreceipt:2\ndestination:/app/echo\nbad\\x:1\n\n^", "malformed frame", Some("2")),
            ("SUBSCRIBE\nid:a\ndestination:/other\nreceipt:2\n\n^", "unknown destination", Some("2")),
            ("SEND\ndestination:/app/none\nreceipt:2\n\n^", "unknown destination", Some("2")),
            ("UNSUBSCRIBE\nreceipt:2\n\n^", "missing header", Some("2")),
            ("UNSUBSCRIBE\nid:a\nreceipt:2\n\nbody^", "malformed frame", Some("2")),
            ("ACK\nreceipt:2\nmessage-id:0-1\n\n^", "missing header", Some("2")),
        ] {
            let mut client = scene.connect(way).await;
            let mut other = scene.connect(Way::Stream).await;
            other.subscribe("x", &format!("/topic/{number}")).await;
            let send = |body| format!("SEND\ndestination:/topic/{number}\nreceipt:1\n\n{body}^");
            client.send(&format!("{}{bad}{}", send("before"), send("behind"))).await;
            client.receipt("1").await;
            let error = client.error().await;
            assert_eq!(error.headers.get("message"), Some(message), "{way} {bad:?}");
            assert_eq!(error.headers.get("receipt-id"), receipt, "{way} {bad:?}");
            assert_eq!(other.body().await, "before", "{way}");
            other.send("DISCONNECT\n\n^").await;
            other.closed().await.is(1000);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_arrives_although_the_client_still_sends() {
    let scene = Scene::new(relay());
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.send("SEND\nreceipt:r\n\n^").await;
        // More than the connection holds.
        let more = format!("SEND\ndestination:/app/echo\n\n{}^", "x".repeat(60_000));
        let mut sent = 0;
        while sent < 20 && client.try_send(&more).await {
            sent += 1;
        }
        let error = client.error().await;
        assert_eq!(error.headers.get("receipt-id"), Some("r"), "{way}");
    }
    assert_eq!(scene.registry().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_frame_may_be_cut_anywhere() {
    let scene = Scene::new(relay());
    let text = "SEND\ndestination:/app/echo\nlong:é😀\n\n–😀é^";
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/user/queue/echo").await;
        for (at, _) in text.char_indices().skip(1).step_by(3) {
            client.send(&text[..at]).await;
            client.send("").await;
            client.send(&text[at..]).await;
            let message = client.message().await;
            assert_eq!(message.body, "–😀é", "{way}");
            assert_eq!(message.headers.get("content-length"), Some("9"), "{way}");
            assert_eq!(message.headers.get("long"), Some("é😀"), "{way}");
        }
    }
    for way in [Way::Stream, Way::SockJs(Transport::RawWebSocket)] {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/user/queue/echo").await;
        let bytes = text.replace('^', "\0").into_bytes();
        for at in 1..bytes.len() {
            client.send_bytes(&bytes[..at]).await;
            client.send_bytes(&bytes[at..]).await;
            assert_eq!(client.body().await, "–😀é", "{way}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_character_that_a_client_has_cut_is_joined() {
    let scene = Scene::new(relay());
    for transport in Transport::ALL.iter().filter(|transport| transport.is_framed()) {
        let mut client = scene.connect(Way::SockJs(*transport)).await;
        client.subscribe("a", "/user/queue/echo").await;
        // As stompjs splits: by UTF-16, between the halves of a pair.
        let half = |text: &str| {
            let limits = Limits::new(100).with_lone_surrogates(LoneSurrogates::Keep);
            match Frame::parse(&format!("a[\"{text}\"]"), limits) {
                Ok(Frame::Messages(mut messages)) => messages.remove(0),
                other => panic!("{other:?}"),
            }
        };
        client.sockjs().send(half(r"SEND\ndestination:/app/echo\n\na\ud83d")).await;
        client.sockjs().send(half(r"\ude00b\u0000")).await;
        let message = client.message().await;
        assert_eq!(message.body, "a😀b", "{transport}");
        client.sockjs().send(half(r"SEND\ndestination:/app/echo\n\na\ud83db\u0000")).await;
        assert_eq!(client.body().await, "a\u{FFFD}b", "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_text_are_binary_or_base64() {
    let scene = Scene::new(Stomp::new());
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/a").await;
        let send = |payload: Encoded| scene.messenger().send("/topic/a", payload);
        send(Encoded::new(&b"a\0\xff"[..])).await.unwrap();
        let message = client.message().await;
        if way.is_binary() {
            assert_eq!(message.body, &b"a\0\xff"[..], "{way}");
            assert!(client.last_was_binary || way == Way::Stream, "{way}");
        } else {
            assert_eq!(message.body, "YQD/", "{way}");
            assert_eq!(message.headers.get("content-transfer-encoding"), Some("base64"), "{way}");
        }
        // Text with a NUL is text.
        send(Encoded::new("a\0é")).await.unwrap();
        let message = client.message().await;
        assert_eq!((&message.body[..], client.last_was_binary), ("a\0é".as_bytes(), false), "{way}");
        assert_eq!(message.headers.get("content-length"), Some("4"), "{way}");
        send(Encoded::new("text").content_type("application/octet-stream")).await.unwrap();
        assert_eq!(client.body().await, "text", "{way}");
        assert_eq!(client.last_was_binary, way == Way::SockJs(Transport::RawWebSocket), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_as_they_were_sent_where_the_way_carries_them() {
    let scene = Scene::new(relay());
    for way in [Way::Stream, Way::SockJs(Transport::RawWebSocket)] {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/user/queue/echo").await;
        client.send_bytes(b"SEND\ndestination:/app/echo\ncontent-length:4\n\n\0\xff\0\xfe\0").await;
        assert_eq!(client.message().await.body, &b"\0\xff\0\xfe"[..], "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_for_the_server_do_not_travel_on() {
    let scene = Scene::new(relay());
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/a").await;
        let own = "own:1\nown:2\ncontent-type:text/x";
        let not = "receipt:r\nlogin:l\npasscode:p\nack:a\nsubscription:s\nmessage-id:m\nredelivered:true";
        client.send(&format!("SEND\ndestination:/topic/a\n{own}\n{not}\n\nbody^")).await;
        let message = client.message().await;
        let headers: Vec<_> = message.headers.iter().collect();
        let expected = [
            ("subscription", "a"),
            ("message-id", message.headers.get("message-id").unwrap()),
            ("destination", "/topic/a"),
            ("content-length", "4"),
            ("own", "1"),
            ("content-type", "text/x"),
        ];
        assert_eq!(headers, expected, "{way}");
        client.receipt("r").await;
        client.send("BEGIN\ntransaction:t\n\n^SEND\ntransaction:t\ndestination:/topic/a\n\n^").await;
        client.send("COMMIT\ntransaction:t\n\n^").await;
        assert!(!client.message().await.headers.contains("transaction"), "{way}");
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
}

#[tokio::test(start_paused = true)]
async fn headers_are_escaped_by_the_version_of_each_session() {
    let scene = Scene::new(relay());
    let mut clients = Vec::new();
    for version in Version::ALL {
        let mut client = scene.connect_with(Way::SOCKET, &format!("accept-version:{version}\n")).await;
        client.subscribe("a", "/topic/**").await;
        clients.push((version, client));
    }
    let value = "a:b\\c\r\nevil:1";
    let payload = "x".with_header("own", value);
    scene.messenger().send("/topic/a\nevil:2", payload).await.unwrap();
    for (version, client) in &mut clients {
        let message = client.message().await;
        let (own, destination) = match *version {
            Version::V1_0 => ("a:b\\c\\nevil:1", "/topic/a\\nevil:2"),
            Version::V1_1 => ("a:b\\c\nevil:1", "/topic/a\nevil:2"),
            Version::V1_2 => (value, "/topic/a\nevil:2"),
        };
        assert_eq!(message.headers.get("own"), Some(own), "{version}");
        assert_eq!(message.headers.get("destination"), Some(destination), "{version}");
        assert!(!message.headers.contains("evil"), "{version}");
    }
    // What a client of 1.0 sends is no escape.
    let (_, old) = &mut clients[0];
    old.send("SEND\ndestination:/topic/a\npath: C:\\temp \n\n^").await;
    for (version, client) in &mut clients {
        assert_eq!(client.message().await.headers.get("path"), Some("C:\\temp"), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_message_arrives_whole() {
    let options = anywhere().max_body_bytes(2 << 20);
    let scene = Scene::new(Stomp::new().options(options));
    let body = "0123456789é\"\n\\".repeat(20_000);
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/a").await;
        client.send(&format!("SEND\ndestination:/topic/a\n\n{body}^")).await;
        assert!(client.body().await == body, "{way}");
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_of_a_subscription_means_that_later_messages_are_seen() {
    let scene = Scene::new(relay());
    let mut clients = Vec::new();
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/*").await;
        assert_eq!(scene.messenger().send("/topic/a", "x").await.unwrap().delivered, clients.len() + 1);
        clients.push(client);
    }
    // And that of an UNSUBSCRIBE, that none is.
    let all = clients.len();
    for (gone, client) in clients.iter_mut().enumerate() {
        for _ in gone..all {
            assert_eq!(client.body().await, "x");
        }
    }
    let mut client = scene.connect(Way::SOCKET).await;
    client.subscribe("a", "/topic/b").await;
    client.ask("UNSUBSCRIBE\nid:a", "").await;
    scene.messenger().send("/topic/b", "x").await.unwrap();
    client.send("DISCONNECT\nreceipt:r\n\n^").await;
    client.receipt("r").await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_1_0_has_a_destination_and_no_id() {
    let scene = Scene::new(relay());
    let mut client = scene.connect_with(Way::SOCKET, "").await;
    client.ask("SUBSCRIBE\ndestination:/topic/a", "").await;
    client.send("SEND\ndestination:/topic/a\n\nx^").await;
    let message = client.message().await;
    assert_eq!((message.command, message.headers.get("subscription")), (Command::Message, None));
    client.ask("UNSUBSCRIBE\ndestination:/topic/a", "").await;
    client.ask("SEND\ndestination:/topic/a", "x").await;
    client.send("NACK\nmessage-id:0-1\n\n^").await;
    assert!(client.refusal().await.starts_with("malformed frame: "));
}

#[tokio::test(start_paused = true)]
async fn escapes_may_be_lenient() {
    let options = anywhere().lenient_escapes(true);
    let scene = Scene::new(Stomp::new().options(options).message("/a", async |headers: Headers| {
        SendTo::new("/topic/a", headers.get("path").unwrap_or("none").to_owned())
    }));
    let mut client = scene.connect(Way::SOCKET).await;
    client.subscribe("a", "/topic/a").await;
    client.send("SEND\ndestination:/app/a\npath:C:\\temp\n\n^").await;
    assert_eq!(client.body().await, "C:\\temp");
}
