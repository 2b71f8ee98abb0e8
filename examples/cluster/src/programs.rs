//! nginx and nats-server: where they are, and how they are started on loopback with nothing of the system's.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// A program of another package.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
}

/// What is missing, in one text.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where programs are, and where Debian puts servers, which is in no user's `PATH`.
pub(crate) fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from)).collect()
}

/// Finds nginx and nats-server.
///
/// # Errors
/// Names those that are missing, as Debian's packages are named.
pub(crate) fn find_both(folders: &[PathBuf]) -> Result<[Program; 2], Missing> {
    // Debian's packages have the names of their programs.
    let found = ["nginx", "nats-server"].map(|name| (name, find(name, folders)));
    match found {
        [(_, Some(nginx)), (_, Some(nats))] => Ok([nginx, nats].map(|path| Program { path })),
        found => {
            let missing = found.into_iter().filter(|(_, path)| path.is_none()).map(|(name, _)| name);
            let missing = missing.collect::<Vec<_>>();
            let [names, packages] = [missing.join(" and "), missing.join(" ")];
            let are = if missing.len() == 1 { "is" } else { "are" };
            Err(Missing(format!("{names} {are} not installed (in Debian: apt-get install {packages})")))
        }
    }
}

/// Puts values in the place of `{{names}}`.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// Writes nginx's configuration into a folder.
pub(crate) fn configure_nginx(
    dir: &Path,
    listen: SocketAddr,
    nodes: [SocketAddr; 3],
    pages: SocketAddr,
) -> io::Result<()> {
    let [listen, pages] = [listen, pages].map(|address| address.to_string());
    let [a, b, c] = nodes.map(|node| node.to_string());
    let folder = dir.display().to_string();
    let values = [
        ("dir", &*folder),
        ("listen", &listen),
        ("pages", &pages),
        ("node_a", &a),
        ("node_b", &b),
        ("node_c", &c),
    ];
    for (name, text) in [
        ("main.conf", include_str!("../nginx/main.conf")),
        ("cluster.conf", include_str!("../nginx/cluster.conf")),
    ] {
        fs::write(dir.join(name), fill(text, &values))?;
    }
    Ok(())
}

/// Without a master process there is one process to end, which never wants another user.
pub(crate) fn nginx_arguments(dir: &Path) -> Vec<String> {
    let dir = dir.display();
    let config = format!("{dir}/main.conf");
    let globals = "daemon off; master_process off;";
    [&*dir.to_string(), &config, globals]
        .into_iter()
        .zip(["-p", "-c", "-g"])
        .flat_map(|(value, option)| [option.to_owned(), value.to_owned()])
        .chain(["-e", "stderr"].map(str::to_owned))
        .collect()
}

/// With JetStream, which keeps the room's lines.
pub(crate) fn nats_arguments(dir: &Path, address: SocketAddr) -> Vec<String> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    ["-a", &ip, "-p", &port, "-js", "-sd", &dir.display().to_string()].map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_by_its_package() {
        let folder = env::temp_dir().join(format!("example-cluster-test-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let folders = [folder.clone()];
        let missing = || find_both(&folders).err().map(|missing| missing.to_string()).unwrap_or_default();
        let words = "nginx and nats-server are not installed (in Debian: apt-get install nginx nats-server)";
        assert_eq!(missing(), words);
        fs::write(folder.join("nginx"), "").expect("a file");
        assert_eq!(missing(), "nats-server is not installed (in Debian: apt-get install nats-server)");
        fs::write(folder.join("nats-server"), "").expect("a file");
        assert!(find_both(&folders).is_ok());
        fs::remove_dir_all(&folder).expect("it was there");
    }

    #[test]
    fn the_configuration_has_no_gap() {
        let dir = env::temp_dir().join(format!("example-cluster-nginx-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        configure_nginx(&dir, at(80), [at(1), at(2), at(3)], at(4)).expect("it is written");
        for name in ["main.conf", "cluster.conf"] {
            let text = fs::read_to_string(dir.join(name)).expect("it is there");
            assert!(!text.contains("{{"), "{text}");
        }
        fs::remove_dir_all(&dir).expect("it was there");
    }
}
