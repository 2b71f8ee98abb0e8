//! NATS, as the tests of all drivers take it.

use std::{fs, path::Path, process::Command, sync::Arc};

use driver_tests::{
    certificates::Certificates,
    engine::{Engine, Settings},
};
use sockjs_bus::{BoxFuture, Bus, ConnectError};
use sockjs_bus_nats::Nats;

pub(crate) struct Server;

impl Engine for Server {
    fn server(&self, port: u16, directory: &Path) -> Command {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(directory);
        command
    }

    fn restricted(&self, directory: &Path, (user, password): (&str, &str)) -> Vec<String> {
        let rights = format!(
            r#"authorization {{ users = [ {{ user: {user}, password: "{password}", permissions: {{
                publish: ["_INBOX.>", "chat.>"], subscribe: ["_INBOX.>", "chat.>"] }} }} ] }}"#
        );
        configured(directory, &rights)
    }

    fn secured(&self, _port: u16, certificates: &Certificates, asks_clients: bool) -> Vec<String> {
        let (certificate, key) = &certificates.server;
        let mut arguments = vec![
            "--tls".to_owned(),
            format!("--tlscert={}", certificate.display()),
            format!("--tlskey={}", key.display()),
        ];
        if asks_clients {
            arguments.push("--tlsverify".to_owned());
            arguments.push(format!("--tlscacert={}", certificates.root.display()));
        }
        arguments
    }

    fn scheme(&self, is_secured: bool) -> &'static str {
        if is_secured { "tls" } else { "nats" }
    }

    fn connect(
        &self,
        address: &str,
        settings: &Settings,
    ) -> BoxFuture<'_, Result<Arc<dyn Bus>, ConnectError>> {
        let mut options = driver_tests::options!(Nats::options(address), settings);
        if let Some(root) = &settings.root {
            options = options.root_certificates(root);
        }
        if let Some((certificate, key)) = &settings.client_certificate {
            options = options.client_certificate(certificate, key);
        }
        Box::pin(async { Ok(Arc::new(options.connect().await?) as Arc<dyn Bus>) })
    }

    fn erase(&self, address: &str) -> BoxFuture<'_, ()> {
        let address = address.to_owned();
        Box::pin(async {
            let client = async_nats::connect(address).await.unwrap();
            assert!(async_nats::jetstream::new(client).delete_stream("SOCKJS").await.unwrap().success);
        })
    }
}

/// The arguments with which the server reads a file of this text.
pub(crate) fn configured(directory: &Path, text: &str) -> Vec<String> {
    let file = directory.join("nats.conf");
    fs::write(&file, text).unwrap();
    vec!["-c".to_owned(), file.display().to_string()]
}
