//! A certificate and its key, read from files.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    CertificateError, InconsistentKeys, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, UnixTime,
        pem::{self, PemObject as _},
    },
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use crate::tls_error::TlsError;

/// Reads a certificate with its chain, and its key. A certificate that is out of date is logged.
pub(crate) fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let malformed =
        |file: &Path, error: pem::Error| TlsError::Malformed { file: file.into(), error: error.into() };
    let chain = CertificateDer::pem_slice_iter(&contents(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(certificate, error))?;
    let Some(own) = chain.first() else {
        return Err(TlsError::NoCertificate { file: certificate.into() });
    };
    if let Err(error) = ParsedCertificate::try_from(own) {
        return Err(TlsError::Certificate { file: certificate.into(), error });
    }
    let private = PrivateKeyDer::from_pem_slice(&contents(key)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { file: key.into() },
        error => malformed(key, error),
    })?;
    let private = provider
        .key_provider
        .load_private_key(private)
        .map_err(|error| TlsError::Key { file: key.into(), error })?;
    if let Some(error) = out_of_date(own, UnixTime::now(), provider) {
        tracing::warn!(file = %certificate.display(), %error, "the certificate is out of date");
    }
    let certified = CertifiedKey::new(chain, private);
    match certified.keys_match() {
        // Some keys do not say what their public half is.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(_) => Err(TlsError::Mismatch { certificate: certificate.into(), key: key.into() }),
    }
}

fn contents(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError::Unreadable { file: file.into(), error })
}

/// Whether the time of a certificate is over, or has not come. The time is what is checked first of a certificate; that
/// no root leads to it is what is not asked here.
fn out_of_date(
    own: &CertificateDer<'_>,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Option<CertificateError> {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let own = ParsedCertificate::try_from(own).ok()?;
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(&own, &RootCertStore::empty(), &[], now, algorithms) {
        Err(rustls::Error::InvalidCertificate(
            error @ (Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }),
        )) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn a_certificate_is_out_of_date_before_and_after_its_time() -> Result<(), rcgen::Error> {
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        let provider = ring::default_provider();
        let at = |seconds| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            out_of_date(certificate.der(), now, &provider).map(|error| error.to_string())
        };
        // 1 January 2020 and 2021.
        let (begin, end) = (1_577_836_800, 1_609_459_200);
        assert!(at(begin - 1).is_some_and(|error| error.contains("not valid yet")), "{:?}", at(begin - 1));
        assert_eq!((at(begin), at(end)), (None, None));
        assert!(at(end + 1).is_some_and(|error| error.contains("expired")), "{:?}", at(end + 1));
        Ok(())
    }
}
