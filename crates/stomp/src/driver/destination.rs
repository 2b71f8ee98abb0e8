//! Where a frame goes: to a handler, to the broker or to a user.

use bytestring::ByteString;

use crate::session::Refusal;
use crate::{
    broker::{Broker, REPLY_PREFIX, Source, Target},
    options::StompOptions,
};

/// The beginning of the names that a client gives its temporary queues.
pub(super) const TEMPORARY_PREFIX: &str = "/temp-queue/";

/// Where a `SEND` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipient {
    /// To a handler: its path, and where that begins.
    Handler(ByteString),
    /// To the broker, and the destination that subscribers see.
    Broker(Target, ByteString),
}

impl Recipient {
    /// The same, for what is kept.
    pub(super) fn copied(&self) -> Self {
        match self {
            Self::Handler(path) => Self::Handler(copy(path)),
            Self::Broker(target, seen) => {
                let target = match target {
                    Target::Destination(destination) => Target::Destination(copy(destination)),
                    Target::User { name, destination } => {
                        Target::User { name: copy(name), destination: copy(destination) }
                    }
                    Target::Session { id, destination } => {
                        Target::Session { id: *id, destination: copy(destination) }
                    }
                    Target::Temporary(name) => Target::Temporary(copy(name)),
                };
                Self::Broker(target, copy(seen))
            }
        }
    }
}

/// Copies a text that is kept: that of a frame shares a buffer with all else that was read at once.
pub(super) fn copy(text: &ByteString) -> ByteString {
    ByteString::from(&**text)
}

/// Where a `SEND` goes, and whether the settings let clients send there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) recipient: Recipient,
    /// Why not.
    pub(super) denied: Option<Refusal>,
}

/// What a `SUBSCRIBE` is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topic {
    /// The answer of a handler: its path.
    Handler(ByteString),
    Broker(Source),
}

/// Returns what stands behind a prefix: nothing, or a path that begins with a slash.
fn behind(destination: &ByteString, prefix: &str) -> Option<ByteString> {
    let path = destination.strip_prefix(prefix)?;
    (path.is_empty() || path.starts_with('/')).then(|| destination.slice_ref(path))
}

fn handler_path(destination: &ByteString, options: &StompOptions) -> Option<ByteString> {
    options.app_prefixes.iter().find_map(|prefix| behind(destination, prefix))
}

/// Where a `SEND` to this destination goes.
pub(super) fn address(
    destination: &ByteString,
    options: &StompOptions,
    broker: &dyn Broker,
) -> Result<Address, Refusal> {
    let allowed = |recipient| Address { recipient, denied: None };
    if let Some(path) = handler_path(destination, options) {
        return Ok(allowed(Recipient::Handler(path)));
    }
    let only_if = |is_allowed: bool, option: &str, recipient| {
        let denied = || {
            Refusal::new("not allowed to send here")
                .details(format!("Clients may send to handlers only ({option})."))
        };
        Address { recipient, denied: (!is_allowed).then(denied) }
    };
    if let Some(path) = behind(destination, &options.user_prefix) {
        let (name, path) = user_and_path(&path).ok_or_else(|| {
            Refusal::new("invalid destination")
                .details("The name of a user and a destination stand behind the user prefix.")
        })?;
        let seen = ByteString::from(format!("{}{path}", options.user_prefix));
        let recipient = Recipient::Broker(Target::User { name, destination: path }, seen);
        return Ok(only_if(options.client_send.users, "client_send, users", recipient));
    }
    if destination.starts_with(REPLY_PREFIX) {
        let target = Target::Temporary(destination.clone());
        return Ok(allowed(Recipient::Broker(target, destination.clone())));
    }
    if !broker.has(destination) {
        return Err(unknown());
    }
    let recipient = Recipient::Broker(Target::Destination(destination.clone()), destination.clone());
    Ok(only_if(options.client_send.broker, "client_send, broker", recipient))
}

/// What a `SUBSCRIBE` to this destination is for.
pub(super) fn topic(
    destination: &ByteString,
    options: &StompOptions,
    broker: &dyn Broker,
) -> Result<Topic, Refusal> {
    if let Some(path) = handler_path(destination, options) {
        return Ok(Topic::Handler(path));
    }
    if let Some(path) = behind(destination, &options.user_prefix) {
        if path.len() < 2 {
            return Err(unknown());
        }
        return Ok(Topic::Broker(Source::User(path)));
    }
    if !broker.has(destination) {
        return Err(unknown());
    }
    Ok(Topic::Broker(Source::Destination(destination.clone())))
}

fn unknown() -> Refusal {
    Refusal::new("unknown destination").details("Nothing serves this destination.")
}

/// The name of a user and the destination behind it: `/NAME/queue/x`, with `%2F` for a slash in the name.
fn user_and_path(path: &ByteString) -> Option<(ByteString, ByteString)> {
    let (name, _) = path.strip_prefix('/')?.split_once('/')?;
    let rest = &path[1 + name.len()..];
    if name.is_empty() || rest.len() < 2 {
        return None;
    }
    let name = if name.contains("%2F") { name.replace("%2F", "/").into() } else { path.slice_ref(name) };
    Some((name, path.slice_ref(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let path = |destination: &'static str| behind(&destination.into(), "/app");
        assert_eq!(path("/app/a").as_deref(), Some("/a"));
        assert_eq!(path("/app").as_deref(), Some(""));
        assert_eq!(path("/apps/a"), None);
    }

    #[test]
    fn users_have_names_with_slashes() {
        let parts = |path: &'static str| user_and_path(&path.into());
        assert_eq!(parts("/bob/queue/a"), Some(("bob".into(), "/queue/a".into())));
        assert_eq!(parts("/a%2Fb%25/queue/a"), Some(("a/b%25".into(), "/queue/a".into())));
        for path in ["", "/", "/bob", "/bob/", "//queue"] {
            assert_eq!(parts(path), None, "{path}");
        }
    }
}
