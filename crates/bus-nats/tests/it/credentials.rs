//! Who a node is: tokens, NKeys, and files of credentials.

use std::{fs, path::Path, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use driver_tests::{
    server::Server,
    wait::{connected, limited, subject, subscribe, until},
};
use nkeys::KeyPair;
use sockjs_bus::{Bus, ConnectError};
use sockjs_bus_nats::{Nats, Options};

use crate::engine::{self, configured};

/// A server with this file, and its address.
fn server(text: &str) -> (Server, String) {
    let server = Server::start_with(&engine::Server, false, |directory, _| configured(directory, text));
    let address = server.address();
    (server, address)
}

async fn is_let_in(options: Options) {
    let bus = options.connect().await.unwrap();
    let (_subscription, mut received) = subscribe(&bus, "a").await;
    bus.publish(&subject("a"), "x".into()).unwrap();
    assert_eq!(limited("a message", received.recv()).await.unwrap(), "x");
}

async fn is_refused(options: Options) {
    let error = options.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unauthorized(_)), "{error:?}");
}

#[tokio::test]
async fn a_token_is_taken_from_an_option_or_the_address() {
    let (server, address) = server(r#"authorization { token: "s@cret" }"#);
    is_let_in(Nats::options(&address).token("s@cret")).await;
    is_let_in(Nats::options(&server.address_of("s%40cret@"))).await;
    for wrong in [Nats::options(&address), Nats::options(&address).token("guess")] {
        is_refused(wrong).await;
    }
}

#[tokio::test]
async fn an_nkey_is_known_by_its_seed() {
    let (known, other) = (KeyPair::new_user(), KeyPair::new_user());
    let (_server, address) =
        server(&format!("authorization {{ users = [ {{ nkey: {} }} ] }}", known.public_key()));
    is_let_in(Nats::options(&address).nkey(known.seed().unwrap())).await;
    is_refused(Nats::options(&address).nkey(other.seed().unwrap())).await;
    // What is no seed is refused as well, and not shown.
    let error = Nats::options(&address).nkey("SUnosecret").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unauthorized(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("nosecret"));
}

/// A JSON web token as NATS has them.
fn token(issuer: &KeyPair, subject: &KeyPair, nats: &str) -> String {
    let claims = format!(
        r#"{{"jti":"{}","iat":1700000000,"iss":"{}","name":"test","sub":"{}","nats":{nats}}}"#,
        subject.public_key(),
        issuer.public_key(),
        subject.public_key()
    );
    let parts = [r#"{"typ":"JWT","alg":"ed25519-nkey"}"#, &claims]
        .map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
    let signed = parts.join(".");
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn write_credentials(file: &Path, token: &str, user: &KeyPair) {
    let (seed, edge) = (user.seed().unwrap(), "------");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n{edge}END NATS USER JWT{edge}\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n{edge}END USER NKEY SEED{edge}\n"
    );
    fs::write(file, text).unwrap();
}

#[tokio::test]
async fn a_file_of_credentials_is_read_at_each_connection() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let limits =
        r#""limits":{"subs":-1,"data":-1,"payload":-1,"conn":-1,"leaf":-1,"imports":-1,"exports":-1}"#;
    let of_account = |account: &KeyPair| {
        let token = token(&operator, account, &format!(r#"{{"type":"account","version":2,{limits}}}"#));
        format!("{}: {token}", account.public_key())
    };
    // Without an account of the system's own the server has no JetStream.
    let system = KeyPair::new_account();
    let text = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}\n{}\n}}\n",
        token(&operator, &operator, r#"{"type":"operator","version":2}"#),
        system.public_key(),
        of_account(&system),
        of_account(&account)
    );
    let mut file = None;
    let server = Server::start_with(&engine::Server, false, |directory, _| {
        file = Some(directory.join("user.creds"));
        configured(directory, &text)
    });
    let (file, address) = (file.unwrap(), server.address());
    let rights = r#"{"type":"user","version":2,"subs":-1,"data":-1,"payload":-1}"#;
    let options =
        || Nats::options(&address).credentials_file(&file).max_reconnect_delay(Duration::from_millis(200));
    let missing = options().connect().await.unwrap_err();
    assert!(matches!(missing, ConnectError::Invalid(_)), "{missing:?}");
    write_credentials(&file, &token(&account, &user, rights), &user);
    is_let_in(options()).await;
    let bus = options().connect().await.unwrap();
    // Of an account that the server does not know.
    write_credentials(&file, &token(&KeyPair::new_account(), &user, rights), &user);
    is_refused(options()).await;
    server.kill();
    connected(&bus, false).await;
    server.run();
    until("the new file is refused", || matches!(bus.failure(), Some(ConnectError::Unauthorized(_)))).await;
    write_credentials(&file, &token(&account, &user, rights), &user);
    connected(&bus, true).await;
}
