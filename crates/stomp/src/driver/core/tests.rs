use bytes::Bytes;

use super::*;
use crate::{
    broker::{BrokerError, Connection, Published},
    options::ClientSend,
    outbox::Subscriber,
    outcome::Outcome,
};

/// A broker that has destinations, and is not asked for more.
struct Prefixes;

impl Broker for Prefixes {
    fn has(&self, destination: &str) -> bool {
        ["/topic/", "/queue/"].iter().any(|prefix| destination.starts_with(prefix))
    }

    fn connect(&self, _: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
        unreachable!("the core does not connect")
    }

    fn publish(&self, _: Target, _: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        unreachable!("the core does not publish")
    }
}

fn core_with(version: Version, options: StompOptions) -> Core {
    Core::new(version, Arc::new(options), Arc::new(Prefixes))
}

fn core(version: Version) -> Core {
    core_with(version, StompOptions::new().client_send(ClientSend::HANDLERS.broker(true).users(true)))
}

fn frame(command: Command, headers: &[(&'static str, &'static str)]) -> Frame {
    let mut frame = Frame::new(command);
    frame.headers.extend(headers.iter().copied());
    frame
}

/// Does what a session does for a frame that its rule allows.
fn take(core: &mut Core, frame: Frame) -> Result<Vec<Action>, Refusal> {
    Ok(match core.read(frame)? {
        Request::Send(mut send) => {
            if let Some(denied) = send.denied.take() {
                return Err(*denied);
            }
            let (before, action) = core.send(send)?;
            before.into_iter().chain([action]).collect()
        }
        Request::Subscribe(subscribe) => vec![core.subscribe(subscribe)?],
        Request::Other(action) => vec![action],
    })
}

fn action(core: &mut Core, command: Command, headers: &[(&'static str, &'static str)]) -> Action {
    let mut actions = take(core, frame(command, headers)).expect("accepted");
    assert_eq!(actions.len(), 1, "{actions:?}");
    actions.remove(0)
}

fn refused(core: &mut Core, command: Command, headers: &[(&'static str, &'static str)]) -> String {
    let refusal = take(core, frame(command, headers)).expect_err("refused");
    format!("{}: {}", refusal.message, refusal.details)
}

fn subscribe(core: &mut Core, id: &'static str) -> Arc<Subscription> {
    match action(core, Command::Subscribe, &[("id", id), ("destination", "/queue/a"), ("ack", "client")]) {
        Action::Subscribe(_, subscription) => subscription,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_send_goes_to_a_handler_the_broker_or_a_user() {
    let mut core = core(Version::V1_2);
    let Action::Handle { path, destination, .. } =
        action(&mut core, Command::Send, &[("destination", "/app/chat/1")])
    else {
        panic!("no handler");
    };
    assert_eq!((&*path, &*destination), ("/chat/1", "/app/chat/1"));
    for (destination, expected, seen) in [
        ("/topic/a", Target::Destination("/topic/a".into()), "/topic/a"),
        (
            "/user/bob/queue/a",
            Target::User { name: "bob".into(), destination: "/queue/a".into() },
            "/user/queue/a",
        ),
        ("/reply-queue/x", Target::Temporary("/reply-queue/x".into()), "/reply-queue/x"),
    ] {
        match action(&mut core, Command::Send, &[("destination", destination)]) {
            Action::Publish(target, message) => {
                assert_eq!((target, message.destination()), (expected, seen));
            }
            other => panic!("{other:?}"),
        }
    }
    for destination in ["/other", "/appx", "app/a", "/user/bob", "/temp-queue/a", "/"] {
        let text = refused(&mut core, Command::Send, &[("destination", destination)]);
        assert!(text.contains("destination"), "{text}");
    }
    for headers in [&[][..], &[("destination", "")]] {
        assert!(refused(&mut core, Command::Send, headers).contains("destination is missing"));
    }
}

#[test]
fn by_default_clients_send_to_handlers_only() {
    let mut core = core_with(Version::V1_2, StompOptions::new());
    for (destination, option) in [("/topic/a", "broker"), ("/user/bob/queue/a", "users")] {
        let text = refused(&mut core, Command::Send, &[("destination", destination)]);
        assert!(text.contains("client_send") && text.contains(option), "{text}");
    }
    action(&mut core, Command::Send, &[("destination", "/app/a")]);
    action(&mut core, Command::Send, &[("destination", "/reply-queue/a")]);
}

#[test]
fn a_subscription_has_an_id_of_its_own() {
    for version in [Version::V1_1, Version::V1_2] {
        let mut core = core(version);
        let text = refused(&mut core, Command::Subscribe, &[("destination", "/topic/a")]);
        assert!(text.contains("id is missing"), "{text}");
        subscribe(&mut core, "a");
        let again = refused(&mut core, Command::Subscribe, &[("id", "a"), ("destination", "/topic/b")]);
        assert!(again.contains("already exists"), "{again}");
        assert!(refused(&mut core, Command::Unsubscribe, &[]).contains("id is missing"));
        assert!(matches!(action(&mut core, Command::Unsubscribe, &[("id", "a")]), Action::Unsubscribe(0)));
        // Page code unsubscribes twice.
        assert!(matches!(action(&mut core, Command::Unsubscribe, &[("id", "a")]), Action::Nothing));
        assert_eq!(subscribe(&mut core, "a").serial(), 1);
    }
}

#[test]
fn in_1_0_a_destination_is_enough() {
    let mut core = core(Version::V1_0);
    action(&mut core, Command::Subscribe, &[("destination", "/topic/a")]);
    action(&mut core, Command::Subscribe, &[("destination", "/topic/a"), ("id", "/topic/a")]);
    assert!(
        refused(&mut core, Command::Subscribe, &[("destination", "/topic/a")]).contains("already exists")
    );
    let by_destination = action(&mut core, Command::Unsubscribe, &[("destination", "/topic/a")]);
    assert!(matches!(by_destination, Action::Unsubscribe(0)));
    assert!(matches!(action(&mut core, Command::Unsubscribe, &[("id", "/topic/a")]), Action::Unsubscribe(1)));
}

#[test]
fn what_a_subscription_asks_for() {
    let mut core = core(Version::V1_2);
    let ask = |core: &mut Core, id: &'static str, header: (&'static str, &'static str)| match action(
        core,
        Command::Subscribe,
        &[("id", id), ("destination", "/queue/a"), header],
    ) {
        Action::Subscribe(_, subscription) => (subscription.ack(), subscription.prefetch().get()),
        other => panic!("{other:?}"),
    };
    assert_eq!(ask(&mut core, "a", ("x", "")), (AckMode::Auto, 128));
    assert_eq!(ask(&mut core, "b", ("ack", "client-individual")), (AckMode::ClientIndividual, 128));
    assert_eq!(ask(&mut core, "c", ("prefetch-count", "7")).1, 7);
    assert_eq!(ask(&mut core, "d", ("prefetch-count", "0")).1, 128);
    assert_eq!(ask(&mut core, "e", ("prefetch-count", "9999")).1, 128);
    for header in [("ack", "Auto"), ("ack", ""), ("prefetch-count", "-1"), ("prefetch-count", "x")] {
        refused(&mut core, Command::Subscribe, &[("id", "f"), ("destination", "/queue/a"), header]);
    }
    let mut old = Core { version: Version::V1_0, ..core };
    let individual = [("destination", "/queue/a"), ("ack", "client-individual")];
    assert!(refused(&mut old, Command::Subscribe, &individual).contains("ack mode"));
}

#[test]
fn subscriptions_are_bounded() {
    let mut core = core_with(Version::V1_2, StompOptions::new().max_subscriptions(1));
    subscribe(&mut core, "a");
    let send = [("destination", "/app/a"), ("reply-to", "/temp-queue/a")];
    assert!(refused(&mut core, Command::Send, &send).contains("max_subscriptions"));
    let other = [("id", "b"), ("destination", "/queue/a")];
    assert!(refused(&mut core, Command::Subscribe, &other).contains("max_subscriptions"));
    action(&mut core, Command::Unsubscribe, &[("id", "a")]);
    action(&mut core, Command::Subscribe, &other);
}

#[test]
fn user_destinations_are_the_own_ones() {
    let mut core = core(Version::V1_2);
    let mut source = |destination| match action(
        &mut core,
        Command::Subscribe,
        &[("id", destination), ("destination", destination)],
    ) {
        Action::Subscribe(source, _) => source,
        other => panic!("{other:?}"),
    };
    assert_eq!(source("/user/queue/a"), Source::User("/queue/a".into()));
    assert_eq!(source("/user/**"), Source::User("/**".into()));
    assert_eq!(source("/topic/*"), Source::Destination("/topic/*".into()));
    for destination in ["/user", "/user/", "/**", "/*/a", "/us?r/queue/a", "/reply-queue/x", "/temp-queue/x"]
    {
        let text = refused(&mut core, Command::Subscribe, &[("id", "x"), ("destination", destination)]);
        assert!(text.contains("destination"), "{destination} {text}");
    }
}

/// The header that names a message in each version.
fn ack(core: &mut Core, id: &'static str) -> Result<Vec<Action>, Refusal> {
    let headers: &[_] = match core.version {
        Version::V1_0 => &[("message-id", id)],
        Version::V1_1 => &[("message-id", id), ("subscription", "a")],
        Version::V1_2 => &[("id", id), ("subscription", "other")],
    };
    take(core, frame(Command::Ack, headers))
}

#[test]
fn an_ack_is_for_what_was_delivered() {
    for version in Version::ALL {
        let mut core = core(version);
        let subscription = subscribe(&mut core, "a");
        let id = subscription.next_id();
        subscription.next_id();
        let settled = ack(&mut core, "0-1").expect("accepted");
        assert!(
            matches!(&settled[..], [Action::Settle(it, Settlement::Accepted)] if *it == id),
            "{settled:?}"
        );
        for never in ["0-0", "0-3", "1-1", "x", ""] {
            let refusal = ack(&mut core, never).expect_err("refused");
            assert_eq!(refusal.message, "unknown message", "{version} {never}");
        }
        action(&mut core, Command::Unsubscribe, &[("id", "a")]);
        // It was given back.
        assert!(matches!(ack(&mut core, "0-2").expect("accepted")[..], [Action::Nothing]));
    }
}

/// A number names a message that several have got alike.
#[test]
fn an_ack_of_a_number_is_for_what_came_in_auto_mode() {
    for version in Version::ALL {
        let mut core = core(version);
        subscribe(&mut core, "b");
        assert_eq!(ack(&mut core, "17").expect_err("refused").message, "unknown message", "{version}");
        action(&mut core, Command::Subscribe, &[("id", "a"), ("destination", "/topic/a")]);
        let is_accepted = |core: &mut Core, id| matches!(ack(core, id).as_deref(), Ok([Action::Nothing]));
        assert!(is_accepted(&mut core, "17"), "{version}");
        for never in ["+17", "-17", "17 ", "18446744073709551616", ""] {
            assert!(ack(&mut core, never).is_err(), "{version} {never}");
        }
        // Some acknowledge what had come before.
        action(&mut core, Command::Unsubscribe, &[("id", "a")]);
        assert!(is_accepted(&mut core, "17"), "{version}");
    }
    // In 1.1 the subscription is named, and this one needs acknowledgements of its own.
    let mut core = core(Version::V1_1);
    action(&mut core, Command::Subscribe, &[("id", "a"), ("destination", "/topic/a")]);
    subscribe(&mut core, "b");
    let headers = [("message-id", "17"), ("subscription", "b")];
    assert!(refused(&mut core, Command::Ack, &headers).contains("unknown message"));
}

/// Also the answer of a handler may have a number.
#[test]
fn an_ack_of_a_number_is_accepted_of_who_was_answered() {
    let mut core = core(Version::V1_2);
    let ask = [("id", "a"), ("destination", "/app/a")];
    assert!(matches!(action(&mut core, Command::Subscribe, &ask), Action::Answer { .. }));
    assert!(ack(&mut core, "17").is_ok());
}

#[test]
fn an_ack_names_the_message_as_its_version_says() {
    for (version, headers, missing) in [
        (Version::V1_2, &[("message-id", "0-1"), ("subscription", "a")][..], "id"),
        (Version::V1_1, &[("message-id", "0-1")], "subscription"),
        (Version::V1_1, &[("id", "0-1"), ("subscription", "a")], "message-id"),
        (Version::V1_0, &[("id", "0-1")], "message-id"),
    ] {
        let mut core = core(version);
        subscribe(&mut core, "a").next_id();
        let text = refused(&mut core, Command::Ack, headers);
        assert!(text.contains(&format!("header {missing} is missing")), "{version} {text}");
    }
    let mut core = core(Version::V1_1);
    subscribe(&mut core, "a").next_id();
    subscribe(&mut core, "b").next_id();
    let wrong = [("message-id", "0-1"), ("subscription", "b")];
    assert!(refused(&mut core, Command::Ack, &wrong).contains("unknown message"));
    // Of which one that was that has ended nobody knows.
    action(&mut core, Command::Unsubscribe, &[("id", "a")]);
    assert!(matches!(action(&mut core, Command::Ack, &wrong), Action::Nothing));
}

#[test]
fn a_nack_gives_back_or_drops() {
    let mut core = core(Version::V1_2);
    subscribe(&mut core, "a").next_id();
    for (requeue, expected) in [("true", true), ("", true), ("false", false)] {
        let headers = [("id", "0-1"), ("requeue", requeue)];
        match action(&mut core, Command::Nack, &headers) {
            Action::Settle(_, settlement) => {
                assert_eq!(settlement, Settlement::Rejected { requeue: expected });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_commit_does_all_in_order() {
    let mut core = core(Version::V1_2);
    subscribe(&mut core, "a").next_id();
    for command in [Command::Begin, Command::Commit, Command::Abort] {
        assert!(refused(&mut core, command, &[]).contains("transaction is missing"));
    }
    let transaction = ("transaction", "t");
    for command in [Command::Commit, Command::Abort] {
        assert!(refused(&mut core, command, &[transaction]).contains("no such transaction"));
    }
    action(&mut core, Command::Begin, &[transaction]);
    assert!(refused(&mut core, Command::Begin, &[transaction]).contains("already open"));
    for (command, header) in [
        (Command::Send, ("destination", "/app/a")),
        (Command::Ack, ("id", "0-1")),
        (Command::Send, ("destination", "/topic/a")),
        (Command::Nack, ("id", "0-1")),
    ] {
        assert!(matches!(action(&mut core, command, &[header, transaction]), Action::Nothing));
        let unknown = [header, ("transaction", "other")];
        assert!(refused(&mut core, command, &unknown).contains("no such transaction"));
    }
    let Action::Commit(actions) = action(&mut core, Command::Commit, &[transaction]) else {
        panic!("no commit")
    };
    assert!(
        matches!(
            &actions[..],
            [Action::Handle { .. }, Action::Settle(..), Action::Publish(..), Action::Settle(..)]
        ),
        "{actions:?}"
    );
    let Action::Handle { frame, .. } = &actions[0] else { unreachable!() };
    assert!(!frame.headers.contains("transaction"));
}

#[test]
fn an_abort_drops_all() {
    let mut core = core(Version::V1_2);
    let transaction = ("transaction", "t");
    action(&mut core, Command::Begin, &[transaction]);
    action(&mut core, Command::Send, &[("destination", "/topic/a"), transaction]);
    assert!(matches!(action(&mut core, Command::Abort, &[transaction]), Action::Nothing));
    assert!(refused(&mut core, Command::Commit, &[transaction]).contains("no such transaction"));
}

#[test]
fn the_bytes_of_a_transaction_are_bounded() {
    let options = StompOptions::new().max_transaction_bytes(100);
    let mut core = core_with(Version::V1_2, options);
    action(&mut core, Command::Begin, &[("transaction", "t")]);
    let mut send = frame(Command::Send, &[("destination", "/app/a"), ("transaction", "t")]);
    send.body = Bytes::from(vec![b'x'; 60]);
    take(&mut core, send.clone()).expect("accepted");
    let refusal = take(&mut core, send.clone()).expect_err("refused");
    assert!(refusal.details.contains("max_transaction_bytes"));
    // Its headers count, too.
    send.headers.append("a", "x".repeat(100));
    send.body = Bytes::new();
    action(&mut core, Command::Abort, &[("transaction", "t")]);
    action(&mut core, Command::Begin, &[("transaction", "t")]);
    assert!(take(&mut core, send).expect_err("refused").details.contains("max_transaction_bytes"));
}

#[test]
fn a_temporary_queue_has_another_name_for_others() {
    let mut core = core(Version::V1_2);
    let send = [("destination", "/app/ask"), ("reply-to", "/temp-queue/answers")];
    let actions = take(&mut core, frame(Command::Send, &send)).expect("accepted");
    let [Action::Subscribe(Source::Temporary(name), subscription), Action::Handle { frame: sent, .. }] =
        &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert!(name.starts_with(REPLY_PREFIX) && name.len() == REPLY_PREFIX.len() + 32, "{name}");
    assert_eq!(sent.headers.get("reply-to"), Some(&**name));
    assert_eq!(subscription.id(), Some("/temp-queue/answers"));
    // The same queue again.
    match action(&mut core, Command::Send, &send) {
        Action::Handle { frame, .. } => assert_eq!(frame.headers.get("reply-to"), Some(&**name)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        action(&mut core, Command::Unsubscribe, &[("id", "/temp-queue/answers")]),
        Action::Unsubscribe(0)
    ));
    assert_eq!(take(&mut core, frame(Command::Send, &send)).expect("accepted").len(), 2);
    // Other names are the application's own business.
    let other = [("destination", "/app/ask"), ("reply-to", "/queue/a")];
    assert!(matches!(action(&mut core, Command::Send, &other), Action::Handle { .. }));
}

#[test]
fn a_second_connect_is_refused() {
    let mut core = core(Version::V1_2);
    for command in [Command::Connect, Command::Stomp] {
        assert!(refused(&mut core, command, &[]).contains("already connected"));
    }
    assert!(matches!(action(&mut core, Command::Disconnect, &[]), Action::Disconnect));
}

/// A frame as it is read, and where the bytes stand that it is a part of.
fn read(text: &str) -> (Frame, std::ops::Range<usize>) {
    let mut decoder = stomp_codec::Decoder::of_client(stomp_codec::Limits::new());
    decoder.set_version(Version::V1_2);
    let mut piece = Bytes::copy_from_slice(text.as_bytes());
    let range = piece.as_ptr() as usize..piece.as_ptr() as usize + piece.len();
    (decoder.decode(&mut piece).expect("a frame").expect("a frame"), range)
}

#[test]
fn what_is_kept_of_a_frame_is_copied_out_of_what_was_read() {
    let mut core = core(Version::V1_2);
    let (subscribe, range) = read("SUBSCRIBE\nid:a\ndestination:/topic/a\nother:b\n\n\0");
    let actions = take(&mut core, subscribe).expect("accepted");
    let [Action::Subscribe(_, subscription)] = &actions[..] else { panic!("{actions:?}") };
    let kept = |text: &str| assert!(!range.contains(&(text.as_ptr() as usize)), "{text}");
    subscription.headers().iter().for_each(|(name, value)| (kept(name), kept(value)).0);
    kept(subscription.destination());
    let (Name::Id(name), _) = core.serials.iter().next().expect("one") else { panic!("no id") };
    kept(name);
    assert_eq!(
        subscription.headers().iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["id", "destination", "other"]
    );

    let (begin, range) = read("BEGIN\ntransaction:t\n\n\0");
    let kept = |text: &str| assert!(!range.contains(&(text.as_ptr() as usize)), "{text}");
    take(&mut core, begin).expect("accepted");
    kept(core.transactions.names().next().expect("one"));
    for destination in ["/app/a", "/topic/a", "/user/anna/queue/a"] {
        let text = format!("SEND\ntransaction:t\ndestination:{destination}\nother:b\n\nbody\0");
        let (send, range) = read(&text);
        let kept = |text: &[u8]| assert!(!range.contains(&(text.as_ptr() as usize)), "{destination}");
        take(&mut core, send).expect("accepted");
        for action in core.transactions.frames("t") {
            match action {
                Action::Handle { path, destination, frame } => {
                    kept(path.as_bytes());
                    kept(destination.as_bytes());
                    kept(&frame.body);
                    frame.headers.iter().for_each(|(_, value)| kept(value.as_bytes()));
                }
                Action::Publish(Target::Destination(name) | Target::User { name, .. }, message) => {
                    kept(name.as_bytes());
                    kept(message.destination().as_bytes());
                    kept(message.body());
                    message.headers().iter().for_each(|(_, value)| kept(value.as_bytes()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn the_headers_of_subscriptions_are_bounded_together() {
    let mut core = core_with(Version::V1_2, StompOptions::new().max_subscription_bytes(44));
    let headers = |id| [("id", id), ("destination", "/topic/a")];
    action(&mut core, Command::Subscribe, &headers("a"));
    action(&mut core, Command::Subscribe, &headers("b"));
    assert!(refused(&mut core, Command::Subscribe, &headers("c")).contains("max_subscription_bytes"));
    action(&mut core, Command::Unsubscribe, &[("id", "a")]);
    action(&mut core, Command::Subscribe, &headers("c"));
    for id in ["b", "c"] {
        action(&mut core, Command::Unsubscribe, &[("id", id)]);
    }
    assert_eq!(core.subscription_bytes, 0);
}
