//! The words of the backends' side of a route, but for the backends themselves.

use std::{path::Path, time::Duration};

use http::{HeaderMap, HeaderValue, header};

use super::{
    backend::{Backend, BackendTls, Balance, Binary, Check, Cookies, Health, Host, Pass, Upstream},
    backend_url::{backend_url, may_be_secret, shown},
    headers,
    identity::Identity,
    problem::Problem,
    read_endpoint::path_below,
    suggest,
    table::{Table, Value},
    value::{bytes, count, each, header_name, none_of, nonempty, of_text, one_of, or_off, time, token},
};

impl Default for Upstream {
    fn default() -> Self {
        Self {
            backends: Vec::new(),
            balance: Balance::default(),
            pass: Pass {
                headers: vec![header::ORIGIN],
                cookies: Cookies::default(),
                query: false,
                host: Host::default(),
            },
            set: HeaderMap::new(),
            binary: Binary::default(),
            tls: BackendTls::default(),
            connect_timeout: Duration::from_secs(2),
            open_timeout: Duration::from_secs(5),
            max_message_bytes: 1 << 20,
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            health: Health {
                check: Check::default(),
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(2),
                fall: 3,
                rise: 1,
            },
        }
    }
}

/// Reads the words that the table has into the settings. Paths are relative to `directory`.
pub(super) fn upstream(table: &Table<'_>, directory: &Path, upstream: &mut Upstream) {
    let Upstream {
        backends: _,
        balance,
        pass: Pass { headers, cookies, query, host },
        set,
        binary,
        tls,
        connect_timeout,
        open_timeout,
        max_message_bytes,
        ping_interval,
        pong_timeout,
        close_timeout,
        health,
    } = upstream;
    table.set(
        "balance",
        balance,
        one_of(&[("round-robin", Balance::RoundRobin), ("least-sessions", Balance::LeastSessions)]),
    );
    table.set("pass_headers", headers, each(of_text(|name| header_name(name).and_then(headers::to_pass))));
    table.set("pass_cookies", cookies, read_cookies);
    table.set("pass_query", query, Value::boolean);
    table.set("host", host, read_host);
    table.set("binary", binary, one_of(&[("refuse", Binary::Refuse), ("base64", Binary::Base64)]));
    table.set("connect_timeout", connect_timeout, time);
    table.set("open_timeout", open_timeout, time);
    table.set("max_backend_message_bytes", max_message_bytes, bytes);
    table.set("backend_ping_interval", ping_interval, or_off(time));
    table.set("backend_pong_timeout", pong_timeout, time);
    table.set("backend_close_timeout", close_timeout, time);
    set_headers(table, set);
    table.table("backend_tls", |table| read_tls(table, directory, tls));
    table.table("health", |table| read_health(table, health));

    if table.get("host").is_some() && *host != Host::Backend && set.contains_key(header::HOST) {
        let span = table.get("host").map_or(table.span.clone(), Value::span);
        table.notes.push(Problem::at(span, "`host` and `Host` in `set_headers` exclude each other"));
    }
}

/// A URL, or a table with a URL and what else there is to say about a backend.
pub(super) fn backends(table: &Table<'_>) -> Vec<Backend> {
    let read = |value: Value<'_>| {
        let url = |value: Value<'_>| {
            let hide = |problem: Problem| {
                let is_secret = value.text().is_ok_and(may_be_secret);
                if is_secret { problem.hidden() } else { problem }
            };
            of_text(backend_url)(value).map_err(hide)
        };
        if value.is_text() {
            return Ok(Some(Backend { url: url(value)?, drain: false }));
        }
        let table = value.table("route.backends".to_owned()).map_err(|_| {
            value.wrong(
                "a backend is a URL in quotes, or a table such as { url = \"ws://HOST\", drain = true }",
            )
        })?;
        let mut drain = false;
        table.set("drain", &mut drain, Value::boolean);
        let url = table.require("url", url);
        table.finish();
        Ok(url.map(|url| Backend { url, drain }))
    };
    let list = table.require("backends", |value| {
        let values = if value.is_list() { value.list()? } else { vec![value] };
        if values.is_empty() {
            return Err(value.wrong("a route has at least one backend"));
        }
        let mut backends: Vec<Backend> = Vec::new();
        for value in values {
            let Some(backend) = value.notes.keep(read(value)).flatten() else { continue };
            if backends.iter().any(|other| other.url == backend.url) {
                value.notes.push(value.wrong("this backend is in the list twice"));
            }
            backends.push(backend);
        }
        Ok(backends)
    });
    list.unwrap_or_default()
}

fn read_cookies(value: Value<'_>) -> Result<Cookies, Problem> {
    if value.is_list() {
        return each(of_text(token))(value)
            .map(|names| if names.is_empty() { Cookies::None } else { Cookies::Named(names) });
    }
    match value.text()? {
        "none" => Ok(Cookies::None),
        "all" => Ok(Cookies::All),
        text => {
            let none_of = none_of(text, ["none", "all"].into_iter());
            Err(value.wrong(format!("{none_of}, nor a list of names")))
        }
    }
}

fn read_host(value: Value<'_>) -> Result<Host, Problem> {
    match value.text()? {
        "backend" => Ok(Host::Backend),
        "client" => Ok(Host::Client),
        // A slip in one of the words would be sent as a name.
        text if suggest::nearest(text, ["backend", "client"]).is_some() => Err(value.wrong(format!(
            "{} A host of this name is written with its port.",
            none_of(text, ["backend", "client"].into_iter())
        ))),
        text => match text.parse::<http::uri::Authority>() {
            Ok(authority) if !authority.as_str().contains('@') => {
                HeaderValue::from_str(text).map(Host::Fixed).map_err(|_| value.wrong("this is no host"))
            }
            _ => Err(value.wrong(format!(
                "`{}` is neither `backend` nor `client` nor a host's name, with or without a port",
                shown(text)
            ))),
        },
    }
}

/// What is set here is added to what is set for all routes.
fn set_headers(table: &Table<'_>, set: &mut HeaderMap) {
    let Some(table) = table.read("set_headers", |value| value.table(String::new())) else { return };
    for (name, span, value) in table.entries() {
        let name =
            header_name(name).and_then(headers::to_set).map_err(|text| Problem::at(span, text).hidden());
        let text = value.text().and_then(|text| {
            let mut header = HeaderValue::from_str(text)
                .map_err(|_| value.wrong("a header's value has no line breaks and no control characters"))?;
            header.set_sensitive(true);
            Ok(header)
        });
        let text = text.map_err(Problem::hidden);
        if let (Some(name), Some(text)) = (table.notes.keep(name), table.notes.keep(text)) {
            set.insert(name, text);
        }
    }
}

fn read_tls(table: &Table<'_>, directory: &Path, tls: &mut BackendTls) {
    let BackendTls { ca, identity, server_name } = tls;
    table.set("ca", ca, or_off(path_below(directory)));
    table.set("server_name", server_name, |value| {
        let name = nonempty(value)?;
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
        if is_name { Ok(Some(name.to_owned())) } else { Err(value.wrong("this is no name of a host")) }
    });
    if let Some(read) = read_identity(table, directory) {
        *identity = Some(read);
    }
}

/// Certificate and key: both or none.
pub(super) fn read_identity(table: &Table<'_>, directory: &Path) -> Option<Identity> {
    let certificate = table.read("certificate", path_below(directory));
    let key = table.read("key", path_below(directory));
    for (word, other) in [("certificate", "key"), ("key", "certificate")] {
        if let (Some(value), None) = (table.get(word), table.get(other)) {
            table.notes.push(value.wrong(format!("`{word}` needs `{other}` beside it")));
        }
    }
    Some(Identity { certificate: certificate?, key: key? })
}

fn read_health(table: &Table<'_>, health: &mut Health) {
    let Health { check, interval, timeout, fall, rise } = health;
    let default = Check::Http("/".to_owned());
    table.set("check", check, |value| {
        of_text(|text| match text {
            "off" => Ok(Check::Off),
            "tcp" => Ok(Check::Tcp),
            "websocket" => Ok(Check::WebSocket),
            "http" => Ok(default.clone()),
            _ => Err(none_of(text, ["off", "tcp", "http", "websocket"].into_iter())),
        })(value)
    });
    if let Some(value) = table.get("path") {
        let path = of_text(|text| {
            let is_path = text.starts_with('/')
                && text.parse::<http::Uri>().is_ok_and(|uri| uri.authority().is_none())
                && !text.contains('#');
            if is_path { Ok(text.to_owned()) } else { Err("this is no path, such as `/health`".to_owned()) }
        });
        match (table.notes.keep(path(value)), &mut *check) {
            (Some(path), Check::Http(into)) => *into = path,
            (Some(_), _) => table.notes.push(value.wrong("`path` is for `check = \"http\"` only")),
            (None, _) => {}
        }
    }
    table.set("interval", interval, time);
    table.set("timeout", timeout, time);
    table.set("fall", fall, count);
    table.set("rise", rise, count);
    if timeout > interval {
        let value = table.get("timeout").or_else(|| table.get("interval"));
        let span = value.map_or(table.span.clone(), Value::span);
        table.notes.push(Problem::at(
            span,
            format!(
                "a check may take {}, longer than the {} between two",
                humantime::format_duration(*timeout),
                humantime::format_duration(*interval)
            ),
        ));
    }
}
