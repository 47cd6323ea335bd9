//! The catalogue of planted faults.

mod backup;
mod environment;
mod harmless;
mod objects;
mod options;
mod rights;
mod rows;
mod rules;
mod storage;
mod values;

use super::fault::{Fault, Group};

/// Every fault, in the order of the table.
pub const GROUPS: &[Group] = &[
    Group::new("Rows", rows::FAULTS),
    Group::new("Values", values::FAULTS),
    Group::new("Tables, columns, constraints and indexes", objects::FAULTS),
    Group::new("Code, types and sequences", rules::FAULTS),
    Group::new("Owners, grants, policies and comments", rights::FAULTS),
    Group::new("What surrounds the schema", environment::FAULTS),
    Group {
        deep: true,
        ..Group::new("Damaged storage", storage::FAULTS)
    },
    Group::new("How the backup is made", options::FAULTS),
    Group::new("Backups that were found, and are damaged", backup::FAULTS),
];

/// What is no fault, and must not be taken for one.
pub const HARMLESS: &[Fault] = harmless::CHANGES;
