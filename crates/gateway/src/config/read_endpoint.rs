//! The words of the browsers' side of a route.

use std::path::{Path, PathBuf};

use axum_sockjs::Transport;

use super::{
    backend_url::{may_be_secret, shown},
    endpoint::{Endpoint, Origins},
    problem::Problem,
    table::{Table, Value},
    value::{bytes, count, each, none_of, nonempty, of_text, one_or_each, or_off, time, token},
};

/// Reads the words that the table has into the settings. Paths are relative to `directory`.
pub(super) fn endpoint(table: &Table<'_>, directory: &Path, endpoint: &mut Endpoint) {
    let Endpoint {
        origins,
        transports,
        legacy_transports,
        subprotocols,
        heartbeat,
        disconnect_delay,
        response_limit,
        client_script,
        client_url,
        require_origin_with_credentials,
        affinity_cookie,
        max_message_bytes,
        max_body_bytes,
        max_batch_messages,
        receive_queue_bytes,
        receive_queue_messages,
        receive_timeout,
        max_pending_sends,
        send_queue_bytes,
        write_timeout,
        pong_timeout,
        max_sessions,
        max_sessions_per_peer,
        message_rate,
        byte_rate,
        hixie76,
    } = endpoint;
    table.set("origins", origins, read_origins);
    table.set("transports", transports, one_or_each(of_text(transport)));
    table.set("legacy_transports", legacy_transports, legacy);
    table.set("subprotocols", subprotocols, each(of_text(token)));
    table.set("heartbeat", heartbeat, or_off(time));
    table.set("disconnect_delay", disconnect_delay, time);
    table.set("response_limit", response_limit, bytes);
    table.set("client_script", client_script, or_off(path_below(directory)));
    table.set("client_url", client_url, |value| of_text(url)(value).map(Some));
    table.set("require_origin_with_credentials", require_origin_with_credentials, Value::boolean);
    table.set("affinity_cookie", affinity_cookie, or_off(of_text(token)));
    table.set("max_message_bytes", max_message_bytes, bytes);
    table.set("max_body_bytes", max_body_bytes, bytes);
    table.set("max_batch_messages", max_batch_messages, count);
    table.set("receive_queue_bytes", receive_queue_bytes, bytes);
    table.set("receive_queue_messages", receive_queue_messages, count);
    table.set("receive_timeout", receive_timeout, or_off(time));
    table.set("max_pending_sends", max_pending_sends, count);
    table.set("send_queue_bytes", send_queue_bytes, bytes);
    table.set("write_timeout", write_timeout, or_off(time));
    table.set("pong_timeout", pong_timeout, or_off(time));
    table.set("max_sessions", max_sessions, or_off(count));
    table.set("max_sessions_per_peer", max_sessions_per_peer, or_off(count));
    table.set("message_rate", message_rate, or_off(count));
    table.set("byte_rate", byte_rate, or_off(|value| bytes(value).map(|bytes| bytes as u64)));
    table.set("hixie76", hixie76, Value::boolean);
}

/// `same`, `any`, or patterns: from a list, or from an argument with commas.
pub(crate) fn origins_of(text: &str) -> Result<Origins, String> {
    match text {
        "same" => Ok(Origins::Same),
        "any" => Ok(Origins::Any),
        _ if text.contains("://") => {
            let list = text.split(',').map(|pattern| origin(pattern.trim())).collect::<Result<_, _>>()?;
            Ok(Origins::List(list))
        }
        _ => Err(format!(
            "{}, nor an origin such as `https://www.example.com`",
            none_of(text, ["same", "any"].into_iter())
        )),
    }
}

fn read_origins(value: Value<'_>) -> Result<Origins, Problem> {
    if value.is_list() {
        one_or_each(of_text(origin))(value).map(Origins::List)
    } else {
        of_text(origins_of)(value)
    }
}

fn origin(pattern: &str) -> Result<String, String> {
    match Origins::List(vec![pattern.to_owned()]).policy() {
        Ok(_) => Ok(pattern.to_owned()),
        // The error shows the pattern.
        Err(_) if may_be_secret(pattern) => Err(format!(
            "`{}` is no pattern of an origin: a scheme, a host and perhaps a port",
            shown(pattern)
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn transport(name: &str) -> Result<Transport, String> {
    name.parse().map_err(|_| none_of(name, Transport::ALL.iter().map(|transport| transport.name())))
}

/// `"auto"`, or whether they are on.
fn legacy(value: Value<'_>) -> Result<Option<bool>, Problem> {
    match value.is_text() && value.text()? == "auto" {
        true => Ok(None),
        false => {
            value.boolean().map(Some).map_err(|_| value.wrong("true, false or \"auto\" is expected here"))
        }
    }
}

fn url(text: &str) -> Result<String, String> {
    let is_url = text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) || uri.scheme().is_none() && text.starts_with('/')
    });
    if is_url {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is neither an `http` or `https` URL nor a path of this server", shown(text)))
}

/// A path of the file's own directory, unless it is absolute.
pub(super) fn path_below<'a>(directory: &Path) -> impl Fn(Value<'a>) -> Result<PathBuf, Problem> {
    move |value| nonempty(value).map(|path| directory.join(path))
}
