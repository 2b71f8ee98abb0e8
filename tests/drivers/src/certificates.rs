//! Certificates that are made for one test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Files of an authority and of what it has signed.
#[derive(Debug)]
pub struct Certificates {
    /// The certificate of the authority.
    pub root: PathBuf,
    /// The certificate of the server at 127.0.0.1, and its key.
    pub server: (PathBuf, PathBuf),
    /// The certificate of a client, and its key.
    pub client: (PathBuf, PathBuf),
}

impl Certificates {
    /// Makes them, and writes them to a directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, pem: String| {
            let path = directory.join(name);
            fs::write(&path, pem).unwrap();
            path
        };
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &authority).unwrap();
            (
                write(&format!("{name}.pem"), certificate.pem()),
                write(&format!("{name}.key"), key.serialize_pem()),
            )
        };
        Self { root: write("root.pem", authority.pem()), server: signed("server"), client: signed("client") }
    }
}
