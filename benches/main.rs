//! `make bench`: whole processes and servers, each measured beside what a user
//! would do instead.
//!
//! Every round runs each contender once, so that whatever else the machine
//! does meets all of them; results are medians and ratios of one run. `cargo
//! test` runs the same code once with tiny sizes, so that it does not rot.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, starts programs and prints"
)]

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/it/support/disk.rs"]
mod disk;
mod harness;
#[expect(dead_code, unused_imports, reason = "tests use more of it")]
#[path = "../tests/it/support/kubernetes/mod.rs"]
mod kubernetes;
#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/it/support/postgres.rs"]
mod postgres;
mod workloads;

use std::process::ExitCode;

use harness::{Bench, Options, abort};

fn main() -> ExitCode {
    let Some(options) = Options::from_command_line() else {
        return ExitCode::SUCCESS;
    };
    abort::on_signal();
    let outcome = run(options);
    abort::clean_up();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<()> {
    let chosen = workloads::chosen(&options.only)?;
    if options.list {
        for workload in chosen {
            println!("{:12} {}", workload.name, workload.about);
        }
        return Ok(());
    }
    let mut bench = Bench::new(options)?;
    for workload in chosen {
        bench.begin(workload.name, workload.about);
        (workload.run)(&mut bench)?;
    }
    bench.finish()
}
