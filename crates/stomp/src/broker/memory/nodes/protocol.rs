//! What nodes say to each other of themselves and their queues, and how it is written.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the version of this layout |
//! | 1 | which message it is |
//! | the rest | its fields: numbers of 8 bytes, texts with 4 bytes for their length, and a last text without |

use bytes::{Buf, BufMut, Bytes};

/// A message to other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// The node has started, or could not hear the others for a while. Each answers with a beat.
    Hello { name: Option<Box<str>> },
    /// The node is there.
    Beat { name: Option<Box<str>> },
    /// The node stops.
    Bye,
    /// The node wants to own a queue, and asks whether anyone else does.
    Claim { number: u64, queue: Box<str> },
    /// Whether the queue of a claim with this number is free.
    Answer { number: u64, is_free: bool, queue: Box<str> },
    /// Queues that the node owns, and for how long.
    Owned(Vec<Owned>),
    /// The node has owned this queue for longer: the other one is to give it up.
    Kept(Box<str>),
}

/// A queue that a node owns, and for how long: milliseconds, since clocks differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) age: u64,
    pub(crate) queue: Box<str>,
}

const VERSION: u8 = 1;

const HELLO: u8 = 0;
const BEAT: u8 = 1;
const BYE: u8 = 2;
const CLAIM: u8 = 3;
const FREE: u8 = 4;
const TAKEN: u8 = 5;
const OWNED: u8 = 6;
const KEPT: u8 = 7;

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        match self {
            Self::Hello { name } => {
                bytes.put_u8(HELLO);
                bytes.put_slice(name.as_deref().unwrap_or_default().as_bytes());
            }
            Self::Beat { name } => {
                bytes.put_u8(BEAT);
                bytes.put_slice(name.as_deref().unwrap_or_default().as_bytes());
            }
            Self::Bye => bytes.put_u8(BYE),
            Self::Claim { number, queue } => {
                bytes.put_u8(CLAIM);
                bytes.put_u64(*number);
                bytes.put_slice(queue.as_bytes());
            }
            Self::Answer { number, is_free, queue } => {
                bytes.put_u8(if *is_free { FREE } else { TAKEN });
                bytes.put_u64(*number);
                bytes.put_slice(queue.as_bytes());
            }
            Self::Owned(queues) => {
                bytes.put_u8(OWNED);
                queues.iter().for_each(|owned| owned.put(&mut bytes));
            }
            Self::Kept(queue) => {
                bytes.put_u8(KEPT);
                bytes.put_slice(queue.as_bytes());
            }
        }
        bytes
    }

    /// How long a claim of a queue is.
    pub(crate) fn claim_len(queue: &str) -> usize {
        2 + 8 + queue.len()
    }

    /// `None` if it is none.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        Some(match bytes.try_get_u8().ok()? {
            HELLO => Self::Hello { name: name(&bytes)? },
            BEAT => Self::Beat { name: name(&bytes)? },
            BYE => Self::Bye,
            CLAIM => {
                let number = bytes.try_get_u64().ok()?;
                Self::Claim { number, queue: text(&bytes)? }
            }
            kind @ (FREE | TAKEN) => {
                let number = bytes.try_get_u64().ok()?;
                Self::Answer { number, is_free: kind == FREE, queue: text(&bytes)? }
            }
            OWNED => {
                let mut queues = Vec::new();
                while bytes.has_remaining() {
                    queues.push(Owned::get(&mut bytes)?);
                }
                Self::Owned(queues)
            }
            KEPT => Self::Kept(text(&bytes)?),
            _ => return None,
        })
    }
}

impl Owned {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.put_u64(self.age);
        // The name of a queue is shorter than a message of the bus.
        bytes.put_u32(self.queue.len() as u32);
        bytes.put_slice(self.queue.as_bytes());
    }

    fn get(bytes: &mut Bytes) -> Option<Self> {
        let age = bytes.try_get_u64().ok()?;
        let len = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let queue = (len <= bytes.len()).then(|| bytes.split_to(len))?;
        Some(Self { age, queue: text(&queue)? })
    }

    fn len(&self) -> usize {
        8 + 4 + self.queue.len()
    }
}

fn text(bytes: &[u8]) -> Option<Box<str>> {
    std::str::from_utf8(bytes).ok().map(Box::from)
}

fn name(bytes: &[u8]) -> Option<Option<Box<str>>> {
    text(bytes).map(|name| (!name.is_empty()).then_some(name))
}

/// Shares queues out among messages of so many bytes at the most.
pub(crate) fn pages(queues: Vec<Owned>, max: usize) -> Vec<Message> {
    let mut pages = Vec::new();
    let (mut page, mut len) = (Vec::new(), 2);
    for queue in queues {
        if len + queue.len() > max && !page.is_empty() {
            pages.push(Message::Owned(std::mem::take(&mut page)));
            len = 2;
        }
        len += queue.len();
        page.push(queue);
    }
    if !page.is_empty() {
        pages.push(Message::Owned(page));
    }
    pages
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn owned(age: u64, queue: &str) -> Owned {
        Owned { age, queue: queue.into() }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        for message in [
            Message::Hello { name: None },
            Message::Hello { name: Some("a:1".into()) },
            Message::Beat { name: Some("ä".into()) },
            Message::Bye,
            Message::Claim { number: u64::MAX, queue: "/queue/ä".into() },
            Message::Answer { number: 7, is_free: true, queue: "".into() },
            Message::Answer { number: 7, is_free: false, queue: "/queue/a".into() },
            Message::Owned(vec![]),
            Message::Owned(vec![owned(1, ""), owned(2, "/queue/a")]),
            Message::Kept("/queue/a".into()),
        ] {
            assert_eq!(Message::decode(message.encode().into()), Some(message));
        }
    }

    #[test]
    fn a_claim_is_as_long_as_it_says() {
        let claim = Message::Claim { number: 1, queue: "/queue/ä".into() };
        assert_eq!(claim.encode().len(), Message::claim_len("/queue/ä"));
    }

    #[test]
    fn pages_have_all_and_are_no_larger() {
        let queues: Vec<_> = (0..100).map(|number| owned(number, &"q".repeat(number as usize))).collect();
        for max in [1, 50, 200, 10_000] {
            let mut found = Vec::new();
            for page in pages(queues.clone(), max) {
                let len = page.encode().len();
                let Message::Owned(part) = page else { panic!("{page:?}") };
                assert!(len <= max || part.len() == 1);
                found.extend(part);
            }
            assert_eq!(found, queues);
        }
        assert_eq!(pages(Vec::new(), 100), []);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in 0_u8..9, bytes in vec(any::<u8>(), 0..100)) {
            Message::decode(bytes.clone().into());
            if let Some(message) = Message::decode([&[VERSION, kind], &bytes[..]].concat().into()) {
                prop_assert_eq!(Message::decode(message.encode().into()), Some(message));
            }
        }
    }
}
