//! The `lifeboat` binary.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == "agent" => lifeboat::process::fence::main(rest),
        _ => ExitCode::FAILURE,
    }
}
