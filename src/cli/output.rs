//! Printing: results on standard output, everything else on standard error.

use std::io::{self, Write};

use crate::{domain::failure::Failure, runner::store::StoreError};

/// Prints a result. A reader that went away is no error.
pub fn result(text: &str) {
    write_to(&mut io::stdout().lock(), text);
}

/// Prints something about the work itself.
pub fn note(text: &str) {
    write_to(&mut io::stderr().lock(), text);
}

fn write_to(out: &mut dyn Write, text: &str) {
    // There is nobody left to tell about an error here.
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

/// An error with everything below it, and its hint on a line of its own.
#[must_use]
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error:#}");
    let failure = error.chain().find_map(|e| e.downcast_ref::<Failure>());
    let store = error.chain().find_map(|e| e.downcast_ref::<StoreError>());
    let hint = failure
        .and_then(|failure| failure.hint.as_deref())
        .or_else(|| store.and_then(StoreError::hint));
    if let Some(hint) = hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    for line in failure.iter().flat_map(|failure| &failure.diagnosis) {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    text
}
