//! Who may send and subscribe where.

use axum_stomp::{Access, ByteString, ClientSend, Decision, Denial, Stomp, StompOptions, User};

use crate::support::{Scene, Way};

async fn rule(access: Access, user: Option<User>) -> Decision {
    match &*access.destination {
        "/topic/refused" => Decision::Refuse,
        "/topic/closed" => Decision::Close,
        "/topic/panic" => panic!("a bug"),
        "/topic/anna" if user.is_none_or(|user| user.0 != "anna") => Decision::Deny,
        _ => Decision::Allow,
    }
}

#[tokio::test(start_paused = true)]
async fn by_default_clients_send_to_handlers_only() {
    let scene = Scene::new(Stomp::new().message("/a", async || ()));
    for way in Way::all() {
        for (destination, option) in [
            ("/topic/a", "client_send, broker"),
            ("/queue/a", "client_send, broker"),
            ("/user/anna/queue/a", "client_send, users"),
        ] {
            let mut client = scene.connect(way).await;
            client.ask("SEND\ndestination:/app/a", "").await;
            client.send(&format!("SEND\ndestination:{destination}\nreceipt:r\n\n^")).await;
            let refusal = client.refusal().await;
            assert!(
                refusal.starts_with("not allowed to send here: ") && refusal.contains(option),
                "{refusal}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_settings_deny_may_keep_the_session_and_is_not_judged() {
    async fn never(access: Access) -> bool {
        assert_eq!(access.destination, "/user/queue/errors");
        true
    }

    let scene = Scene::new(Stomp::new().options(StompOptions::new().denial(Denial::Refuse)).authorize(never));
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("e", "/user/queue/errors").await;
        for destination in ["/topic/a", "/user/anna/queue/a", "/queue/a\ntransaction:none"] {
            client.send(&format!("SEND\ndestination:{destination}\nreceipt:r\n\n^")).await;
            let told = client.message().await;
            assert_eq!(told.headers.get("message"), Some("not allowed to send here"), "{way}");
            assert_eq!(told.body, "not allowed to send here", "{way}");
        }
        // And there is no receipt. What is no destination is another matter.
        client.send("SEND\ndestination:/a\nreceipt:r\n\n^").await;
        assert_eq!(client.refusal().await, "unknown destination: Nothing serves this destination.");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_denies_what_the_settings_allow() {
    for denial in [Denial::Close, Denial::Refuse] {
        let options = StompOptions::new().client_send(ClientSend::HANDLERS.broker(true)).denial(denial);
        let scene = Scene::new(Stomp::new().options(options).authorize(rule));
        for way in Way::all() {
            for frame in ["SEND", "SUBSCRIBE\nid:x", "SEND\ntransaction:t"] {
                let mut client = scene.connect(way).await;
                client.subscribe("e", "/user/queue/errors").await;
                client.send("BEGIN\ntransaction:t\n\n^").await;
                for destination in ["anna", "panic", "refused"] {
                    client.send(&format!("{frame}\ndestination:/topic/{destination}\nreceipt:r\n\n^")).await;
                    if denial == Denial::Close && destination != "refused" {
                        let error = client.error().await;
                        assert_eq!(error.headers.get("message"), Some("access denied"), "{way}");
                        assert_eq!(error.headers.get("receipt-id"), Some("r"), "{way}");
                        client = scene.connect(way).await;
                        client.subscribe("e", "/user/queue/errors").await;
                        client.send("BEGIN\ntransaction:t\n\n^").await;
                    } else {
                        // And no receipt.
                        assert_eq!(client.body().await, "access denied", "{way}");
                    }
                }
                // What is denied is no subscription.
                client.ask("UNSUBSCRIBE\nid:x", "").await;
                client.ask("SUBSCRIBE\nid:x\ndestination:/topic/a", "").await;
                client.send(&format!("{frame}\ndestination:/topic/closed\nreceipt:r\n\n^")).await;
                let expected = if frame.starts_with("SUB") {
                    "subscription already exists: "
                } else {
                    "access denied: "
                };
                assert_eq!(client.refusal().await, expected, "{way}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_sees_the_user_and_what_is_asked_for() {
    async fn staff(access: Access, user: Option<User>) -> bool {
        assert_ne!(access.is_send(), access.is_subscribe());
        user.is_some_and(|user| access.destination.ends_with(&*user.0))
    }

    let stomp = Stomp::new()
        .on_connect(async |headers: axum_stomp::Headers| {
            headers.get_shared("login").cloned().map(|name: ByteString| User(name))
        })
        .authorize(staff)
        .message("/{name}", async || ());
    let scene = Scene::new(stomp);
    let mut client = scene.connect_with(Way::SOCKET, "accept-version:1.2\nlogin:anna\n").await;
    client.subscribe("a", "/topic/anna").await;
    client.ask("SEND\ndestination:/app/anna", "").await;
    client.send("SEND\ndestination:/app/bert\n\n^").await;
    assert_eq!(client.refusal().await, "access denied: ");
    let mut client = scene.connect(Way::SOCKET).await;
    client.send("SUBSCRIBE\nid:a\ndestination:/topic/anna\n\n^").await;
    assert_eq!(client.refusal().await, "access denied: ");
}
