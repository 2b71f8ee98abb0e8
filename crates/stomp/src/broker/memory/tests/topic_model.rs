//! Random subscriptions to topics, compared with a simple model.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::FutureExt as _;
use proptest::{collection::vec, prelude::*, sample::Index};
use sockjs_bus::InProcess;
use tokio::runtime;

use super::{
    super::{MemoryBroker, MemoryBrokerStats},
    support::{ALWAYS, Client, header, message},
};
use crate::{
    AckMode,
    broker::{Broker as _, Published, Source, Target},
};

const CLIENTS: usize = 3;

/// Whether a pattern matches, the simple way.
pub(super) fn is_match(pattern: &[&str], destination: &[&str]) -> bool {
    fn is_glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| is_glob(rest, &text[taken..])),
            Some((b'?', rest)) => !text.is_empty() && is_glob(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && is_glob(rest, &text[1..]),
        }
    }
    match (pattern, destination) {
        (["**", rest @ ..], _) => (0..=destination.len()).any(|taken| is_match(rest, &destination[taken..])),
        ([segment, rest @ ..], [first, behind @ ..]) => {
            let segment = if segment.starts_with('{') { "*" } else { segment };
            is_glob(segment.as_bytes(), first.as_bytes()) && is_match(rest, behind)
        }
        _ => pattern.is_empty() && destination.is_empty(),
    }
}

#[derive(Debug, Clone)]
enum TopicStep {
    Connect(usize, Option<&'static str>),
    Subscribe(usize, bool, String),
    Unsubscribe(usize, Index),
    Publish(String),
    ToUser(&'static str, String),
    /// To the session of a client, or to the user that has the name of its id.
    ToSession(usize, bool, String),
}

fn topic_step() -> impl Strategy<Value = TopicStep> {
    let client = 0..CLIENTS;
    let pattern = "/topic(/(a|b|\\*|\\?|a\\*|\\*\\*|\\{x\\})){0,3}";
    let plain = "/topic(/(a|b|ab|\\*)){0,3}";
    prop_oneof![
        2 => (client.clone(), prop_oneof![Just(None), Just(Some("ann")), Just(Some("bob"))])
            .prop_map(|(client, user)| TopicStep::Connect(client, user)),
        8 => (client.clone(), any::<bool>(), pattern)
            .prop_map(|(client, is_own, pattern)| TopicStep::Subscribe(client, is_own, pattern)),
        2 => (client.clone(), any::<Index>()).prop_map(|(client, which)| TopicStep::Unsubscribe(client, which)),
        6 => plain.prop_map(TopicStep::Publish),
        3 => (prop_oneof![Just("ann"), Just("bob")], plain)
            .prop_map(|(user, destination)| TopicStep::ToUser(user, destination)),
        3 => (client, any::<bool>(), plain)
            .prop_map(|(client, is_user, destination)| TopicStep::ToSession(client, is_user, destination)),
    ]
}

/// A client, its user, and what it has subscribed to: whether that is its own, and the pattern.
type TopicClient = (Client, Option<&'static str>, BTreeMap<u32, (bool, String)>);

/// Takes the steps, and compares.
fn check(broker: &MemoryBroker, steps: Vec<TopicStep>) -> Result<(), TestCaseError> {
    let mut clients: [Option<TopicClient>; CLIENTS] = Default::default();
    for step in steps {
        let (target, destination) = match step {
            TopicStep::Connect(client, user) => {
                clients[client] = Some((Client::new(broker, user, ALWAYS, ALWAYS), user, BTreeMap::new()));
                continue;
            }
            TopicStep::Subscribe(client, is_own, pattern) => {
                if let Some((client, _, subscribed)) = &mut clients[client] {
                    let text = pattern.clone().into();
                    let source = if is_own { Source::User(text) } else { Source::Destination(text) };
                    let serial = client.try_subscribe(source, AckMode::Auto, 1).unwrap();
                    subscribed.insert(serial, (is_own, pattern));
                }
                continue;
            }
            TopicStep::Unsubscribe(client, which) => {
                if let Some((client, _, subscribed)) = &mut clients[client] {
                    let serial = u32::try_from(which.index(10)).unwrap();
                    client.unsubscribe(serial);
                    subscribed.remove(&serial);
                }
                continue;
            }
            TopicStep::Publish(destination) => (Target::Destination(destination.clone().into()), destination),
            TopicStep::ToUser(user, destination) => {
                (Target::User { name: user.into(), destination: destination.clone().into() }, destination)
            }
            TopicStep::ToSession(client, is_user, destination) => {
                let Some((client, ..)) = &clients[client] else { continue };
                let to = destination.clone().into();
                let target = if is_user {
                    Target::User { name: client.id.to_string().into(), destination: to }
                } else {
                    Target::Session { id: client.id, destination: to }
                };
                (target, destination)
            }
        };
        let published = broker.publish(target.clone(), message(&destination, "x")).now_or_never().unwrap();
        let mut delivered = 0;
        for (client, user, subscribed) in clients.iter().flatten() {
            let (is_own, is_for) = match &target {
                Target::Destination(_) | Target::Temporary(_) => (false, true),
                Target::Session { id, .. } => (true, *id == client.id),
                Target::User { name, .. } => match user {
                    Some(user) => (true, name == user),
                    None => (true, *name == client.id.to_string()),
                },
            };
            let segments: Vec<_> = destination.split('/').collect();
            let expected: Vec<_> = subscribed
                .iter()
                .filter(|(_, (own, pattern))| {
                    is_for && *own == is_own && is_match(&pattern.split('/').collect::<Vec<_>>(), &segments)
                })
                .map(|(serial, _)| format!("s{serial}"))
                .collect();
            delivered += expected.len();
            let mut got: Vec<_> = client
                .frames()
                .iter()
                .map(|frame| header(frame, "subscription").unwrap().to_owned())
                .collect();
            got.sort_by_key(|name| name[1..].parse::<u32>().unwrap());
            prop_assert_eq!(got, expected, "{:?}", &target);
        }
        prop_assert_eq!(published.unwrap(), Published { delivered, ..Published::default() });
    }
    let subscriptions: usize = clients.iter().flatten().map(|(.., subscribed)| subscribed.len()).sum();
    prop_assert_eq!(broker.stats().subscriptions, subscriptions);
    drop(clients);
    prop_assert_eq!(MemoryBrokerStats { bus: None, ..broker.stats() }, MemoryBrokerStats::default());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// A message of a topic, or of a user, goes to the subscriptions that match it, once to each, and to no other.
    #[test]
    fn topics_reach_those_who_have_subscribed(steps in vec(topic_step(), 1..40)) {
        check(&MemoryBroker::new(), steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// What is true of a broker alone is true of the only one on a bus.
    #[test]
    fn topics_of_the_only_node_do_so_too(steps in vec(topic_step(), 1..40)) {
        let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let bus = InProcess::new();
        check(&MemoryBroker::builder().bus(Arc::new(bus.connect())).build(), steps)?;
    }
}
