//! Where a PostgreSQL server is reached: the source's, or the scratch copy's.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    domain::failure::{Failure, FailureKind},
    engine::Instance,
    spec::drill::TlsMode,
};

/// Everything a connection needs. Not serializable: it may hold a password.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// A host, or the directory of a unix socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Option<SecretString>,
    pub tls: TlsMode,
    /// Certificates to trust, PEM; the system's where absent.
    pub root_certificates: Option<PathBuf>,
    /// Whether sessions are read-only unless a statement says otherwise.
    pub read_only: bool,
}

/// The scratch instance as it stands in [`Instance::endpoint`]: a private
/// cluster that listens on a unix socket in a directory that only its owner
/// can enter, so it needs no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScratchCluster {
    pub socket_directory: PathBuf,
    pub port: u16,
    /// The bootstrap superuser, of a name that no dump brings along.
    pub superuser: String,
    /// The database the recovery point is restored into.
    pub database: String,
    /// The data directory.
    pub data_directory: PathBuf,
    /// Where this server's binaries are.
    pub bin_directory: PathBuf,
    /// Of the server, such as `150018`.
    pub version_num: u32,
}

impl ScratchCluster {
    /// Reads it back from the runner's instance.
    ///
    /// # Errors
    /// If the instance is of another engine.
    pub fn of(instance: &Instance) -> Result<Self, Failure> {
        serde_json::from_value(instance.endpoint.clone()).map_err(|error| {
            Failure::new(
                FailureKind::Internal,
                format!("not a PostgreSQL instance: {error}"),
            )
        })
    }

    /// The endpoint of the restored database, as superuser.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: self.socket_directory.display().to_string(),
            port: self.port,
            database: self.database.clone(),
            user: self.superuser.clone(),
            password: None,
            tls: TlsMode::Disable,
            root_certificates: None,
            read_only: false,
        }
    }
}
