//! The log: what goes on, told on the standard error output.

mod json;
mod levels;

pub use self::levels::Levels;

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    fmt::{format::JsonFields, layer},
    prelude::*,
    registry,
};

use super::args::LogFormat;

/// Begins to tell it.
pub fn begin(levels: Levels, format: LogFormat) {
    let log = registry().with(levels.filter());
    let lines = layer().with_writer(stderr);
    match format {
        LogFormat::Text => log.with(lines.with_ansi(stderr().is_terminal())).init(),
        LogFormat::Json => {
            let lines = lines
                .fmt_fields(JsonFields::new())
                .event_format(json::Lines);
            log.with(lines).init();
        }
    }
}
