//! Backups that somebody else made and that are cut off or damaged. Nothing
//! is known of their source.

use super::super::change;
use crate::detection::fault::{Fault, Plant};

const PLAIN: &[&str] = &["--format=plain"];
const CUSTOM: &[&str] = &["--format=custom"];
const DIRECTORY: &[&str] = &["--format=directory"];
const UNCOMPRESSED: &[&str] = &["--format=directory", "--compress=0"];
const TAR: &[&str] = &["--format=tar"];

const fn found(
    name: &'static str,
    args: &'static [&'static str],
    harm: fn(&std::path::Path),
    found_by: &'static [&'static str],
    names: &'static [&'static str],
) -> Fault {
    Fault::new(name, Plant::Existing(args, harm), found_by, names)
}

/// Before anything is restored.
const LOOKED_AT: &[&str] = &["step capture"];
const LOADED: &[&str] = &["step restore"];

pub const FAULTS: &[Fault] = &[
    found(
        "a plain dump ends at 30 %",
        PLAIN,
        change::cut_at_30,
        LOOKED_AT,
        &["dump.sql is cut off"],
    ),
    found(
        "a plain dump ends at 90 %, where a row does",
        PLAIN,
        change::cut_at_90,
        LOOKED_AT,
        &["dump.sql is cut off"],
    ),
    found(
        "a plain dump ends between two statements",
        PLAIN,
        change::cut_between_statements,
        LOOKED_AT,
        &["dump.sql is cut off"],
    ),
    found(
        "a plain dump is empty",
        PLAIN,
        change::empty_backup,
        LOOKED_AT,
        &["dump.sql", "an empty file"],
    ),
    found(
        "a plain dump holds an error message instead",
        PLAIN,
        change::error_message,
        LOOKED_AT,
        &["dump.sql", "something else than a dump"],
    ),
    found(
        "a row of a plain dump lacks a column",
        PLAIN,
        change::lose_column,
        &["load"],
        &["COPY shop.documents"],
    ),
    found(
        "a compressed plain dump ends at 30 %",
        PLAIN,
        change::gzip_cut,
        LOOKED_AT,
        &["dump.sql.gz is cut off"],
    ),
    found(
        "one byte of a compressed plain dump is changed",
        PLAIN,
        change::gzip_spoilt,
        LOOKED_AT,
        &["dump.sql.gz", "damaged"],
    ),
    found(
        "a custom dump ends within its table of contents",
        CUSTOM,
        change::cut_head,
        LOOKED_AT,
        &["dump is cut off: its table of contents"],
    ),
    found(
        "a custom dump ends at 30 %",
        CUSTOM,
        change::cut_at_30,
        LOADED,
        &["dump: ", "the archive cannot be read"],
    ),
    found(
        "a custom dump lacks its last 100 bytes",
        CUSTOM,
        change::cut_tail,
        LOADED,
        &["dump: ", "the archive cannot be read"],
    ),
    found(
        "one byte in the middle of a custom dump is changed",
        CUSTOM,
        change::spoil_middle,
        LOADED,
        &["dump: ", "the archive cannot be read"],
    ),
    found(
        "a tar dump ends at 60 %",
        TAR,
        change::cut_at_60,
        LOOKED_AT,
        &["dump is cut off: it ends within its member"],
    ),
    found(
        "a directory dump lacks its table of contents",
        DIRECTORY,
        change::lose_toc,
        LOOKED_AT,
        &["without toc.dat"],
    ),
    found(
        "the table of contents of a directory dump is cut off",
        DIRECTORY,
        change::cut_toc,
        LOOKED_AT,
        &["toc.dat is cut off"],
    ),
    found(
        "a data file of a directory dump is missing",
        DIRECTORY,
        change::lose_data,
        LOOKED_AT,
        &["TABLE DATA readings"],
    ),
    found(
        "a data file of a directory dump is empty",
        DIRECTORY,
        change::empty_data,
        LOOKED_AT,
        &["TABLE DATA readings"],
    ),
    found(
        "a data file of a directory dump is cut off",
        DIRECTORY,
        change::cut_data,
        LOADED,
        &["TABLE DATA readings"],
    ),
    found(
        "one byte of a compressed data file is changed",
        DIRECTORY,
        change::spoil_data,
        LOADED,
        &["TABLE DATA readings"],
    ),
    found(
        "an uncompressed data file is cut off",
        UNCOMPRESSED,
        change::cut_data,
        LOOKED_AT,
        &["TABLE DATA readings"],
    ),
    found(
        "an uncompressed data file is empty",
        UNCOMPRESSED,
        change::empty_data,
        LOOKED_AT,
        &["TABLE DATA readings"],
    ),
    found(
        "the file of a large object is missing",
        DIRECTORY,
        change::lose_blob,
        LOOKED_AT,
        &["blob_90001.dat (large object 90001)"],
    ),
    found(
        "the list of large objects is cut off",
        DIRECTORY,
        change::cut_blobs,
        LOOKED_AT,
        &["list of large objects blobs.toc"],
    ),
    Fault::new(
        "a role is not among the globals",
        Plant::ExistingAlone(CUSTOM, change::without_role),
        &["load"],
        &["missing role: role \"reporting\" does not exist"],
    ),
];
