//! The fingerprint of a database, computed by the server itself, next to the
//! heap: one generated, typed expression per table gives every row a hash,
//! and the server adds the hashes up.
//!
//! The `…extended` hash functions are those that hash partitioning relies on,
//! so their results are the same in every major version from 13 on.

mod columns;
mod expression;
mod objects;
pub(super) mod sequences;
mod take;

pub use take::take;

/// Hashes of typed values.
const TYPED: &str = "pg-typed-v1";
/// Hashes of every value's text.
const TEXT: &str = "pg-text-v1";

/// What is taken and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hash every value's text instead of the value.
    pub exact_text: bool,
    /// Qualified names of tables to leave out, quoted as the server does or
    /// not at all; the canary table is one.
    pub exclude: Vec<String>,
    /// Parallel connections.
    pub jobs: usize,
}

/// A relation whose content is fingerprinted.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    /// Qualified, as the server quotes it.
    pub(super) name: String,
    /// By name, so that the order in which they were added does not matter.
    pub(super) columns: Vec<Column>,
    /// The names of the primary key's columns, quoted.
    pub(super) key: Vec<String>,
    pub(super) blocks: u64,
    /// Whether rows can be had by ranges of blocks.
    pub(super) splits: bool,
}

/// One column of it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Quoted.
    pub(super) name: String,
    pub(super) not_null: bool,
    pub(super) kind: Kind,
}

/// How a value is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    PaddedText,
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Jsonb,
    Bytea,
    /// By its text.
    Other,
}
