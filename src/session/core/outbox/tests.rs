//! The queue to the client, compared with a plain list of its messages.

use proptest::{collection::vec, prelude::*};

use super::{super::queue::KEPT, *};
use crate::session::{core::kind::Kind, tests::SETTINGS};

fn outbox(bound: usize, overflow: Overflow) -> Outbox {
    Outbox::new(&Settings { send_queue_bytes: bound, send_overflow: overflow, ..SETTINGS })
}

/// The cost of "a".
const A: usize = 1 + 6 + MESSAGE_OVERHEAD;

#[test]
fn room_is_given_back() {
    let mut outbox = outbox(usize::MAX, Overflow::Wait);
    for _ in 0..10 * KEPT {
        outbox.push("a".into());
    }
    outbox.take(usize::MAX);
    assert_eq!((outbox.queue.messages.capacity(), outbox.bytes()), (0, 0));
    outbox.push("a".into());
    outbox.take(usize::MAX);
    assert!(outbox.queue.messages.capacity() > 0, "a short one is kept");
}

#[test]
fn raw_messages_cost_and_take_their_bytes() {
    let kind = Kind::Socket { framed: false, pong_timeout: None };
    let mut outbox = Outbox::new(&Settings { kind, ..SETTINGS });
    let text = "\u{1}\u{1}";
    outbox.push(text.into());
    assert_eq!(outbox.bytes(), 2 + MESSAGE_OVERHEAD);
    assert_eq!(outbox.take(0).1, 2);
}

#[test]
fn what_is_promised_is_for_nobody_else() {
    let mut outbox = outbox(3 * A, Overflow::Wait);
    assert!(outbox.promise(2 * A));
    assert!(outbox.takes_at_once(A) && !outbox.takes_at_once(A + 1));
    assert!(!outbox.promise(A + 1) && outbox.promise(A));
    let mut none = Discarded::default();
    let mut make_room =
        |outbox: &mut Outbox, text: &str| outbox.make_room(&text.into(), Overflow::Wait, false, &mut none);
    assert_eq!(make_room(&mut outbox, ""), Err(Full::Wait), "empty, and all of it is promised");
    outbox.withdraw(2 * A);
    assert_eq!(make_room(&mut outbox, "a"), Ok(0));
    assert!(outbox.clear().is_empty());
    assert!(outbox.takes_at_once(100 * A), "the end ends all promises");
    outbox.withdraw(A);
    assert!(outbox.takes_at_once(100 * A));
}

#[derive(Debug, Clone)]
enum Op {
    Send { size: usize, overflow: Overflow, others_wait: bool },
    Push(usize),
    Take(usize),
    Promise(usize),
    Withdraw,
    Clear,
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..80_usize, any_overflow(), any::<bool>())
            .prop_map(|(size, overflow, others_wait)| Op::Send { size, overflow, others_wait }),
        1 => (0..80_usize).prop_map(Op::Push),
        3 => prop_oneof![0..100_usize, Just(usize::MAX)].prop_map(Op::Take),
        2 => (MESSAGE_OVERHEAD..300).prop_map(Op::Promise),
        2 => Just(Op::Withdraw),
        1 => Just(Op::Clear),
    ]
}

fn any_overflow() -> impl Strategy<Value = Overflow> {
    prop_oneof![Just(Overflow::Wait), Just(Overflow::Close), Just(Overflow::DropOldest)]
}

proptest! {
    #[test]
    fn holds_what_was_sent_within_its_bound(
        bound in prop_oneof![Just(1), Just(300), Just(700), Just(usize::MAX)],
        of_endpoint in any_overflow(),
        framed in any::<bool>(),
        ops in vec(an_op(), 1..60),
    ) {
        let kind = Kind::Socket { framed, pong_timeout: None };
        let settings = Settings { send_queue_bytes: bound, send_overflow: of_endpoint, kind, ..SETTINGS };
        let mut outbox = Outbox::new(&settings);
        let mut list: Vec<Message> = Vec::new();
        let mut promises: Vec<usize> = Vec::new();
        let mut number = 0;
        let mut message = |size: usize| {
            number += 1;
            // Some letters grow when they are quoted.
            Message::from(format!("{number}:") + &"x\"\u{2028}".chars().cycle().take(size).collect::<String>())
        };
        let cost = |message: &Message| message.memory(framed) + MESSAGE_OVERHEAD;
        let sum = |list: &[Message]| list.iter().map(cost).sum::<usize>();
        let fits = |list: &[Message], promises: &[usize], more: usize| {
            let all = sum(list) + promises.iter().sum::<usize>() + more;
            all <= bound || list.is_empty() && promises.is_empty()
        };
        for op in ops {
            match op {
                Op::Send { size, overflow, others_wait } => {
                    let message = message(size);
                    let more = cost(&message);
                    let fitted = fits(&list, &promises, more);
                    prop_assert_eq!(outbox.takes_at_once(more), fitted || of_endpoint != Overflow::Wait);
                    let drops = overflow == Overflow::DropOldest;
                    let before = sum(&list);
                    // Free room belongs to the waiting tasks.
                    let is_enough = |list: &[Message]| {
                        fits(list, &promises, more) && !(drops && others_wait && sum(list) + more > before)
                    };
                    let mut discarded = Discarded::default();
                    let made = outbox.make_room(&message, overflow, others_wait, &mut discarded);
                    prop_assert_eq!(made.unwrap_or_default(), discarded.len() as u64);
                    match made {
                        Ok(0) => prop_assert!(is_enough(&list) || list.is_empty() && drops),
                        Ok(_) => {
                            prop_assert!(!is_enough(&list) && drops);
                            let mut oldest: Vec<_> = list.drain(..discarded.len() - 1).collect();
                            prop_assert!(!is_enough(&list), "no more than have to");
                            oldest.push(list.remove(0));
                            prop_assert_eq!(discarded.into_messages(), oldest, "they are given out");
                            prop_assert!(list.is_empty() || is_enough(&list), "as many as have to");
                        }
                        Err(full) => {
                            prop_assert!(!fitted);
                            let expected = if overflow == Overflow::Wait { Full::Wait } else { Full::Close };
                            prop_assert!(full == expected && overflow != Overflow::DropOldest);
                            continue;
                        }
                    }
                    outbox.push(message.clone());
                    list.push(message);
                }
                Op::Push(size) => {
                    let message = message(size);
                    outbox.push(message.clone());
                    list.push(message);
                }
                Op::Take(max_bytes) => if !list.is_empty() {
                    let (taken, length) = outbox.take(max_bytes);
                    let wire = |message: &Message| if framed { message.quoted().len() + 1 } else { message.len() };
                    let rest = list.split_off(taken.len());
                    prop_assert_eq!(&taken, &list);
                    prop_assert_eq!(length, taken.iter().map(wire).sum::<usize>());
                    prop_assert!(taken.len() == 1 || !taken.is_empty() && length <= max_bytes);
                    if let Some(next) = rest.first() {
                        prop_assert!(length + wire(next) > max_bytes, "all that may leave together does");
                    }
                    list = rest;
                },
                Op::Promise(bytes) => {
                    prop_assert_eq!(outbox.promise(bytes), fits(&list, &promises, bytes));
                    if fits(&list, &promises, bytes) {
                        promises.push(bytes);
                    }
                }
                Op::Withdraw => if let Some(bytes) = promises.pop() {
                    outbox.withdraw(bytes);
                },
                Op::Clear => {
                    prop_assert_eq!(outbox.clear().into_messages(), std::mem::take(&mut list));
                    promises.clear();
                }
            }
            prop_assert_eq!((outbox.is_empty(), outbox.bytes()), (list.is_empty(), sum(&list)));
            prop_assert_eq!(outbox.promised, promises.iter().sum::<usize>());
        }
    }
}
