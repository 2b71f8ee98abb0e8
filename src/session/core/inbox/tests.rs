//! The queue to the application, compared with a plain list of its messages.

use proptest::{collection::vec, prelude::*};

use super::{super::queue::KEPT, *};
use crate::session::tests::SETTINGS;

fn inbox(bytes: usize, messages: usize) -> Inbox {
    Inbox::new(&Settings { receive_queue_bytes: bytes, receive_queue_messages: messages, ..SETTINGS })
}

fn batch(sizes: &[usize]) -> Vec<Message> {
    sizes.iter().map(|&size| "x".repeat(size).into()).collect()
}

#[test]
fn room_is_given_back() {
    let mut inbox = inbox(usize::MAX, usize::MAX);
    let mut many = batch(&[1; 10 * KEPT]);
    inbox.take(&mut many.clone(), Room::of_batch(&many));
    while inbox.pop().is_some() {}
    assert_eq!((inbox.queue.messages.capacity(), inbox.bytes()), (0, 0));
    many.truncate(1);
    inbox.take(&mut many.clone(), Room::of_batch(&many));
    inbox.pop();
    assert!(inbox.queue.messages.capacity() > 0, "a short one is kept");
}

#[test]
fn batches_are_attended_in_order_and_once() {
    let mut inbox = inbox(1000, 10);
    let none = inbox.accepted();
    assert!(inbox.has_attended(none) && !inbox.attend(none), "there is none to attend");
    inbox.count_batch();
    let first = inbox.accepted();
    inbox.count_batch();
    let second = inbox.accepted();
    assert!(none < first && first < second && !inbox.has_attended(first));
    assert!(inbox.attend(first) && !inbox.attend(first), "news once");
    assert!(inbox.has_attended(first) && !inbox.has_attended(second));
    assert!(inbox.attend(second) && !inbox.attend(first), "nor does an earlier turn take it back");
    assert!(inbox.has_attended(second));
}

#[test]
fn clearing_ends_all_promises() {
    let mut inbox = inbox(1000, 1);
    let room = Room::of_batch(&batch(&[1]));
    assert!(inbox.promise(room) && !inbox.fits(room));
    assert!(inbox.clear().is_empty());
    assert!(inbox.fits(Room { bytes: 5000, messages: 50 }));
    inbox.withdraw(room);
    assert!(inbox.fits(Room { bytes: 5000, messages: 50 }));
}

#[derive(Debug, Clone)]
enum Op {
    Take(Vec<usize>),
    Pop,
    Promise(Vec<usize>),
    Withdraw,
    Clear,
}

fn an_op() -> impl Strategy<Value = Op> {
    let sizes = || vec(0..100_usize, 1..4);
    prop_oneof![
        6 => sizes().prop_map(Op::Take),
        6 => Just(Op::Pop),
        2 => sizes().prop_map(Op::Promise),
        2 => Just(Op::Withdraw),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    #[test]
    fn holds_what_was_accepted_within_its_bounds(
        bytes in prop_oneof![Just(1), Just(300), Just(700), Just(usize::MAX)],
        messages in prop_oneof![1..6_usize, Just(usize::MAX)],
        ops in vec(an_op(), 1..60),
    ) {
        let mut inbox = inbox(bytes, messages);
        let mut list: Vec<usize> = Vec::new();
        let mut promises: Vec<Vec<usize>> = Vec::new();
        let cost = |sizes: &[usize]| sizes.iter().map(|size| size + MESSAGE_OVERHEAD).sum::<usize>();
        let fits = |list: &[usize], promises: &[Vec<usize>], more: &[usize]| {
            let all = [list, &promises.concat(), more].concat();
            cost(&all) <= bytes && all.len() <= messages || list.is_empty() && promises.is_empty()
        };
        for op in ops {
            match op {
                Op::Take(sizes) => {
                    let mut batch = batch(&sizes);
                    let room = Room::of_batch(&batch);
                    prop_assert_eq!(inbox.fits(room), fits(&list, &promises, &sizes));
                    if inbox.fits(room) {
                        inbox.take(&mut batch, room);
                        prop_assert!(batch.is_empty());
                        list.extend(sizes);
                    }
                }
                Op::Pop => {
                    let popped = inbox.pop().map(|message| message.len());
                    prop_assert_eq!(popped, (!list.is_empty()).then(|| list.remove(0)));
                }
                Op::Promise(sizes) => {
                    prop_assert_eq!(inbox.promise(Room::of_batch(&batch(&sizes))), fits(&list, &promises, &sizes));
                    if fits(&list, &promises, &sizes) {
                        promises.push(sizes);
                    }
                }
                Op::Withdraw => if let Some(sizes) = promises.pop() {
                    inbox.withdraw(Room::of_batch(&batch(&sizes)));
                },
                Op::Clear => {
                    let cleared = inbox.clear().into_messages();
                    prop_assert!(cleared.iter().map(Message::len).eq(list.drain(..)), "they are given out");
                    promises.clear();
                }
            }
            prop_assert_eq!(inbox.bytes(), cost(&list));
            let promised = promises.concat();
            prop_assert_eq!(inbox.promised, Room { bytes: cost(&promised), messages: promised.len() });
        }
    }
}
