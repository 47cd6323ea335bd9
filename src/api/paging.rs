//! Pages of a list that begins with the newest: how many there are on one, and
//! where the next one begins.

use std::{fmt, str::FromStr};

use jiff::Timestamp;

use super::problem::Problem;

/// Where an answer ended: an instant, and which one it was of several of the same.
pub type Cursor<T> = (Timestamp, T);

/// How many are wanted.
///
/// # Errors
/// If that is none, or more than `most`.
pub fn limit(wanted: Option<u32>, usual: u32, most: u32) -> Result<u32, Problem> {
    let limit = wanted.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid(format!("limit must be 1 to {most}")))
}

/// The `next` of an answer that ended there.
pub fn next<T: fmt::Display>((at, which): &Cursor<T>) -> String {
    format!("{}.{which}", at.as_microsecond())
}

/// Where the answer ended whose `next` this is.
///
/// # Errors
/// If it is none.
pub fn after<T: FromStr>(next: Option<&str>) -> Result<Option<Cursor<T>>, Problem> {
    let odd = || Problem::invalid("after is not the `next` of an earlier answer");
    next.map(|text| cursor(text).ok_or_else(odd)).transpose()
}

fn cursor<T: FromStr>(text: &str) -> Option<Cursor<T>> {
    let (at, which) = text.split_once('.')?;
    let at = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
    Some((at, which.parse().ok()?))
}
