//! Destinations of users, and temporary queues.

use std::time::Duration;

use axum_stomp::{
    ClientSend, Credentials, Headers, Messenger, Payload, Rejection, SendToUser, Stomp, StompOptions, User,
};
use tokio::time::{sleep, timeout};

use crate::support::{Client, Scene, Way};

fn stomp() -> Stomp {
    Stomp::new()
        .options(StompOptions::new().client_send(ClientSend::HANDLERS.users(true)))
        .on_connect(async |credentials: Option<Credentials>| {
            credentials.map(|credentials| User(credentials.login.into()))
        })
        .message("/all", async |body: String| SendToUser::new("/queue/a", body))
        .message("/this", async |body: String| SendToUser::new("/queue/a", body).this_session_only())
}

async fn tab(scene: &Scene, way: Way, user: &str) -> Client {
    let login = if user.is_empty() { String::new() } else { format!("login:{user}\npasscode:x\n") };
    let mut client = scene.connect_with(way, &format!("accept-version:1.2\n{login}")).await;
    client.subscribe("a", "/user/queue/a").await;
    client
}

/// Nothing but the receipt comes.
async fn has_nothing(client: &mut Client) {
    client.ask("UNSUBSCRIBE\nid:none", "").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_user_reaches_all_tabs_or_this_one() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut one = tab(&scene, way, "anna").await;
        let mut two = tab(&scene, Way::Stream, "anna").await;
        let mut other = tab(&scene, way, "a/b").await;
        one.send("SEND\ndestination:/app/all\n\nx^").await;
        for client in [&mut one, &mut two] {
            let message = client.message().await;
            assert_eq!(
                (message.headers.get("destination"), &*message.body),
                (Some("/user/queue/a"), &b"x"[..])
            );
        }
        one.send("SEND\ndestination:/app/this\n\ny^").await;
        assert_eq!(one.body().await, "y", "{way}");
        other.send("SEND\ndestination:/user/anna/queue/a\n\nz^").await;
        assert_eq!((one.body().await, two.body().await), ("z".into(), "z".into()), "{way}");
        // A slash in a name.
        one.send("SEND\ndestination:/user/a%2Fb/queue/a\n\nw^").await;
        assert_eq!(other.body().await, "w", "{way}");
        // Nobody there is no error.
        one.ask("SEND\ndestination:/user/nobody/queue/a", "x").await;
        scene.messenger().send_to_user("anna", "/queue/a", "v").await.unwrap();
        assert_eq!((one.body().await, two.body().await), ("v".into(), "v".into()), "{way}");
        for client in [&mut one, &mut two, &mut other] {
            has_nothing(client).await;
        }
        assert_eq!(scene.registry().sessions_of("anna").len(), 2);
        one.send("DISCONNECT\n\n^").await;
        one.closed().await.is(1000);
        two.send("DISCONNECT\n\n^").await;
        two.closed().await.is(1000);
        scene.events.after_ends(2).await;
        assert_eq!(scene.registry().users(), ["a/b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_user_is_its_own() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut one = tab(&scene, way, "").await;
        let id = scene.session().id();
        let mut two = tab(&scene, way, "").await;
        one.send("SEND\ndestination:/app/all\n\nx^").await;
        assert_eq!(one.body().await, "x", "{way}");
        scene.messenger().send_to_user(id.to_string(), "/queue/a", "y").await.unwrap();
        scene.messenger().send_to_session(id, "/queue/a", "z").await.unwrap();
        assert_eq!((one.body().await, one.body().await), ("y".into(), "z".into()), "{way}");
        has_nothing(&mut two).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_name_reaches_the_queue_of_another_session() {
    let scene = Scene::new(stomp());
    let mut anna = tab(&scene, Way::SOCKET, "anna").await;
    let id = scene.session().id();
    for destination in [
        "/user/**".to_owned(),
        "/user/*/queue/a".to_owned(),
        "/user/anna/queue/a".to_owned(),
        "/queue/**".to_owned(),
        "/topic/**".to_owned(),
        format!("/queue/a-user{id}"),
        format!("/user/{id}/queue/a"),
    ] {
        let mut other = tab(&scene, Way::SOCKET, "bert").await;
        other.ask(&format!("SUBSCRIBE\nid:b\ndestination:{destination}"), "").await;
        scene.messenger().send_to_user("anna", "/queue/a", "secret").await.unwrap();
        scene.messenger().send_to_session(id, "/queue/a", "secret").await.unwrap();
        assert_eq!((anna.body().await, anna.body().await), ("secret".into(), "secret".into()));
        has_nothing(&mut other).await;
    }
    for destination in ["/**", "/*/queue/a", "/u*er/queue/a", "/user"] {
        let mut other = scene.connect(Way::SOCKET).await;
        other.send(&format!("SUBSCRIBE\nid:b\ndestination:{destination}\n\n^")).await;
        assert!(other.refusal().await.starts_with("unknown destination: "), "{destination}");
    }
}

#[tokio::test(start_paused = true)]
async fn replies_come_to_a_temporary_queue() {
    async fn ask(messenger: Messenger, headers: Headers, body: String) -> Result<(), Rejection> {
        let reply_to =
            headers.get_shared("reply-to").cloned().ok_or_else(|| Rejection::new("no reply-to"))?;
        let answer = body
            .to_uppercase()
            .with_header("correlation-id", headers.get("correlation-id").unwrap_or("none").to_owned());
        messenger.send(reply_to, answer).await.map_err(|_| Rejection::new("no reply"))?;
        Ok(())
    }

    for way in Way::all() {
        let scene = Scene::new(stomp().message("/ask", ask));
        let mut client = scene.connect(way).await;
        for number in ["1", "2"] {
            let headers = format!("reply-to:/temp-queue/a\ncorrelation-id:{number}");
            client.send(&format!("SEND\ndestination:/app/ask\n{headers}\n\nhello^")).await;
            let message = client.message().await;
            assert_eq!(message.headers.get("subscription"), Some("/temp-queue/a"), "{way}");
            assert_eq!(message.headers.get("correlation-id"), Some(number), "{way}");
            assert_eq!(message.body, "HELLO", "{way}");
        }
        // Another client with the same name has another queue.
        let mut other = scene.connect(way).await;
        other.send("SEND\ndestination:/app/ask\nreply-to:/temp-queue/a\n\nother^").await;
        assert_eq!(other.body().await, "OTHER", "{way}");
        has_nothing(&mut client).await;
        client.ask("UNSUBSCRIBE\nid:/temp-queue/a", "").await;
        assert!(timeout(Duration::from_secs(1), client.next()).await.is_err(), "{way}");
        for destination in ["/temp-queue/a", "/reply-queue/a"] {
            let mut client = scene.connect(way).await;
            client.send(&format!("SUBSCRIBE\nid:a\ndestination:{destination}\n\n^")).await;
            assert!(client.refusal().await.starts_with("unknown destination: "), "{way}");
        }
        sleep(Duration::from_millis(1)).await;
    }
}
