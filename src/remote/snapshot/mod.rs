//! Snapshots of volumes as recovery points: cut by the run, or found.

mod class;
mod existing;
mod fresh;
mod import;
mod read;

pub use self::fresh::{BACKUP_LABEL, TABLESPACE_MAP};
