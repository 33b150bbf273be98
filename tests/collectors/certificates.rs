//! A certificate authority with a server, a client, and a server whose time is over, as PEM files in a folder.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

/// Writes `ca.pem`, `server.pem`, `expired.pem`, `client.pem` and `other-ca.pem`, each with its key as `NAME.key`. The servers are
/// `collector.test` and 127.0.0.1, the client is `sensor.test`.
pub(crate) fn write(folder: &Path) {
    let ca = authority(folder, "ca");
    authority(folder, "other-ca");
    let server = ["collector.test", "127.0.0.1"].map(str::to_owned).to_vec();
    leaf(folder, "server", server.clone(), &ca, (2020, 2120), ExtendedKeyUsagePurpose::ServerAuth);
    leaf(folder, "expired", server, &ca, (2020, 2021), ExtendedKeyUsagePurpose::ServerAuth);
    leaf(folder, "client", vec!["sensor.test".to_owned()], &ca, (2020, 2120), ExtendedKeyUsagePurpose::ClientAuth);
}

fn authority(folder: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).unwrap();
    keep(folder, name, &certificate.pem(), &key.serialize_pem());
    Issuer::new(params, key)
}

fn leaf(
    folder: &Path,
    name: &str,
    names: Vec<String>,
    ca: &Issuer<'static, KeyPair>,
    (from, to): (i32, i32),
    usage: ExtendedKeyUsagePurpose,
) {
    let key = KeyPair::generate().unwrap();
    let common = names.first().unwrap().clone();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params.extended_key_usages.push(usage);
    let certificate = params.signed_by(&key, ca).unwrap();
    keep(folder, name, &certificate.pem(), &key.serialize_pem());
}

fn keep(folder: &Path, name: &str, certificate: &str, key: &str) {
    fs::write(folder.join(format!("{name}.pem")), certificate).unwrap();
    fs::write(folder.join(format!("{name}.key")), key).unwrap();
}
