//! Who a collector must be, and who we are to it. There is no way to do without a certificate of the server, and none back to
//! clear text.

use std::{fs, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// TLS 1.2 or 1.3, trusting the certificates in `ca` alone; with `cert` and `key` we say who we are.
///
/// # Errors
/// What is wrong with the files.
pub(super) fn client(ca: &str, cert: Option<&str>, key: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| format!("{ca}: {error}"))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = builder.with_root_certificates(roots);
    match (cert, key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| format!("{key}: {error}"))?;
            builder.with_client_auth_cert(certificates(cert)?, private).map_err(|error| format!("{cert}: {error}"))
        }
        _ => Err("cert and key go together".to_owned()),
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| format!("{path}: {error}"))?;
    if found.is_empty() { Err(format!("{path}: holds no certificate (PEM)")) } else { Ok(found) }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{path}: {error}"))
}
