//! Records as real drills leave them, each with other times, figures and names.

use std::fmt::Write as _;

use jiff::Timestamp;
use lifeboat::domain::{check::Proof, ids::RunId};

/// Records of real drills, one a line. They are others than those that the
/// history compresses against.
const RECORDS: &str = include_str!("records.jsonl");

/// Within so many nanoseconds a run does everything.
const LASTS: u64 = 300_000_000_000;

/// A run of the history.
pub struct Run {
    pub id: RunId,
    pub drill: String,
    pub at: Timestamp,
}

/// A record, and where others differ from it.
pub struct Template {
    parts: Vec<Part>,
    pub verdict: &'static str,
    pub control: bool,
    /// Whether its workload is in a namespace, which is called as the drill.
    pub namespaced: bool,
    pub proof: &'static str,
}

enum Part {
    Text(String),
    Drill,
    Id,
    /// The end of the id, which is in the names of what the run makes.
    Resource,
    Requested,
    Time,
    /// A number of so many digits.
    Digits(usize),
}

/// What they are in the record that is read.
struct Marks<'a> {
    id: &'a str,
    requested: &'a str,
}

impl Template {
    pub fn all() -> Vec<Self> {
        RECORDS.lines().map(Self::read).collect()
    }

    fn read(record: &str) -> Self {
        let marks = Marks {
            id: after(record, "\"id\":\""),
            requested: after(record, "\"requested_at\":\""),
        };
        let mut parts = Vec::new();
        let mut rest = record;
        while !rest.is_empty() {
            let (part, length) = next(rest, &marks);
            match (part, parts.last_mut()) {
                (Part::Text(more), Some(Part::Text(text))) => text.push_str(&more),
                (part, _) => parts.push(part),
            }
            rest = &rest[length..];
        }
        let failed = record.contains("\"verdict\":\"failed\"");
        Self {
            parts,
            verdict: if failed { "failed" } else { "passed" },
            control: record.contains("\"negative_control\":true"),
            namespaced: record.contains("\"namespace\":\"@drill\""),
            proof: proof(record),
        }
    }

    /// The record of a run.
    pub fn record(&self, run: &Run, record: &mut String) {
        let id = run.id.to_string();
        record.clear();
        for part in &self.parts {
            match part {
                Part::Text(text) => record.push_str(text),
                Part::Drill => record.push_str(&run.drill),
                Part::Id => record.push_str(&id),
                Part::Resource => record.push_str(&id[id.len() - 12..]),
                Part::Requested => _ = write!(record, "{}", run.at),
                Part::Time => {
                    let later = std::time::Duration::from_nanos(fastrand::u64(..LASTS));
                    _ = write!(record, "{}", run.at + later);
                }
                Part::Digits(length) => {
                    record.push(char::from(fastrand::u8(b'1'..=b'9')));
                    record.extend((1..*length).map(|_| char::from(fastrand::u8(b'0'..=b'9'))));
                }
            }
        }
    }
}

fn proof(record: &str) -> &'static str {
    let of = after(record, "\"proof\":\"");
    let proof = Proof::ALL.into_iter().find(|proof| proof.name() == of);
    proof.unwrap_or(Proof::None).name()
}

/// The text behind `mark`, up to the next quote.
fn after<'a>(record: &'a str, mark: &str) -> &'a str {
    let rest = record.split_once(mark).map_or("", |(_, rest)| rest);
    rest.split_once('"').map_or("", |(text, _)| text)
}

/// What is next, and how long it is.
fn next(rest: &str, marks: &Marks<'_>) -> (Part, usize) {
    let resource = &marks.id[marks.id.len() - 12..];
    for (mark, part) in [
        ("@drill", Part::Drill),
        (marks.id, Part::Id),
        (resource, Part::Resource),
        (marks.requested, Part::Requested),
    ] {
        if rest.starts_with(mark) {
            return (part, mark.len());
        }
    }
    // A server's settings are the same in each run.
    if rest.starts_with("\"settings\":{") {
        let length = rest.find('}').unwrap_or(rest.len());
        return (Part::Text(rest[..length].to_owned()), length);
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 4 && rest.get(10..11) == Some("T") {
        return (Part::Time, rest.find('Z').map_or(rest.len(), |at| at + 1));
    }
    if digits >= 3 {
        return (Part::Digits(digits), digits);
    }
    let length = digits.max(rest.chars().next().map_or(1, char::len_utf8));
    (Part::Text(rest[..length].to_owned()), length)
}
