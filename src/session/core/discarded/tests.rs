//! What is thrown away, as the one list that it stands for.

use proptest::{collection::vec, prelude::*};

use super::*;

#[test]
fn it_is_no_larger_than_a_list() {
    assert_eq!(size_of::<Discarded>(), size_of::<Vec<Message>>());
}

#[test]
fn an_empty_queue_is_nothing() {
    let discarded = Discarded::from(VecDeque::with_capacity(10));
    assert!(matches!(discarded, Discarded::Nothing));
}

proptest! {
    #[test]
    fn keeps_the_order_of_all_that_is_added(parts in vec(vec("[a-c]{1,3}", 0..4), 0..5)) {
        let mut discarded = Discarded::default();
        let mut list: Vec<Message> = Vec::new();
        for part in parts {
            let part: VecDeque<Message> = part.into_iter().map(Message::from).collect();
            list.extend(part.iter().cloned());
            match part.len() {
                1 => part.into_iter().for_each(|message| discarded.push(message)),
                _ => discarded.append(part.into()),
            }
            prop_assert_eq!((discarded.len(), discarded.is_empty()), (list.len(), list.is_empty()));
        }
        prop_assert_eq!(discarded.into_messages(), list);
    }
}
