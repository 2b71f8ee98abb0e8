//! The values of words: from a text, as an argument has it, and from a value of the file.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytesize::ByteSize;
use http::{HeaderName, Uri};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::{backend_url::shown, problem::Problem, suggest, table::Value};

/// The word for none, of everything that can be switched off.
pub(super) const OFF: &str = "off";

/// A clock cannot add any duration.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Sizes are of one session's memory.
const MAX_SIZE: u64 = 1 << 30;

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|_| {
        format!("`{}` is no duration: a number and a unit, such as `25s` or `1m 30s`", shown(text))
    })?;
    match duration {
        Duration::ZERO => Err("the duration must be above zero".to_owned()),
        duration if duration > MAX_DURATION => Err("the duration must be a year at most".to_owned()),
        duration => Ok(duration),
    }
}

pub(crate) fn size(text: &str) -> Result<usize, String> {
    let ByteSize(bytes) = text.parse().map_err(|_| {
        format!("`{}` is no size: a number and a unit, such as `128KiB`, or a number of bytes", shown(text))
    })?;
    size_of(bytes)
}

fn size_of(bytes: u64) -> Result<usize, String> {
    match usize::try_from(bytes) {
        Ok(1..) if bytes <= MAX_SIZE => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        Ok(0) => Err("the size must be above zero".to_owned()),
        _ => Err("the size must be 1GiB at most".to_owned()),
    }
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let meant = match text.rsplit_once(':') {
            Some(("", port)) if port.parse::<u16>().is_ok() => {
                format!("; `0.0.0.0:{port}` for all networks, `127.0.0.1:{port}` for this machine")
            }
            Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
                format!("; `127.0.0.1:{port}` for this machine")
            }
            _ if text.parse::<IpAddr>().is_ok() => "; the port is missing".to_owned(),
            _ => String::new(),
        };
        format!(
            "`{}` is no address: an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`{meant}",
            shown(text)
        )
    })
}

pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!(
                "`{}` is no network: an IP address, or one with a length, such as `10.0.0.0/8`",
                shown(text)
            )
        })?,
    };
    if net.trunc() != net {
        return Err(format!("`{net}` has bits set beyond its length: did you mean `{}`?", net.trunc()));
    }
    Ok(net)
}

pub(crate) fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
        Ok(_) => Err("the filter is empty: a level, such as `info`, is the least".to_owned()),
        Err(error) => Err(format!("`{}` is no filter of log lines: {error}", shown(text))),
    }
}

/// A token of HTTP (RFC 9110, section 5.6.2): the name of a sub-protocol or a cookie.
pub(crate) fn token(text: &str) -> Result<String, String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(format!("`{}` is no token: letters, digits and !#$%&'*+-.^_`|~ only", shown(text)));
    }
    Ok(text.to_owned())
}

pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| format!("`{}` is no name of a header", shown(text)))
}

/// An absolute `http` or `https` URL without a query: the beginning of others.
pub(crate) fn public_url(text: &str) -> Result<String, String> {
    let is_web = text
        .parse::<Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
    if is_web && !text.contains(['#', '@']) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not an absolute `http` or `https` URL without a query", shown(text)))
}

/// One of these words.
pub(crate) fn word_of<T: Clone>(words: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| value.clone()).ok_or_else(|| none_of(text, words.iter().map(|(word, _)| *word)))
}

/// The error of a text that is none of the words.
pub(super) fn none_of<'a>(text: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    let list: Vec<_> = words.clone().map(|word| format!("`{word}`")).collect();
    format!("`{}` is none of {}{}", shown(text), list.join(", "), suggest::hint(text, words))
}

/// A text of the file, by the same rules as an argument.
pub(super) fn of_text<'a, T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(Value<'a>) -> Result<T, Problem> {
    move |value| parse(value.text()?).map_err(|text| value.wrong(text))
}

pub(super) fn one_of<'a, T: Clone + 'static>(
    words: &'static [(&'static str, T)],
) -> impl Fn(Value<'a>) -> Result<T, Problem> {
    of_text(move |text| word_of(words, text))
}

/// A duration above zero.
pub(super) fn time(value: Value<'_>) -> Result<Duration, Problem> {
    if value.is_number() {
        return Err(value.wrong("a duration has a unit and stands in quotes, such as \"25s\""));
    }
    of_text(duration)(value)
}

/// A size above zero, or a number of bytes.
pub(super) fn bytes(value: Value<'_>) -> Result<usize, Problem> {
    if value.is_number() {
        return size_of(value.number()?).map_err(|text| value.wrong(text));
    }
    of_text(size)(value)
}

/// A number above zero.
pub(super) fn count<T: TryFrom<u64>>(value: Value<'_>) -> Result<T, Problem> {
    match value.number()? {
        0 => Err(value.wrong("the number must be above zero")),
        number => T::try_from(number).map_err(|_| value.wrong("the number is too large")),
    }
}

/// A path, as a text.
pub(super) fn nonempty(value: Value<'_>) -> Result<&str, Problem> {
    match value.text()? {
        "" => Err(value.wrong("the text is empty")),
        text if text.contains(char::is_control) => Err(value.wrong("the text has a control character")),
        text => Ok(text),
    }
}

/// What can be switched off.
pub(super) fn or_off<'a, T>(
    read: impl Fn(Value<'a>) -> Result<T, Problem>,
) -> impl Fn(Value<'a>) -> Result<Option<T>, Problem> {
    move |value| match value.is_text() && value.text()? == OFF {
        true => Ok(None),
        false => read(value).map(Some).map_err(|mut problem| {
            if !["above zero", "below zero"].iter().any(|part| problem.text.contains(part)) {
                return problem;
            }
            problem.text.push_str("; \"off\" is the word for none");
            problem
        }),
    }
}

/// A list in which nothing is twice. Everything that is wrong in it is a problem of its own.
pub(super) fn each<'a, T: PartialEq>(
    read: impl Fn(Value<'a>) -> Result<T, Problem>,
) -> impl Fn(Value<'a>) -> Result<Vec<T>, Problem> {
    move |value| {
        let mut list = Vec::new();
        for value in value.list()? {
            match value.notes.keep(read(value)) {
                Some(read) if list.contains(&read) => {
                    value.notes.push(value.wrong("this is in the list twice"));
                }
                Some(read) => list.push(read),
                None => {}
            }
        }
        Ok(list)
    }
}

/// One, or a list of at least one.
pub(super) fn one_or_each<'a, T: PartialEq>(
    read: impl Fn(Value<'a>) -> Result<T, Problem>,
) -> impl Fn(Value<'a>) -> Result<Vec<T>, Problem> {
    move |value| {
        if !value.is_list() {
            return Ok(vec![read(value)?]);
        }
        if value.list()?.is_empty() {
            return Err(value.wrong("the list is empty"));
        }
        each(&read)(value)
    }
}
