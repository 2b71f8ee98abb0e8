//! The nearest right word.

/// What other programs call the same, without what stands between its parts.
const ALIASES: [(&str, &str); 7] = [
    ("leastconn", "least-sessions"),
    ("leastconns", "least-sessions"),
    ("leastconnection", "least-sessions"),
    ("leastconnections", "least-sessions"),
    ("leastrequest", "least-sessions"),
    ("roundrobin", "round-robin"),
    ("rr", "round-robin"),
];

/// The word that was probably meant, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // As many slips as a long word may have; none in a word of two letters, which is near to everything.
    let slips = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    let normal = |word: &str| word.to_ascii_lowercase().replace('_', "-");
    let word = normal(word);
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word.replace('-', "")).map(|(_, meant)| *meant);
    known
        .into_iter()
        .map(|known| {
            let distance = if Some(known) == alias { 0 } else { strsim::osa_distance(&word, &normal(known)) };
            (distance, known)
        })
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// ": did you mean `…`?", or nothing.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!(": did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_found_and_nothing_else() {
        let known = ["listen", "heartbeat", "max_sessions", "max_sessions_per_peer", "tls", "key"];
        for (word, meant) in [
            ("lisen", Some("listen")),
            ("listne", Some("listen")),
            ("Heartbeat", Some("heartbeat")),
            ("max-sessions", Some("max_sessions")),
            ("maxsessions", Some("max_sessions")),
            ("max_session_per_peer", Some("max_sessions_per_peer")),
            ("tsl", Some("tls")),
            ("ke", None),
            ("", None),
            ("keepalive", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        let balances = ["round-robin", "least-sessions"];
        for (word, meant) in [
            ("least_conn", "least-sessions"),
            ("leastconn", "least-sessions"),
            ("least-conn", "least-sessions"),
            ("Least-Connections", "least-sessions"),
            ("roundrobin", "round-robin"),
            ("rr", "round-robin"),
        ] {
            assert_eq!(nearest(word, balances), Some(meant), "{word}");
        }
        assert_eq!(nearest("leastconn", known), None);
        assert_eq!(hint("tsl", known), ": did you mean `tls`?");
        assert_eq!(hint("x", known), "");
    }
}
