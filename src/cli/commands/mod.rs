//! One file per command.

pub mod check;
pub mod config;
pub mod doctor;
pub mod fires;
pub mod run;
pub mod runs;
pub mod schedule;
pub mod serve;
pub mod show;
pub mod sweep;

use std::path::PathBuf;

use super::{args::Output, exit::Exit, output};
use crate::spec::{self, drill::Drill};

/// How results are to be printed.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub output: Output,
    pub quiet: bool,
}

/// Reads every drill of all files; tells every error of every file.
///
/// # Errors
/// With [`Exit::Usage`] if any file is wrong.
pub fn read_drills(files: &[PathBuf]) -> Result<Vec<Drill>, Exit> {
    let mut drills = Vec::new();
    let mut wrong = false;
    for file in files {
        match spec::read_all(file) {
            Ok(read) => drills.extend(read),
            Err(errors) => {
                output::note(&errors.to_string());
                wrong = true;
            }
        }
    }
    if wrong { Err(Exit::Usage) } else { Ok(drills) }
}
