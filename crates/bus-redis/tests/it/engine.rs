//! Redis or Valkey, as the tests of all drivers take it.

use std::{path::Path, process::Command, sync::Arc};

use driver_tests::{
    certificates::Certificates,
    engine::{Engine, Settings},
};
use sockjs_bus::{BoxFuture, Bus, ConnectError};
use sockjs_bus_redis::Redis;

pub(crate) struct Server;

impl Engine for Server {
    fn server(&self, port: u16, directory: &Path) -> Command {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = Command::new(program);
        let port = port.to_string();
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes", "--dir"]);
        command.arg(directory);
        // By default what was acknowledged within the last second may be lost when it is killed.
        command.args(["--appendfsync", "always"]);
        command
    }

    fn restricted(&self, _directory: &Path, (user, password): (&str, &str)) -> Vec<String> {
        let rights = format!(
            "--user {user} on >{password} resetchannels &sockjs:chat.* allkeys allcommands --user default off"
        );
        rights.split(' ').map(str::to_owned).collect()
    }

    fn secured(&self, port: u16, certificates: &Certificates, asks_clients: bool) -> Vec<String> {
        let (certificate, key) = &certificates.server;
        let asks = if asks_clients { "yes" } else { "no" };
        let words = format!(
            "--port 0 --tls-port {port} --tls-cert-file {} --tls-key-file {} --tls-ca-cert-file {} --tls-auth-clients {asks}",
            certificate.display(),
            key.display(),
            certificates.root.display()
        );
        words.split(' ').map(str::to_owned).collect()
    }

    fn scheme(&self, is_secured: bool) -> &'static str {
        if is_secured { "rediss" } else { "redis" }
    }

    fn connect(
        &self,
        address: &str,
        settings: &Settings,
    ) -> BoxFuture<'_, Result<Arc<dyn Bus>, ConnectError>> {
        let options = driver_tests::options!(Redis::options(address), settings);
        #[cfg(feature = "tls")]
        let options = {
            let mut options = options;
            if let Some(root) = &settings.root {
                options = options.root_certificates(root);
            }
            if let Some((certificate, key)) = &settings.client_certificate {
                options = options.client_certificate(certificate, key);
            }
            options
        };
        Box::pin(async { Ok(Arc::new(options.connect().await?) as Arc<dyn Bus>) })
    }

    fn erase(&self, address: &str) -> BoxFuture<'_, ()> {
        let address = address.to_owned();
        Box::pin(async move {
            redis::cmd("FLUSHALL").exec_async(&mut connection(&address).await).await.unwrap();
        })
    }
}

/// A connection of the library to this server.
pub(crate) async fn connection(address: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(address).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
