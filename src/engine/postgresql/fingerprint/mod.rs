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

use crate::domain::fingerprint::Fingerprint;

pub use crate::spec::drill::Equality;

/// What is taken and how.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    pub equality: Equality,
    /// Qualified names of tables to leave out, quoted as the server does or
    /// not at all; the canary table is one.
    pub exclude: Vec<String>,
    /// Parallel connections.
    pub jobs: usize,
    /// Take the weighted sums too, by which one differing row is found. They
    /// make it a fifth dearer: the source's are taken when nobody knows yet
    /// whether they will be wanted, the copy's when they are.
    pub locate: bool,
    /// The fingerprint that this one will be held against. Rows are hashed as
    /// they were there: a constraint that the copy has lost is the schema
    /// check's finding, and does not make equal rows differ.
    pub like: Option<&'a Fingerprint>,
    /// These tables only, and nothing else.
    pub only: Option<&'a [String]>,
}

/// The name of the algorithm: the version changes with every change of any
/// expression.
fn algorithm(equality: Equality) -> &'static str {
    match equality {
        Equality::Typed => "pg-typed-v2",
        Equality::Text => "pg-text-v2",
        Equality::Fast => "pg-fast-v2",
    }
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
    /// Blocks with those of values out of line: what it takes to read it.
    pub(super) weight: u64,
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
    /// `char(n)`.
    FixedText,
    /// `bpchar` of any length.
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
