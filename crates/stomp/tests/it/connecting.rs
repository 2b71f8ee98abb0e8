//! From the first byte to `CONNECTED`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::extract::State;
use axum_sockjs::SockJs;
use axum_stomp::{
    Command, Credentials, Event, Frame, Headers, Identity, Login, Message, Messenger, Outcome, Rejection,
    SendToUser, Session, Stomp, StompOptions, User,
    broker::{Broker, BrokerError, Connection, Published, Target},
    outbox::Subscriber,
};
use http::HeaderMap;
use sockjs_client::{Transport, test::TestClient};
use tokio::time::Instant;

use crate::support::{Client, Scene, Way, settle};

#[tokio::test(start_paused = true)]
async fn connected_says_all_that_is_known() {
    let stomp = Stomp::new().on_connect(async |credentials: Option<Credentials>| {
        credentials.map(|credentials| User(credentials.login.into()))
    });
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.open(way).await;
        let connected = client
            .connect("accept-version:1.2\nlogin:anna\npasscode:x\nhost:any\nheart-beat:0,20000\n")
            .await;
        let get = |name| connected.headers.get(name);
        assert_eq!((get("version"), get("user-name")), (Some("1.2"), Some("anna")), "{way}");
        assert_eq!(get("heart-beat"), Some("20000,0"), "{way}");
        assert!(get("server").unwrap().starts_with("axum-stomp/"), "{way}");
        let session = scene.registry().sessions_of("anna").remove(0);
        assert_eq!(get("session"), Some(&*session.id().to_string()), "{way}");
        assert_eq!((get("content-length"), get("receipt-id")), (None, None), "{way}");
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
    let connected = scene.open(Way::Stream).await.connect("").await;
    assert_eq!(connected.headers.get("user-name"), None);
}

#[tokio::test(start_paused = true)]
async fn the_newest_common_version_is_taken() {
    let scene = Scene::new(Stomp::new());
    for (accepted, version) in [
        ("", "1.0"),
        ("accept-version:1.0\n", "1.0"),
        ("accept-version:1.1\n", "1.1"),
        ("accept-version:1.2\n", "1.2"),
        ("accept-version:1.0,1.1\n", "1.1"),
        ("accept-version:1.2,1.0\n", "1.2"),
        ("accept-version:1.1 , 2.0,1.0\n", "1.1"),
        ("accept-version:1.1\naccept-version:1.2\n", "1.1"),
    ] {
        for command in ["CONNECT", "STOMP"] {
            let mut client = scene.open(Way::Stream).await;
            client.send(&format!("{command}\n{accepted}receipt:r\n\nignored^")).await;
            let connected = client.frame().await;
            assert_eq!(connected.command, Command::Connected);
            assert_eq!(connected.headers.get("version"), Some(version), "{accepted:?}");
            // The receipt is ignored.
            client.send("DISCONNECT\nreceipt:last\n\n^").await;
            client.receipt("last").await;
        }
    }
    for accepted in ["", "2.0", "1.3,0.9", ","] {
        for way in Way::all() {
            let mut client = scene.open(way).await;
            client.send(&format!("CONNECT\naccept-version:{accepted}\n\n^")).await;
            let error = client.error().await;
            assert_eq!(error.headers.get("version"), Some("1.0,1.1,1.2"), "{way}");
            assert_eq!(error.headers.get("message"), Some("no common version"), "{way}");
        }
    }
    assert!(scene.events.all().iter().all(|event| event == "connected" || event.starts_with("disconnected")));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_connect_is_refused() {
    let scene = Scene::new(Stomp::new());
    for (text, expected) in [
        ("SEND\ndestination:/app/a\nreceipt:r\n\n^", "not connected: "),
        ("DISCONNECT\nreceipt:r\n\n^", "not connected: "),
        ("CONNECT\nheart-beat:abc\n\n^", "invalid heart-beat: "),
        ("CONNECT\nheart-beat:1000\n\n^", "invalid heart-beat: "),
        ("CONNECT\nheart-beat:-1,0\n\n^", "invalid heart-beat: "),
        ("CONNECT\nheart-beat:1.5,0\n\n^", "invalid heart-beat: "),
        ("CONNECT\nheart-beat:1,2,3\n\n^", "invalid heart-beat: "),
        ("CONNECT\nheart-beat:\n\n^", "invalid heart-beat: "),
        ("connect\n\n^", "malformed frame: "),
        ("MESSAGE\n\n^", "malformed frame: "),
        ("GET / HTTP/1.1\r\n\r\n", "malformed frame: "),
        ("CONNECT\nno colon\n\n^", "malformed frame: "),
    ] {
        for way in Way::all() {
            let mut client = scene.open(way).await;
            client.send(text).await;
            let error = client.error().await;
            let told = format!("{}: ", error.headers.get("message").unwrap());
            assert_eq!(told, expected, "{way} {text:?}");
            let receipt = text.contains("receipt:r").then_some("r");
            assert_eq!(error.headers.get("receipt-id"), receipt, "{way} {text:?}");
        }
    }
    assert!(scene.events.all().is_empty() && scene.registry().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_connect_is_refused() {
    let scene = Scene::new(Stomp::new());
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.send("CONNECT\naccept-version:1.2\n\n^").await;
        assert_eq!(client.refusal().await, "already connected: ", "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_connect_is_closed_in_time() {
    let scene = Scene::new(Stomp::new().options(StompOptions::new().connect_timeout(Duration::from_secs(5))));
    for way in Way::all() {
        let mut client = scene.open(way).await;
        let start = Instant::now();
        // Neither beats nor a part of a frame count.
        client.send("\n\nCONNECT\n").await;
        assert!(client.refusal().await.contains("connect_timeout"), "{way}");
        assert_eq!(start.elapsed().as_secs(), 5, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_refused_without_a_reason() {
    let stomp = Stomp::new().on_connect(async |credentials: Credentials| {
        match credentials.passcode.as_deref().unwrap_or_default() {
            "right" => Ok(Login::new(credentials.login)),
            "panic" => panic!("a bug"),
            _ => Err(Rejection::new("the passcode of anna is another one")),
        }
    });
    let scene = Scene::new(stomp);
    for way in Way::all() {
        for passcode in ["wrong", "panic"] {
            let mut client = scene.open(way).await;
            // What stands behind is not processed.
            let text = format!("CONNECT\nlogin:anna\npasscode:{passcode}\n\n^SEND\nreceipt:r\n\n^");
            client.send(&text).await;
            let error = client.error().await;
            assert_eq!(error.headers.get("message"), Some("access refused"), "{way}");
            assert!(!format!("{error:?}").contains("anna") && error.body.is_empty(), "{way} {error:?}");
        }
    }
    assert!(scene.registry().is_empty() && scene.events.all().is_empty());
    assert_eq!(scene.registry().users().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn on_connect_sees_the_headers_the_opening_request_and_the_state() {
    async fn connect(headers: Headers, opening: HeaderMap, State(state): State<&'static str>) -> Login {
        let cookie = opening.get("cookie").map_or("none", |value| value.to_str().unwrap());
        Login::new(format!("{} {cookie} {state}", headers.get("token").unwrap_or("none"))).attribute(7_u8)
    }

    let server = Stomp::new().on_connect(connect).build();
    let sockjs = server.sockjs_with(server.sockjs_options().origins(axum_sockjs::Origins::any()));
    let app = sockjs.into_router("/stomp").with_state("state");
    for transport in Transport::ALL {
        let client = TestClient::new(app.clone(), "/stomp").cookie("id", "anna");
        let mut client = Client::of_sockjs(client.open(*transport).await.unwrap());
        let connected = client.connect("accept-version:1.2\ntoken:t\n").await;
        let name = connected.headers.get("user-name").unwrap().to_owned();
        assert!(name.starts_with("t ") && name.contains("id=anna") && name.ends_with(" state"), "{name}");
        let session = server.registry().sessions_of(&name).remove(0);
        assert_eq!(session.attributes(|attributes| attributes.get::<u8>().copied()), Some(7));
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
}

#[tokio::test(start_paused = true)]
async fn frames_behind_connect_are_processed_in_order_when_the_user_is_known() {
    let stomp = Stomp::new()
        .on_connect(async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            User("anna".into())
        })
        .message("/whoami", async |User(name): User| SendToUser::new("/queue/name", name));
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.open(way).await;
        let frames = [
            "CONNECT\naccept-version:1.2\n\n^\n",
            "SUBSCRIBE\nid:a\nreceipt:1\ndestination:/user/queue/name\n\n^",
            "SEND\nreceipt:2\ndestination:/app/whoami\n\n^DISCONNECT\nreceipt:3\n\n^",
        ];
        client.send(&frames.concat()).await;
        let connected = client.frame().await;
        assert_eq!(connected.headers.get("user-name"), Some("anna"), "{way}");
        client.set_version(&connected);
        client.receipt("1").await;
        assert_eq!(client.body().await, "anna", "{way}");
        client.receipt("2").await;
        client.receipt("3").await;
        client.closed().await.is(1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_may_come_an_octet_at_a_time() {
    let scene = Scene::new(Stomp::new());
    for way in [Way::Stream, Way::SOCKET, Way::SockJs(Transport::RawWebSocket)] {
        let mut client = scene.open(way).await;
        for octet in "\r\n\nCONNECT\r\naccept-version:1.2\r\n\r\n^\n".chars() {
            client.send(&octet.to_string()).await;
        }
        assert_eq!(client.frame().await.command, Command::Connected, "{way}");
        // Empty messages do no harm.
        client.send("").await;
        for octet in "DISCONNECT\nreceipt:1\n\n^".chars() {
            client.send(&octet.to_string()).await;
        }
        client.receipt("1").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_to_the_user_as_soon_as_he_is_known_arrives() {
    let (sender, mut sessions) = tokio::sync::mpsc::unbounded_channel::<Session>();
    let stomp = Stomp::new().on_connect(async || User("anna".into())).on_event(move |event, _| {
        if let Event::Subscribed(session, _) = event {
            sender.send(session.clone()).unwrap();
        }
    });
    let scene = Scene::new(stomp);
    let messenger: Messenger = scene.messenger();
    let mut client = scene.open(Way::SOCKET).await;
    client.send("CONNECT\n\n^SUBSCRIBE\ndestination:/user/queue/a\nid:a\n\n^").await;
    let session = sessions.recv().await.unwrap();
    assert_eq!(session.user().map(|name| &**name), Some("anna"));
    assert_eq!(messenger.send_to_user("anna", "/queue/a", "hello").await.unwrap().delivered, 1);
    assert_eq!(client.frame().await.command, Command::Connected);
    assert_eq!(client.body().await, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_the_login_expires() {
    let stomp = Stomp::new().on_connect(async |headers: Headers| match headers.get("time") {
        Some("past") => Login::new("anna").expires_at(SystemTime::UNIX_EPOCH),
        Some("never") => Login::new("anna").expires_in(Duration::MAX),
        _ => Login::new("anna").expires_in(Duration::from_secs(100)),
    });
    let scene = Scene::new(stomp);
    for (number, way) in Way::all().enumerate() {
        let mut client = scene.connect(way).await;
        let start = Instant::now();
        assert_eq!(client.refusal().await, "login expired: ", "{way}");
        assert_eq!(start.elapsed().as_secs(), 100, "{way}");
        let events = scene.events.after_ends(number + 1).await;
        assert_eq!(events.last().unwrap(), "disconnected: expired", "{way}");
    }
    let mut past = scene.connect_with(Way::Stream, "time:past\n").await;
    assert_eq!(past.refusal().await, "login expired: ");
    let mut never = scene.connect_with(Way::Stream, "time:never\n").await;
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    never.ask("UNSUBSCRIBE\nid:a", "").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_is_judged_has_a_session_that_ends() {
    let stomp = Stomp::new()
        .options(StompOptions::new().connect_timeout(Duration::from_secs(200)))
        .on_connect(async || tokio::time::sleep(Duration::from_secs(100)).await);
    let scene = Scene::new(stomp);
    let mut client = scene.open(Way::Stream).await;
    client.send("CONNECT\n\n^").await;
    settle().await;
    assert!(scene.registry().is_empty());
    client.abort();
    assert_eq!(scene.events.after_ends(1).await, ["connected", "disconnected: connection-lost"]);
    assert!(scene.registry().is_empty());
}

#[tokio::test(start_paused = true)]
async fn listeners_send() {
    let stomp = Stomp::new().on_connect(async || User("anna".into())).on_event(|event, messenger| {
        let what = match event {
            Event::Connected(_) => "joined",
            Event::Subscribed(..) => "subscribed",
            Event::Unsubscribed(..) => "unsubscribed",
            Event::Disconnected(..) => "left",
            other => panic!("{other:?}"),
        };
        let user = event.session().user().expect("all have one");
        messenger.send("/topic/news", format!("{user} {what}"));
    });
    let scene = Scene::new(stomp);
    let mut one = scene.connect(Way::SOCKET).await;
    one.send("SUBSCRIBE\nid:a\ndestination:/topic/news\nreceipt:r\n\n^").await;
    // It is a subscriber by then, and has no receipt yet.
    assert_eq!(one.body().await, "anna subscribed");
    one.receipt("r").await;
    let mut other = scene.connect(Way::POLLING).await;
    assert_eq!(one.body().await, "anna joined");
    other.subscribe("b", "/topic/other").await;
    other.send("DISCONNECT\n\n^").await;
    for what in ["subscribed", "unsubscribed", "left"] {
        assert_eq!(one.body().await, format!("anna {what}"));
    }
}

#[tokio::test(start_paused = true)]
async fn on_connect_sees_whom_the_endpoint_knows() {
    async fn by_name(user: Option<User>, credentials: Option<Credentials>) -> Result<User, Rejection> {
        let login = credentials.map(|credentials| User(credentials.login.into()));
        user.or(login).ok_or_else(|| Rejection::new("nobody"))
    }

    async fn by_number(Identity(number): Identity<u32>, none: Option<Identity<u8>>) -> Login {
        assert!(none.is_none());
        Login::new(format!("number {number}"))
    }

    fn header(request: &HeaderMap) -> Option<&str> {
        request.get("x-user")?.to_str().ok()
    }

    async fn connect(sockjs: SockJs, header: &str, headers: &str) -> Frame {
        let client = TestClient::new(sockjs.into_router("/s"), "/s").header("x-user", header);
        let connect = format!("CONNECT\naccept-version:1.2\n{headers}\n^");
        let mut answers = Vec::new();
        for transport in [Transport::RawWebSocket, Transport::XhrPolling] {
            let mut client = Client::of_sockjs(client.open(transport).await.unwrap());
            client.send(&connect).await;
            answers.push(client.frame().await);
        }
        assert_eq!(answers[0].headers.get("user-name"), answers[1].headers.get("user-name"));
        answers.remove(0)
    }

    let user = |frame: Frame| frame.headers.get("user-name").map(str::to_owned);
    let server = Stomp::<()>::new().on_connect(by_name).build();
    let names = || {
        server.sockjs().identity(async |all: HeaderMap| header(&all).map(str::to_owned).unwrap_or_default())
    };
    assert_eq!(user(connect(names(), "anna", "login:bert\n").await).as_deref(), Some("anna"));
    assert_eq!(user(connect(names(), "", "login:bert\n").await).as_deref(), Some("bert"));
    assert_eq!(connect(names(), "", "").await.command, Command::Error);
    let users = server
        .sockjs()
        .identity(async |all: HeaderMap| header(&all).map(|name| User(name.to_owned().into())));
    assert_eq!(user(connect(users, "anna", "").await).as_deref(), Some("anna"));

    let server = Stomp::<()>::new().on_connect(by_number).build();
    let numbers =
        server.sockjs().identity(async |all: HeaderMap| header(&all).map_or(0, |text| text.len() as u32));
    let client = connect(numbers, "anna", "");
    assert_eq!(user(client.await).as_deref(), Some("number 4"));
    // A stream has none, which is no fault of the client's.
    let mut client = Scene::new(Stomp::new().on_connect(by_number)).open(Way::Stream).await;
    client.send("CONNECT\n\n^").await;
    assert_eq!(client.refusal().await, "access refused: ");
}

/// A broker that never answers a client.
struct Silent;

impl Broker for Silent {
    fn has(&self, _: &str) -> bool {
        false
    }

    fn connect(&self, _: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
        Outcome::later(std::future::pending())
    }

    fn publish(&self, _: Target, _: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        unreachable!("nobody sends")
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_is_unavailable() {
    let scene = Scene::new(Stomp::new().broker(Silent));
    let mut client = scene.open(Way::SOCKET).await;
    let start = Instant::now();
    client.send("CONNECT\n\n^").await;
    assert_eq!(client.refusal().await, "broker unavailable: ");
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(scene.registry().is_empty() && scene.events.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_about_whom_nothing_is_decided_is_refused_in_time() {
    let stomp = Stomp::new()
        .options(StompOptions::new().connect_timeout(Duration::from_secs(7)))
        .on_connect(std::future::pending::<()>);
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.open(way).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        client.send("CONNECT\n\n^").await;
        let start = Instant::now();
        let refusal = client.refusal().await;
        assert_eq!(refusal, "no login in time: on_connect has not finished within connect_timeout.", "{way}");
        assert_eq!(start.elapsed().as_secs(), 7, "{way}");
    }
    assert_eq!(scene.server.stats().refused, Way::all().count() as u64);
    assert!(scene.events.all().is_empty());
}
