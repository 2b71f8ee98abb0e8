//! How messages between nodes are written, and read by someone who trusts nothing.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the version of this layout |
//! | 1 | the kind |
//! | 8, 16 or none | the version of a replica, or a node; then, where a node says that it is there, its address |
//! | 4 | in a snapshot: the index of the part, with the highest bit set in the last one |
//! | each item | in a snapshot 8 bytes for its revision; 4 bytes for its length, and JSON |
//!
//! Numbers are big-endian. An unknown version or kind is not read: nodes of different versions see no members of each
//! other, and no more. An item whose JSON cannot be read says so of itself alone: its client or another version of the
//! application may have made what is not read here, such as data that are nested too deeply.

use bytes::{Buf, BufMut, Bytes};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use sockjs_bus::NodeId;

use super::protocol::{Message, Op, Part, Received, Record};

const VERSION: u8 = 1;

const HELLO: u8 = b'H';
const BEAT: u8 = b'B';
const BYE: u8 = b'X';
const WANT: u8 = b'W';
const DELTA: u8 = b'D';
const SNAPSHOT: u8 = b'S';

/// The most bytes of a node's address.
const MAX_ADDRESS: usize = 256;

const LAST: u32 = 1 << 31;

/// The most bytes that are not of items: the two first, a version, a part.
const HEAD: usize = 2 + 8 + 4;
/// The most bytes that an item has beside its JSON.
const ITEM: usize = 8 + 4;

/// [`Op::Nothing`].
const NOTHING: &[u8] = br#""n""#;

/// [`Message::Bye`], for those who have no time.
pub(crate) const fn bye() -> [u8; 2] {
    [VERSION, BYE]
}

/// The most bytes of an operation's JSON, where a message has this many.
pub(crate) const fn max_op(max: usize) -> usize {
    max.saturating_sub(HEAD + ITEM)
}

/// Writes a message as one or several of up to `max` bytes each, to be sent one after the other.
///
/// What does not fit into one is left out: an operation is withdrawn, and a record has none. The second
/// number returned says how many these are.
pub(crate) fn encode<K: Serialize, U: Serialize, D: Serialize>(
    message: &Message<K, U, D>,
    max: usize,
) -> (Vec<Vec<u8>>, usize) {
    let mut one = vec![VERSION];
    match message {
        Message::Hello { version, address } | Message::Beat { version, address } => {
            one.put_u8(if matches!(message, Message::Hello { .. }) { HELLO } else { BEAT });
            one.put_u64(*version);
            let fits = |address: &&str| address.len() <= max.saturating_sub(HEAD).min(MAX_ADDRESS);
            let address = address.as_deref().filter(fits);
            one.put_slice(address.unwrap_or_default().as_bytes());
        }
        Message::Bye => one.put_u8(BYE),
        Message::Want { node } => {
            one.put_u8(WANT);
            one.put_slice(&node.to_bytes());
        }
        Message::Delta { version, ops } => return encode_delta(*version, ops, max),
        Message::Snapshot { version, records, .. } => return encode_snapshot(*version, records, max),
    }
    (vec![one], 0)
}

fn encode_delta<K: Serialize, U: Serialize, D: Serialize>(
    version: u64,
    ops: &[Op<K, U, D>],
    max: usize,
) -> (Vec<Vec<u8>>, usize) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut left_out = 0;
    for (op, version) in ops.iter().zip(version..) {
        let json = json(op, max).unwrap_or_else(|| {
            left_out += 1;
            // So that nobody is left with data that are no longer so.
            let withdrawn = json(&op.as_ref().withdrawn::<(), ()>(), max);
            withdrawn.unwrap_or_else(|| NOTHING.to_vec())
        });
        let last = match all.last_mut() {
            Some(last) if last.len() + ITEM + json.len() <= max => last,
            _ => {
                let mut next = vec![VERSION, DELTA];
                next.put_u64(version);
                all.push(next);
                let end = all.len() - 1;
                &mut all[end]
            }
        };
        put_json(last, &json);
    }
    (all, left_out)
}

fn encode_snapshot<K: Serialize, U: Serialize, D: Serialize>(
    version: u64,
    records: &[Record<K, U, D>],
    max: usize,
) -> (Vec<Vec<u8>>, usize) {
    let head = |index: u32| {
        let mut part = vec![VERSION, SNAPSHOT];
        part.put_u64(version);
        part.put_u32(index);
        part
    };
    let mut last = head(0);
    let mut all = Vec::new();
    let mut left_out = 0;
    for record in records {
        let Some(json) = json(&record.op, max) else {
            left_out += 1;
            continue;
        };
        if last.len() + ITEM + json.len() > max {
            all.push(last);
            last = head(all.len() as u32);
        }
        last.put_u64(record.revision);
        put_json(&mut last, &json);
    }
    // Behind the version, before the items.
    last[HEAD - 4] |= (LAST >> 24) as u8;
    all.push(last);
    (all, left_out)
}

/// The JSON of an operation, if it fits into a message.
pub(crate) fn json<T: Serialize>(op: &T, max: usize) -> Option<Vec<u8>> {
    serde_json::to_vec(op).ok().filter(|json| json.len() <= max_op(max))
}

fn put_json(to: &mut Vec<u8>, json: &[u8]) {
    // It fits into a message, whose length the bus bounds.
    to.put_u32(json.len() as u32);
    to.put_slice(json);
}

/// Reads a message. `None` if it is none.
///
/// An operation that cannot be read takes away what it would have changed, as far as that can be read, and otherwise
/// becomes [`Op::Nothing`]. A record that cannot be read is left out.
pub(crate) fn decode<K, U, D>(mut bytes: Bytes) -> Option<Received<K, U, D>>
where
    K: DeserializeOwned,
    U: DeserializeOwned,
    D: DeserializeOwned,
{
    if bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    let (mut unreadable, mut sizes) = (0, Vec::new());
    let message = match bytes.try_get_u8().ok()? {
        kind @ (HELLO | BEAT) => {
            let version = bytes.try_get_u64().ok()?;
            if bytes.len() > MAX_ADDRESS {
                return None;
            }
            let address = String::from_utf8(bytes.split_off(0).into()).ok()?;
            let address = (!address.is_empty()).then_some(address);
            if kind == HELLO {
                Message::Hello { version, address }
            } else {
                Message::Beat { version, address }
            }
        }
        BYE => Message::Bye,
        WANT => {
            let node = bytes.try_get_u128().ok()?;
            Message::Want { node: NodeId::from_bytes(node.to_be_bytes()) }
        }
        DELTA => {
            let version = bytes.try_get_u64().ok()?;
            let mut ops = Vec::new();
            while !bytes.is_empty() {
                let json = get_json(&mut bytes)?;
                sizes.push(json.len());
                ops.push(serde_json::from_slice(&json).unwrap_or_else(|_| {
                    unreadable += 1;
                    in_place_of(&json)
                }));
            }
            Message::Delta { version, ops }
        }
        SNAPSHOT => {
            let version = bytes.try_get_u64().ok()?;
            let part = bytes.try_get_u32().ok()?;
            let part = Part { index: part & !LAST, is_last: part & LAST != 0 };
            let mut records = Vec::new();
            while !bytes.is_empty() {
                let revision = bytes.try_get_u64().ok()?;
                let json = get_json(&mut bytes)?;
                match serde_json::from_slice(&json) {
                    Ok(op) => {
                        sizes.push(json.len());
                        records.push(Record { revision, op });
                    }
                    Err(_) => unreadable += 1,
                }
            }
            Message::Snapshot { version, part, records }
        }
        _ => return None,
    };
    bytes.is_empty().then_some(Received { message, sizes, unreadable })
}

fn get_json(bytes: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    (len <= bytes.len()).then(|| bytes.split_to(len))
}

/// What is done instead of an operation that cannot be read: nobody is left with a user or data that are no longer so.
fn in_place_of<K: DeserializeOwned, U, D>(json: &[u8]) -> Op<K, U, D> {
    let op = serde_json::from_slice::<Op<K, IgnoredAny, IgnoredAny>>(json);
    op.map_or(Op::Nothing, Op::withdrawn)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use proptest::{collection::vec, prelude::*};
    use serde_json::Value;

    use super::*;

    type Text = Message<String, u32, String>;

    fn ops() -> impl Strategy<Value = Vec<Op<String, u32, String>>> {
        let op = prop_oneof![
            (any::<u128>(), any::<Option<u32>>()).prop_map(|(id, user)| Op::Enter(id, user)),
            any::<u128>().prop_map(Op::Exit),
            (any::<u128>(), ".{0,9}", ".{0,99}").prop_map(|(id, room, data)| Op::Join(id, room, data)),
            (any::<u128>(), ".{0,9}").prop_map(|(id, room)| Op::Leave(id, room)),
        ];
        vec(op, 0..20)
    }

    fn read(written: Vec<Vec<u8>>) -> Vec<Text> {
        written.into_iter().map(|one| decode(one.into()).unwrap().message).collect()
    }

    #[test]
    fn small_messages_are_read_as_written() {
        let node = NodeId::from_bytes([7; 16]);
        for message in [
            Text::Hello { version: 3, address: Some("10.0.0.1:80".to_owned()) },
            Text::Hello { version: 0, address: None },
            Text::Beat { version: u64::MAX, address: None },
            Text::Beat { version: 1, address: Some("a".to_owned()) },
            Text::Bye,
            Text::Want { node },
            Text::Snapshot { version: 9, part: Part::WHOLE, records: Vec::new() },
        ] {
            let (written, 0) = encode(&message, 100) else { panic!("{message:?}") };
            assert_eq!(read(written), [message]);
        }
    }

    #[test]
    fn an_address_is_bounded() {
        let hello = |len| Text::Hello { version: 1, address: Some("a".repeat(len)) };
        assert_eq!(read(encode(&hello(256), 1000).0), [hello(256)]);
        let none = Text::Hello { version: 1, address: None };
        assert_eq!(read(encode(&hello(257), 1000).0), [none], "it is told without one");
        let mut written = encode(&hello(256), 1000).0.remove(0);
        written.push(b'a');
        assert!(decode::<String, u32, String>(written.into()).is_none());
    }

    #[test]
    fn what_is_too_large_is_left_out_and_the_numbers_stay() {
        let join = |data: &str| Op::<String, u32, String>::Join(1, "r".to_owned(), data.to_owned());
        let ops = vec![join("a"), join(&"b".repeat(100)), join("c")];
        let records = ops.iter().cloned().zip(1..).map(|(op, revision)| Record { revision, op }).collect();
        let (written, left_out) = encode(&Text::Delta { version: 0, ops: ops.clone() }, 100);
        assert_eq!(left_out, 1);
        let found: Vec<_> = read(written)
            .into_iter()
            .flat_map(|message| match message {
                Message::Delta { ops, .. } => ops,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, [ops[0].clone(), Op::Leave(1, "r".to_owned()), ops[2].clone()]);
        // Nor do its others fit.
        let all = Text::Delta { version: 0, ops: vec![Op::Join(1, "r".repeat(100), String::new())] };
        let (written, 1) = encode(&all, 100) else { panic!("one") };
        assert_eq!(read(written), [Text::Delta { version: 0, ops: vec![Op::Nothing] }]);
        let (_, left_out) = encode(&Text::Snapshot { version: 3, part: Part::WHOLE, records }, 100);
        assert_eq!(left_out, 1);
    }

    /// As deep as a client's message may be.
    fn deep() -> Value {
        (0..126).fold(Value::Array(Vec::new()), |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn what_cannot_be_read_hides_nothing_else() {
        type Op = super::Op<String, u32, Value>;
        assert!(serde_json::from_str::<Value>(&deep().to_string()).is_ok());
        let join = |id, data| Op::Join(id, "r".to_owned(), data);
        let ops = vec![Op::Enter(1, None), join(1, deep()), join(2, 7.into())];
        let records = ops.iter().cloned().zip(1..).map(|(op, revision)| Record { revision, op }).collect();
        let read = |message| {
            let (written, 0) = encode(&message, 10_000) else { panic!("{message:?}") };
            decode::<String, u32, Value>(written[0].clone().into()).unwrap()
        };
        let delta = read(Message::Delta { version: 0, ops: ops.clone() });
        let Message::Delta { ops: found, .. } = delta.message else { panic!("{delta:?}") };
        assert_eq!(found, [ops[0].clone(), Op::Leave(1, "r".to_owned()), ops[2].clone()]);
        let snapshot = read(Message::Snapshot { version: 3, part: Part::WHOLE, records });
        let Message::Snapshot { records, .. } = snapshot.message else { panic!("{snapshot:?}") };
        assert_eq!(records.iter().map(|record| record.revision).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((delta.unreadable, snapshot.unreadable), (1, 1));
        let of_others = |json: &[u8]| in_place_of::<u8, u32, Value>(json);
        assert_eq!(of_others(br#"{"e":[7,"a name"]}"#), super::Op::Exit(7));
        assert_eq!(of_others(br#"{"j":[7,"a key",1]}"#), super::Op::Nothing);
        assert_eq!(of_others(br#"{"a later one":[7]}"#), super::Op::Nothing);
    }

    proptest! {
        #[test]
        fn operations_are_split_and_come_in_order(ops in ops(), version in 0_u64..1000, max in 200_usize..2000) {
            let (written, left_out) = encode(&Text::Delta { version, ops: ops.clone() }, max);
            prop_assume!(left_out == 0);
            prop_assert!(written.iter().all(|one| one.len() <= max));
            let mut next = version;
            let mut found = Vec::new();
            for message in read(written) {
                let Message::Delta { version, ops } = message else { panic!("{message:?}") };
                prop_assert_eq!(version, next);
                next += ops.len() as u64;
                found.extend(ops);
            }
            prop_assert_eq!(found, ops);
        }

        #[test]
        fn a_snapshot_is_split_into_parts(ops in ops(), version: u64, max in 200_usize..2000) {
            let records: Vec<_> =
                ops.into_iter().zip(5..).map(|(op, revision)| Record { revision, op }).collect();
            let message = Text::Snapshot { version, part: Part::WHOLE, records: records.clone() };
            let (written, left_out) = encode(&message, max);
            prop_assume!(left_out == 0);
            prop_assert!(written.iter().all(|one| one.len() <= max));
            let (count, mut found) = (written.len(), Vec::new());
            for (message, index) in read(written).into_iter().zip(0..) {
                let Message::Snapshot { version: of, part, records } = message else { panic!("{message:?}") };
                prop_assert_eq!((of, part), (version, Part { index, is_last: index as usize + 1 == count }));
                found.extend(records);
            }
            prop_assert_eq!(found, records);
        }

        /// Neither does any part of a message.
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, ops in ops(), cut in 0_usize..500) {
            decode::<String, u32, String>(bytes.clone().into());
            for kind in [HELLO, BEAT, BYE, WANT, DELTA, SNAPSHOT] {
                let any = [&[VERSION, kind], &bytes[..]].concat();
                decode::<String, u32, String>(any.into());
            }
            for mut one in encode(&Text::Delta { version: 1, ops }, 1000).0 {
                one.truncate(cut);
                decode::<String, u32, String>(one.into());
            }
        }
    }
}
