//! The schema of a database, read from the catalogs.

use super::session::Session;
use crate::domain::{
    failure::{Failure, FailureKind},
    inventory::Inventory,
};

/// Reads every object of the session's database; within the session's
/// transaction, if one is open. Needs no rights beyond connecting.
pub async fn take(_session: &Session) -> Result<Inventory, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
