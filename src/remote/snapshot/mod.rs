//! Snapshots of volumes as recovery points: cut by the run, or found.

mod existing;
mod fresh;
mod import;
mod read;
