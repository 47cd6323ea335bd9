//! What a planted fault is.

use std::path::Path;

/// One fault, how it is planted, and what has to be said of it.
#[derive(Clone, Copy)]
pub struct Fault {
    /// What the reader of the table is told.
    pub name: &'static str,
    pub plant: Plant,
    /// The checks that fail: these and no others. `step …` where the drill
    /// ends in a step.
    pub found_by: &'static [&'static str],
    /// What the findings of these checks name.
    pub names: &'static [&'static str],
}

/// How a fault comes to be.
#[derive(Clone, Copy)]
pub enum Plant {
    /// By statements in the loaded copy.
    Sql(&'static str),
    /// In the file of this relation of the loaded copy, as a disk does it.
    File(&'static str, fn(&mut Vec<u8>)),
    /// In the files of the dump, before it is loaded.
    Dump(fn(&Path)),
    /// In the dump, and then loaded by a server that has nothing else.
    Alone(fn(&Path)),
    /// By the options that `pg_dump` is called with, `PGOPTIONS=…` being none
    /// of them but a variable that it is given.
    Made(&'static [&'static str]),
    /// A backup of somebody else's, made so, has come to harm: nothing is known
    /// of its source.
    Existing(&'static [&'static str], fn(&Path)),
    /// The same, loaded by a server that has nothing else.
    ExistingAlone(&'static [&'static str], fn(&Path)),
}

impl Fault {
    pub const fn sql(
        name: &'static str,
        sql: &'static str,
        found_by: &'static [&'static str],
        names: &'static [&'static str],
    ) -> Self {
        Self::new(name, Plant::Sql(sql), found_by, names)
    }

    pub const fn new(
        name: &'static str,
        plant: Plant,
        found_by: &'static [&'static str],
        names: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            plant,
            found_by,
            names,
        }
    }
}

/// Faults of one kind, under one heading.
pub struct Group {
    pub title: &'static str,
    pub faults: &'static [Fault],
    /// Whether every row has to be looked up in every index.
    pub deep: bool,
}

impl Group {
    pub const fn new(title: &'static str, faults: &'static [Fault]) -> Self {
        Self {
            title,
            faults,
            deep: false,
        }
    }
}
