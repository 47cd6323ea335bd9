//! Reading secrets, at the moment they are used.

use secrecy::SecretString;

use crate::{
    domain::failure::{Failure, FailureKind},
    spec::drill::SecretSource,
};

/// Reads a secret of this machine.
///
/// # Errors
/// `Invalid` with what is missing.
pub fn read(source: &SecretSource) -> Result<SecretString, Failure> {
    let missing = |what: String| {
        let message = format!("cannot read the password: {what}");
        Failure::new(FailureKind::Invalid, message)
    };
    match source {
        SecretSource::Env(name) => std::env::var(name)
            .map(SecretString::from)
            .map_err(|_| missing(format!("environment variable {name} is not set"))),
        SecretSource::File(path) => std::fs::read_to_string(path)
            .map(|text| SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
            .map_err(|error| missing(format!("{}: {error}", path.display()))),
        SecretSource::Kubernetes { name, .. } => Err(missing(format!(
            "the Secret {name} is in Kubernetes, not on this machine"
        ))),
    }
}
