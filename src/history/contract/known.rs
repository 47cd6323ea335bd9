//! Since when drills are known.

use super::{requested, require, text};
use crate::history::{History, known::KnownSince};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    let at = |second| Ok::<_, String>(requested("known", second)?.requested_at);
    let (first, later) = (at(1)?, at(900)?);
    let names = |numbers: std::ops::Range<u32>| {
        let names = numbers.map(|number| format!("known-{number}"));
        names.collect::<Vec<_>>()
    };
    let some = names(0..600);
    let since = history.known(&some, first).await.map_err(text)?;
    require(
        since.len() == 600 && since.values().all(|at| *at == first),
        "a drill is not known since it was first told of",
    )?;
    // As another process, and as this one after a restart.
    let known = KnownSince::default();
    let all = names(590..1_200);
    for _ in 0..2 {
        let all = all.iter().map(String::as_str);
        let since = known.of(history, all, later).await.map_err(text)?;
        require(
            since["known-599"] == first && since["known-600"] == later,
            "a drill that is told of again is known since then",
        )?;
    }
    Ok(())
}
