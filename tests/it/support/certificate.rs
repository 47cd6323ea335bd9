//! Certificates for tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::world::text;

/// A certificate for `localhost` and 127.0.0.77 that vouches for itself, and its key.
pub fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    std::fs::create_dir_all(folder).unwrap();
    let (cert, key) = (
        folder.join(format!("{name}.crt")),
        folder.join(format!("{name}.key")),
    );
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.77"])
        // One that may vouch for others is not taken as a server's own.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    (cert, key)
}
