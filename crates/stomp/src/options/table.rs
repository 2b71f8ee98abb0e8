//! The name and default of each setting, as in the documentation.

use std::{collections::BTreeMap, time::Duration};

use stomp_codec::Limits;

use super::{ClientSend, Denial, HeartBeatPolicy, StompOptions};
use crate::outbox::{Overflow, Overflows};

/// The rows of the table: settings and their defaults.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let rows = include_str!("../options.rs").lines().filter_map(|line| line.strip_prefix("/// | [`"));
    rows.map(|row| {
        let (name, row) = row.split_once('`').expect("a name");
        (name, row.split(" | ").nth(1).expect("a default").trim().trim_matches('`'))
    })
    .collect()
}

fn bytes(text: &str) -> usize {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "" => 1,
        _ => panic!("{text}"),
    };
    number.parse::<usize>().expect("a number") * factor
}

#[test]
fn the_table_says_what_the_defaults_are() {
    let rows = documented();
    // Destructuring makes a setting without a row a compile error.
    let StompOptions {
        app_prefixes,
        user_prefix,
        connect_timeout,
        max_connect_bytes,
        max_headers,
        max_line_bytes,
        max_head_bytes,
        max_body_bytes,
        lenient_escapes,
        heart_beat,
        min_read_timeout,
        max_subscriptions,
        max_subscription_bytes,
        max_transactions,
        max_transaction_frames,
        max_transaction_bytes,
        max_unacknowledged,
        max_parallel_handlers,
        frame_rate,
        outbound_bytes,
        overflow,
        send_timeout,
        client_send,
        denial,
    } = StompOptions::new();
    let seconds = |name: &str| {
        let number = rows[name].strip_suffix(" s").expect("seconds");
        Duration::from_secs(number.parse().expect("a number"))
    };
    let number = |name: &str| bytes(rows[name]);
    assert_eq!(app_prefixes, [rows["app_prefixes"]]);
    assert_eq!(user_prefix, rows["user_prefix"]);
    assert_eq!(connect_timeout, seconds("connect_timeout"));
    assert_eq!(max_connect_bytes, number("max_connect_bytes"));
    assert_eq!(max_headers, number("max_headers"));
    assert_eq!(max_line_bytes, number("max_line_bytes"));
    assert_eq!(max_head_bytes, number("max_head_bytes"));
    assert_eq!(max_body_bytes, number("max_body_bytes"));
    // They are those of the codec.
    assert_eq!(StompOptions::new().limits(), Limits::new());
    assert_eq!((lenient_escapes, rows["lenient_escapes"]), (false, "off"));
    assert_eq!(rows["heart_beat"], "what the client asks for");
    assert_eq!(heart_beat, HeartBeatPolicy::Client { floor: seconds("min_heart_beat") });
    assert_eq!((min_read_timeout, rows["min_read_timeout"]), (None, "none"));
    assert_eq!(max_subscriptions, number("max_subscriptions"));
    assert_eq!(max_subscription_bytes, number("max_subscription_bytes"));
    assert_eq!(max_transactions, number("max_transactions"));
    assert_eq!(max_transaction_frames, number("max_transaction_frames"));
    assert_eq!(max_transaction_bytes, number("max_transaction_bytes"));
    assert_eq!(max_unacknowledged.get(), number("max_unacknowledged"));
    assert_eq!(max_parallel_handlers.get(), number("max_parallel_handlers"));
    assert_eq!((frame_rate, rows["frame_rate"]), (None, "none"));
    assert_eq!(outbound_bytes, number("outbound_bytes"));
    // And no rules.
    assert_eq!((overflow, rows["overflow"]), (Overflows::new(Overflow::Close), "close"));
    assert_eq!(rows["overflow_for"], "none");
    assert_eq!(send_timeout, Some(seconds("send_timeout")));
    assert_eq!((client_send, rows["client_send"]), (ClientSend::HANDLERS, "handlers"));
    assert_eq!((denial, rows["denial"]), (Denial::Close, "close"));
    assert_eq!(rows.len(), 26);
}
