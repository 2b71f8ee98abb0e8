//! The arguments, whose doc comments are `--help` and the man page.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    CommandFactory, FromArgMatches, Parser,
    error::{ContextKind, ContextValue},
};
use ipnet::IpNet;

use super::{
    secrets::SECRET,
    text,
    variables::{self, Variables},
};
use crate::config::{
    backend::Backend,
    backend_url::{judged, may_be_secret, shown},
    config::{Config, LogFormat},
    endpoint::Origins,
    identity::Identity,
    problem::ConfigError,
    read::{self, Given, LOG_FORMATS},
    read_endpoint::origins_of,
    read_route::path,
    value,
};

/// SockJS in front of any WebSocket server
///
/// Browsers with sockjs-client connect to the gateway by the best transport that their network allows, and the gateway
/// opens one WebSocket to a backend for each of their sessions.
///
/// Each setting comes from an argument, or else from a variable of the environment, or else from the file. The file has
/// settings for which there is no argument.
#[derive(Debug, Clone, Parser)]
#[command(name = "sockjs-gateway", version, after_long_help = text::help(), after_help = text::SHORT, max_term_width = 100)]
pub(crate) struct Arguments {
    /// File with the settings, in TOML
    ///
    /// Files that it names are relative to its directory. SIGHUP reads it again.
    #[arg(short, long, value_name = "FILE", env = "SOCKJS_GATEWAY_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,

    /// Address at which browsers, or a proxy in front, connect
    ///
    /// Several are several arguments, or separated by commas. The default is 127.0.0.1:8080: of this machine only.
    #[arg(
        short, long, value_name = "ADDRESS", env = "SOCKJS_GATEWAY_LISTEN", hide_env_values = true,
        value_delimiter = ',', value_parser = value::address
    )]
    listen: Vec<SocketAddr>,

    /// Path below which clients are served, and the WebSockets of its backends
    ///
    /// Several are several arguments; in the variable, spaces separate them. A route of the file with this path keeps its
    /// other settings.
    #[arg(
        short,
        long,
        value_name = "PATH=URL[,URL...]",
        env = "SOCKJS_GATEWAY_ROUTE",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    // A text, as is each that may have a secret: the error of a parser of `clap` shows the whole of it.
    route: Vec<String>,

    /// Pages that may use the routes: "same", "any", or origins, separated by commas
    ///
    /// An origin is such as https://www.example.com, with "*." for all names below one, and ":*" for all ports. The
    /// default is "same": pages of the host under which the gateway is reached.
    #[arg(long, value_name = "ORIGINS", env = "SOCKJS_GATEWAY_ORIGINS", hide_env_values = true, value_parser = origins_of)]
    origins: Option<Origins>,

    /// Script of sockjs-client, which is served at PATH/sockjs.min.js
    #[arg(long, value_name = "FILE", env = "SOCKJS_GATEWAY_CLIENT_SCRIPT", hide_env_values = true)]
    client_script: Option<PathBuf>,

    /// Sessions of each route, beyond which no more open, or "off"
    #[arg(long, value_name = "NUMBER", env = "SOCKJS_GATEWAY_MAX_SESSIONS", hide_env_values = true, value_parser = max_sessions,
        allow_negative_numbers = true)]
    max_sessions: Option<MaxSessions>,

    /// Certificate of this server with those of its issuers, in PEM; needs --tls-key
    #[arg(
        long,
        value_name = "FILE",
        env = "SOCKJS_GATEWAY_TLS_CERTIFICATE",
        hide_env_values = true,
        requires = "tls_key"
    )]
    tls_certificate: Option<PathBuf>,

    /// Key of the certificate, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "SOCKJS_GATEWAY_TLS_KEY",
        hide_env_values = true,
        requires = "tls_certificate"
    )]
    tls_key: Option<PathBuf>,

    /// Whether HTTP/2 is spoken to browsers over TLS, and to proxies that begin with it
    #[arg(long, value_name = "BOOL", env = "SOCKJS_GATEWAY_HTTP2", hide_env_values = true)]
    http2: Option<bool>,

    /// Proxy whose X-Forwarded-... and Forwarded count, as an address or a network
    ///
    /// Several are several arguments, or separated by commas. Everybody else's are dropped.
    #[arg(
        long, value_name = "NETWORK", env = "SOCKJS_GATEWAY_TRUSTED_PROXIES", hide_env_values = true,
        value_delimiter = ',', value_parser = value::network
    )]
    trusted_proxies: Vec<IpNet>,

    /// Address of /healthz, /readyz and /metrics; nowhere by default
    #[arg(long, value_name = "ADDRESS", env = "SOCKJS_GATEWAY_ADMIN", hide_env_values = true, value_parser = value::address)]
    admin: Option<SocketAddr>,

    /// Time that a stop waits for clients to fetch what they have coming, such as "8s"
    #[arg(long, value_name = "DURATION", env = "SOCKJS_GATEWAY_GRACE", hide_env_values = true, value_parser = value::duration)]
    grace: Option<Duration>,

    /// Address at which the other gateways of a cluster reach this one
    #[arg(
        long, value_name = "ADDRESS", env = "SOCKJS_GATEWAY_CLUSTER_ADDRESS", hide_env_values = true, value_parser = value::address
    )]
    cluster_address: Option<SocketAddr>,

    /// File with the secret of the cluster, of at least 32 bytes
    #[arg(long, value_name = "FILE", env = "SOCKJS_GATEWAY_CLUSTER_SECRET_FILE", hide_env_values = true)]
    cluster_secret_file: Option<PathBuf>,

    /// URL at which clients reach all gateways of the cluster
    #[arg(long, value_name = "URL", env = "SOCKJS_GATEWAY_CLUSTER_PUBLIC_URL", hide_env_values = true)]
    cluster_public_url: Option<String>,

    /// Log lines that are written: a level, or levels by target, such as "warn,sockjs_gateway=debug"
    #[arg(long, value_name = "FILTER", env = "SOCKJS_GATEWAY_LOG", hide_env_values = true, value_parser = value::log_filter)]
    log: Option<String>,

    /// Form of log lines: "text" or "json"
    #[arg(long, value_name = "FORMAT", env = "SOCKJS_GATEWAY_LOG_FORMAT", hide_env_values = true, value_parser = log_format)]
    log_format: Option<LogFormat>,

    /// Checks the settings, reads all files that they name, and exits
    ///
    /// The exit status is 0 if a start would find nothing wrong in them, and 2 otherwise. Nothing listens, and nothing is
    /// dialled.
    #[arg(long)]
    pub(super) check: bool,

    /// Asks the gateway that runs with these settings whether it is well, and exits
    ///
    /// The exit status is 0 if /healthz at the address of --admin answers 200, and 1 otherwise.
    #[arg(long, conflicts_with = "check")]
    pub(super) healthcheck: bool,
}

/// A number, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct MaxSessions(Option<usize>);

impl Arguments {
    /// Those of the process; it ends here if they are wrong, or ask for help.
    pub(super) fn of_process() -> Self {
        let matches = variables::without_empty(Self::command()).try_get_matches();
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .unwrap_or_else(|error| without_secrets(error).exit())
    }

    /// The settings by the arguments, the environment and the file, all read anew but the environment.
    pub(super) fn config(&self, variables: &Variables) -> Result<Config, ConfigError> {
        let given = self.given(variables).map_err(|text| ConfigError::of_arguments(&text))?;
        read::read(self.config.as_deref(), &given)
    }

    fn given(&self, variables: &Variables) -> Result<Given, String> {
        let from_file = match &self.cluster_secret_file {
            Some(path) => Some(
                read::secret_of(path)
                    .map_err(|error| format!("--cluster-secret-file: `{}` {error}", path.display()))?,
            ),
            None => None,
        };
        if from_file.is_some() && variables.secret.is_some() {
            return Err(format!("--cluster-secret-file and {SECRET} exclude each other"));
        }
        let tls = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.clone(), key: key.clone() })
            }
            _ => None,
        };
        let routes = self.route.iter().map(|text| route(text).map_err(|error| format!("--route: {error}")));
        let routes = routes.collect::<Result<_, _>>()?;
        let public_url = self.cluster_public_url.as_deref().map(value::public_url).transpose();
        let cluster_public_url = public_url.map_err(|error| format!("--cluster-public-url: {error}"))?;
        Ok(Given {
            listen: self.listen.clone(),
            tls,
            http2: self.http2,
            admin: self.admin,
            grace: self.grace,
            trusted_proxies: self.trusted_proxies.clone(),
            log_format: self.log_format,
            log_filter: self.log.clone(),
            cluster_address: self.cluster_address,
            cluster_secret: from_file.or_else(|| variables.secret.clone()),
            cluster_other_secret: variables.other_secret.clone(),
            cluster_public_url,
            routes,
            origins: self.origins.clone(),
            client_script: self.client_script.clone(),
            max_sessions: self.max_sessions.map(|MaxSessions(number)| number),
        })
    }
}

/// A route of the arguments. Its URLs may have secrets, also where a comma in one divides it: no error shows them.
fn route(text: &str) -> Result<(String, Vec<Backend>), String> {
    let Some((route, urls)) = text.split_once('=').filter(|(route, _)| !route.contains(['@', '?', ':']))
    else {
        return Err("a route is a path and a backend, such as /chat=ws://127.0.0.1:9000/ws".to_owned());
    };
    let route = path(route)?;
    let mut backends: Vec<Backend> = Vec::new();
    for (at, url) in (1..).zip(urls.split(',')) {
        let url =
            judged(url).map_err(|why| format!("backend {at} of `{route}` is no URL of a backend: {why}"))?;
        let backend = Backend { url, drain: false };
        if let Some(other) = backends.iter().position(|other| *other == backend) {
            return Err(format!("backend {at} of `{route}` is the same as backend {}", other + 1));
        }
        backends.push(backend);
    }
    Ok((route, backends))
}

/// An error of `clap`, which may show an argument that is not known.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let hidden = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) if may_be_secret(text) => Some((kind, ContextValue::String(shown(text)))),
        _ => None,
    });
    let hidden: Vec<_> = hidden.collect();
    if !hidden.is_empty() {
        // It may repeat it.
        error.remove(ContextKind::Suggested);
    }
    for (kind, value) in hidden {
        error.insert(kind, value);
    }
    error
}

fn max_sessions(text: &str) -> Result<MaxSessions, String> {
    match (text, text.parse()) {
        ("off", _) => Ok(MaxSessions(None)),
        (_, Ok(0)) => Err("the number must be above zero; \"off\" is the word for no limit".to_owned()),
        (_, Ok(number)) => Ok(MaxSessions(Some(number))),
        (_, Err(_)) if text.parse::<i64>().is_ok_and(|number| number < 0) => {
            Err("the number is below zero; \"off\" is the word for no limit".to_owned())
        }
        (_, Err(_)) => Err(format!("`{}` is no number, nor \"off\"", text.escape_debug())),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    value::word_of(LOG_FORMATS, text)
}
