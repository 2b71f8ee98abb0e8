//! The variables of the environment.
//!
//! What is set to nothing is not set, as where a composition of containers leaves a value open.

use std::env;

use clap::{Command, builder::Resettable};

use super::secrets::{OTHER_SECRET, SECRET};
use crate::config::{config::Secret, suggest};

/// How the names of all begin.
const PREFIX: &str = "SOCKJS_GATEWAY_";

/// The variables that are no arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    pub(super) secret: Option<Secret>,
    pub(super) other_secret: Option<Secret>,
}

impl Variables {
    pub(super) fn read() -> Self {
        let read = |name| env::var(name).ok().filter(|text| !text.is_empty()).map(Secret);
        Self { secret: read(SECRET), other_secret: read(OTHER_SECRET) }
    }
}

/// The arguments, without the variables that are set to nothing.
pub(super) fn without_empty(command: Command) -> Command {
    command.mut_args(|argument| {
        let is_empty = argument.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(Resettable::Reset) } else { argument }
    })
}

/// What is wrong with the names of the variables that are set: those that begin as the gateway's do and are none.
pub(super) fn unknown(command: &Command) -> Vec<String> {
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    unknown_of(command, set.filter_map(|(name, _)| name.into_string().ok()))
}

fn unknown_of(command: &Command, set: impl Iterator<Item = String>) -> Vec<String> {
    let arguments = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    let known: Vec<_> = arguments.chain([SECRET, OTHER_SECRET]).map(rest).collect();
    let mut unknown: Vec<_> = set
        .filter(|name| name.starts_with(PREFIX) && !known.contains(&rest(name)) && !is_of_service(name))
        .collect();
    unknown.sort_unstable();
    let hint = |name: &str| match suggest::nearest(rest(name), known.iter().copied()) {
        Some(known) => format!(": did you mean `{PREFIX}{known}`?"),
        None => String::new(),
    };
    unknown
        .iter()
        .map(|name| format!("the variable `{}` is not known{}", name.escape_debug(), hint(name)))
        .collect()
}

fn rest(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Whether Kubernetes or Docker sets it in each container, beside a service whose name begins with `sockjs-gateway`:
/// `…_SERVICE_HOST`, `…_SERVICE_PORT_HTTP`, `…_PORT`, `…_PORT_8080_TCP_ADDR`.
fn is_of_service(name: &str) -> bool {
    let is_number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, part)| is_number(&name[at + part.len()..]))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{super::arguments::Arguments, *};

    fn unknown(name: &str) -> Option<String> {
        let found = unknown_of(&Arguments::command(), [name.to_owned()].into_iter());
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next()
    }

    #[test]
    fn a_name_that_is_not_known_has_the_nearest_beside_it() {
        for (name, meant) in [
            ("SOCKJS_GATEWAY_LISEN", Some("SOCKJS_GATEWAY_LISTEN")),
            ("SOCKJS_GATEWAY_ROUTES", Some("SOCKJS_GATEWAY_ROUTE")),
            ("SOCKJS_GATEWAY_MAXSESSIONS", Some("SOCKJS_GATEWAY_MAX_SESSIONS")),
            ("SOCKJS_GATEWAY_CLUSTER_SECRETS", Some("SOCKJS_GATEWAY_CLUSTER_SECRET")),
            ("SOCKJS_GATEWAY_BACKEND", None),
        ] {
            let error = unknown(name).expect(name);
            let hint = meant.map_or(String::new(), |meant| format!(": did you mean `{meant}`?"));
            assert_eq!(error, format!("the variable `{name}` is not known{hint}"));
        }
    }

    #[test]
    fn what_is_known_and_what_others_set_is_no_error() {
        for name in [
            "SOCKJS_GATEWAY_LISTEN",
            "SOCKJS_GATEWAY_CONFIG",
            SECRET,
            OTHER_SECRET,
            "SOCKJS_GATEWAY",
            "SOCKJS_CLIENT_LISEN",
            "SOCKJS_GATEWAY_SERVICE_HOST",
            "SOCKJS_GATEWAY_SERVICE_PORT",
            "SOCKJS_GATEWAY_SERVICE_PORT_HTTP",
            "SOCKJS_GATEWAY_PORT",
            "SOCKJS_GATEWAY_PORT_8080_TCP",
            "SOCKJS_GATEWAY_PORT_8080_TCP_ADDR",
            "SOCKJS_GATEWAY_ADMIN_SERVICE_HOST",
            "SOCKJS_GATEWAY_ADMIN_PORT_9090_TCP",
        ] {
            assert_eq!(unknown(name), None);
        }
    }
}
