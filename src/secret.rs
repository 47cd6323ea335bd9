//! Reading secrets, at the moment they are used.

use secrecy::SecretString;

use crate::domain::{
    failure::{Failure, FailureKind},
    store::SecretSource,
};

/// Reads a secret of this machine; `name` says what it is, for messages.
///
/// # Errors
/// `Invalid` with what is missing.
pub fn read(name: &str, source: &SecretSource) -> Result<SecretString, Failure> {
    let missing = |what: String| {
        let message = format!("cannot read {name}: {what}");
        Failure::new(FailureKind::Invalid, message)
    };
    match source {
        SecretSource::Env(variable) => std::env::var(variable)
            .map(SecretString::from)
            .map_err(|_| missing(format!("environment variable {variable} is not set"))),
        SecretSource::File(path) => std::fs::read_to_string(path)
            .map(|text| SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
            .map_err(|error| missing(format!("{}: {error}", path.display()))),
        SecretSource::Kubernetes { name: secret, .. } => Err(missing(format!(
            "the Secret {secret} is in Kubernetes, not on this machine"
        ))),
    }
}
