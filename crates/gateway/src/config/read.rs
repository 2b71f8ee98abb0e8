//! Reads a configuration: from a file, and from what was given in its place.

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use toml::de::DeTable;

use super::{
    backend::Backend,
    config::{ClusterConfig, Config, Log, LogFormat, Secret},
    endpoint::Origins,
    identity::Identity,
    problem::{ConfigError, Problem},
    read_endpoint::path_below,
    read_route::{self, Defaults, Placed},
    read_upstream::read_identity,
    route::Route,
    table::{Notes, Table, Value},
    value::{address, each, log_filter, network, of_text, one_of, one_or_each, public_url, time},
};

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The shortest secret of a cluster, in bytes.
const MIN_SECRET: usize = 32;

/// The name of a text that is no file's.
const UNNAMED: &str = "configuration";

/// What takes precedence over a file: arguments, and variables of the environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Given {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) tls: Option<Identity>,
    pub(crate) http2: Option<bool>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) grace: Option<Duration>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) log_filter: Option<String>,
    pub(crate) cluster_address: Option<SocketAddr>,
    pub(crate) cluster_secret: Option<Secret>,
    pub(crate) cluster_other_secret: Option<Secret>,
    pub(crate) cluster_public_url: Option<String>,
    /// A route of the file with this path keeps its other settings.
    pub(crate) routes: Vec<(String, Vec<Backend>)>,
    /// For all routes.
    pub(crate) origins: Option<Origins>,
    pub(crate) client_script: Option<PathBuf>,
    pub(crate) max_sessions: Option<Option<usize>>,
}

impl Config {
    /// Parses the text of a configuration. Its files are relative to the current directory; of them, only those of
    /// secrets are read.
    ///
    /// # Errors
    /// Returns everything that is wrong in the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        read_text(UNNAMED, text, Path::new(""), &Given::default())
    }

    /// Reads a file with a configuration. Files in it are relative to its directory.
    ///
    /// # Errors
    /// Returns everything that is wrong in the file, or why it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        read(Some(path.as_ref()), &Given::default())
    }
}

/// Reads a configuration from a file, if there is one, and from what was given.
pub(crate) fn read(path: Option<&Path>, given: &Given) -> Result<Config, ConfigError> {
    let Some(path) = path else { return read_text(UNNAMED, "", Path::new(""), given) };
    let name = path.display().to_string();
    let text = read_file(path).map_err(|error| {
        ConfigError::new(&name, "", vec![Problem::of_all(format!("cannot be read: {error}"))])
    })?;
    read_text(&name, &text, path.parent().unwrap_or(Path::new("")), given)
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(std::io::Error::other("the file is larger than 4 MiB"));
    }
    Ok(text)
}

pub(super) fn read_text(
    name: &str,
    text: &str,
    directory: &Path,
    given: &Given,
) -> Result<Config, ConfigError> {
    let (whole, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What comes after a mistake of form is often its consequence.
        let problems = errors.iter().map(|error| match error.span() {
            Some(span) => Problem::at(span, error.message()),
            None => Problem::of_all(error.message()),
        });
        return Err(ConfigError::new(name, text, problems.collect()));
    }
    let notes = Notes::default();
    let config = config(&Table::whole(&whole, &notes), directory, given);
    let problems = notes.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::new(name, text, problems)) }
}

pub(super) fn config(table: &Table<'_>, directory: &Path, given: &Given) -> Config {
    let mut listen = vec![SocketAddr::from(([127, 0, 0, 1], 8080))];
    let (mut http2, mut admin, mut grace) = (true, None, Duration::from_secs(8));
    let mut trusted_proxies = Vec::new();
    let mut log = Log { format: LogFormat::Text, filter: "info".to_owned() };

    table.set("listen", &mut listen, one_or_each(of_text(address)));
    table.set("http2", &mut http2, Value::boolean);
    table.set("admin", &mut admin, |value| of_text(address)(value).map(Some));
    table.set("grace", &mut grace, time);
    table.set("trusted_proxies", &mut trusted_proxies, each(of_text(network)));
    let mut tls = table.table("tls", |table| {
        if table.get("certificate").is_none() && table.get("key").is_none() {
            table.notes.push(Problem::at(table.span.clone(), "`certificate` and `key` are missing"));
        }
        read_identity(table, directory)
    });
    table.table("log", |table| {
        table.set("format", &mut log.format, one_of(LOG_FORMATS));
        table.set("filter", &mut log.filter, of_text(log_filter));
    });
    let cluster = cluster(table, directory, given);
    let before = table.notes.count();
    let defaults =
        table.table("defaults", |table| read_route::defaults(table, directory)).unwrap_or_default();
    let are_defaults_right = table.notes.count() == before;
    let read = |table: &Table<'_>| read_route::route(table, directory, &defaults);
    let tables = table.tables("route", read).into_iter();
    let placed: Vec<_> = tables.filter_map(|(placed, is_right)| Some((placed?, is_right))).collect();
    table.finish();

    if !given.listen.is_empty() {
        listen.clone_from(&given.listen);
    }
    if !given.trusted_proxies.is_empty() {
        trusted_proxies.clone_from(&given.trusted_proxies);
    }
    if let Some(identity) = &given.tls {
        tls = Some(Some(identity.clone()));
    }
    http2 = given.http2.unwrap_or(http2);
    admin = given.admin.or(admin);
    grace = given.grace.unwrap_or(grace);
    log.format = given.log_format.unwrap_or(log.format);
    log.filter = given.log_filter.clone().unwrap_or(log.filter);
    let routes = routes(table, placed, &defaults, are_defaults_right, given);
    let config =
        Config { listen, tls: tls.flatten(), http2, admin, cluster, trusted_proxies, grace, log, routes };
    judge_addresses(table, &config);
    config
}

/// The words of `format`, which are those of an argument too.
pub(crate) const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Each address is of one listener.
fn judge_addresses(table: &Table<'_>, config: &Config) {
    let others =
        [("admin", config.admin), ("cluster", config.cluster.as_ref().map(|cluster| cluster.address))];
    let mut taken: Vec<SocketAddr> = Vec::new();
    for (at, &address) in config.listen.iter().enumerate() {
        // A list of the file has been judged; what was given has not.
        if config.listen[..at].contains(&address) && address.port() != 0 {
            table.notes.push(Problem::of_all(format!("`{address}` is listened at twice")));
        }
        taken.push(address);
    }
    for (word, address) in others {
        let Some(address) = address else { continue };
        if taken.contains(&address) && address.port() != 0 {
            let text = format!("`{address}`, of `{word}`, is the address of another listener already");
            let span = table.get(word).map(Value::span);
            table.notes.push(Problem { span, text, hidden: false });
        }
        taken.push(address);
    }
}

/// The routes of the file and those given.
///
/// Whether a route is right as a whole is judged only if each word of it is: one that was not read would be the reason.
fn routes(
    table: &Table<'_>,
    placed: Vec<(Placed, bool)>,
    defaults: &Defaults,
    are_defaults_right: bool,
    given: &Given,
) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let mut spans = Vec::new();
    for (Placed { route, path, table: span }, is_right) in placed {
        if let Some(other) = routes.iter().find(|other| read_route::overlap(&other.path, &route.path)) {
            table.notes.push(Problem::at(path, overlapping(&route.path, &other.path)));
        }
        routes.push(route);
        spans.push((span, is_right));
    }
    for (at, (path, backends)) in given.routes.iter().enumerate() {
        if given.routes[..at].iter().any(|(other, _)| other == path) {
            table.notes.push(Problem::of_all(overlapping(path, path)));
        } else if let Some(route) = routes.iter_mut().find(|route| route.path == *path) {
            route.upstream.backends.clone_from(backends);
        } else {
            if let Some(other) = routes.iter().find(|other| read_route::overlap(&other.path, path)) {
                table.notes.push(Problem::of_all(overlapping(path, &other.path)));
            }
            let Defaults { endpoint, mut upstream } = defaults.clone();
            upstream.backends.clone_from(backends);
            routes.push(Route { path: path.clone(), endpoint, upstream });
        }
    }
    for (at, route) in routes.iter_mut().enumerate() {
        let endpoint = &mut route.endpoint;
        if let Some(origins) = &given.origins {
            endpoint.origins.clone_from(origins);
        }
        if let Some(script) = &given.client_script {
            endpoint.client_script = Some(script.clone());
        }
        endpoint.max_sessions = given.max_sessions.unwrap_or(endpoint.max_sessions);
        let (span, is_right) = spans.get(at).map_or((None, true), |(span, is_right)| (Some(span), *is_right));
        if are_defaults_right && is_right {
            if let Some(problem) = read_route::judge(route, span) {
                table.notes.push(problem);
            }
        }
    }
    // What is wrong otherwise is the reason, most often.
    if routes.is_empty() && table.notes.count() == 0 {
        table.notes.push(Problem::of_all(
            "there is no route: a file needs a `[[route]]` with `path` and `backends`, or the arguments \
             `--route /chat=ws://127.0.0.1:9000/ws`",
        ));
    }
    routes
}

fn overlapping(path: &str, other: &str) -> String {
    if path == other {
        format!("there is a route `{path}` already")
    } else {
        format!("`{path}` overlaps with the route `{other}`: one of them is below the other")
    }
}

/// This gateway as one of several: by the file's table, or if an address was given.
fn cluster(table: &Table<'_>, directory: &Path, given: &Given) -> Option<ClusterConfig> {
    let read = |table: &Table<'_>| {
        let address = table.read("address", of_text(address));
        if table.get("address").is_none() && given.cluster_address.is_none() {
            table.notes.push(Problem::at(table.span.clone(), "`address` is missing"));
        }
        let first = secret(table, directory, "secret", "secret_file");
        let other = secret(table, directory, "other_secret", "other_secret_file");
        let url = table.read("public_url", of_text(public_url));
        (address, first, other, url, Some(table.span.clone()))
    };
    let from_file = table.table("cluster", read);
    if from_file.is_none() && given.cluster_address.is_none() {
        if table.get("cluster").is_none() && given.cluster_secret.is_some() {
            table.notes.push(Problem::of_all(
                "there is a secret of a cluster, but no address: `--cluster-address`, or `address` in `[cluster]`",
            ));
        }
        return None;
    }
    let (address, first, other, url, span) =
        from_file.unwrap_or((None, FromFile::Absent, FromFile::Absent, None, None));
    let problem =
        |text: &str| table.notes.push(Problem { span: span.clone(), text: text.to_owned(), hidden: true });

    let is_wrong = matches!(first, FromFile::Wrong);
    let secret = given.cluster_secret.clone().or(first.found());
    let other_secret = given.cluster_other_secret.clone().or(other.found());
    if secret.is_none() && !is_wrong {
        problem(
            "`secret_file` is missing: all gateways of a cluster have one secret, such as that of `openssl rand -base64 32`",
        );
    }
    if [&secret, &other_secret].into_iter().flatten().any(|Secret(text)| text.len() < MIN_SECRET) {
        problem("the secret of a cluster is a random text of at least 32 bytes");
    }
    if other_secret.is_some() && secret == other_secret {
        problem("the other secret of a cluster must differ from the first");
    }
    Some(ClusterConfig {
        address: given.cluster_address.or(address)?,
        secret: secret?,
        other_secret,
        public_url: given.cluster_public_url.clone().or(url),
    })
}

enum FromFile {
    Absent,
    Wrong,
    Found(Secret),
}

impl FromFile {
    fn found(self) -> Option<Secret> {
        match self {
            Self::Found(secret) => Some(secret),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// A secret, in the file or in one of its own.
fn secret(table: &Table<'_>, directory: &Path, word: &'static str, word_of_file: &'static str) -> FromFile {
    let read = match (table.get(word), table.get(word_of_file)) {
        (None, None) => return FromFile::Absent,
        (Some(value), None) => value.text().map(|text| Secret(text.to_owned())).map_err(Problem::hidden),
        (None, Some(value)) => path_below(directory)(value).and_then(|path| {
            secret_of(&path).map_err(|error| value.wrong(format!("`{}` {error}", path.display())))
        }),
        (Some(_), Some(value)) => {
            Err(value.wrong(format!("`{word}` and `{word_of_file}` exclude each other")))
        }
    };
    table.notes.keep(read).map_or(FromFile::Wrong, FromFile::Found)
}

/// The secret that a file has. A line break at its end is no part of it.
pub(crate) fn secret_of(path: &Path) -> Result<Secret, String> {
    let text = read_file(path).map_err(|error| format!("cannot be read: {error}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("is empty".to_owned()),
        secret => Ok(Secret(secret.to_owned())),
    }
}
