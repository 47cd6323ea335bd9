//! JSON for programs: the record as it is, see `docs/run-json.md`.

use crate::domain::record::RunRecord;

/// One record, indented.
///
/// # Errors
/// Never for a record as the runner makes it: every map has text keys.
pub fn run(record: &RunRecord) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(record)
}

/// Several records as one array, in the given order.
///
/// # Errors
/// As [`run`].
pub fn runs(records: &[RunRecord]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(records)
}
