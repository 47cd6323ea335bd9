//! What a history has counted of the runs that are planted.

use lifeboat::domain::{
    record::RunRecord,
    tally::{Newest, Tally},
    verdict::Verdict,
};

use super::plant::{DRILLS, Planted};

/// The figures of a run, as its record has them.
#[derive(Clone, Copy)]
pub struct Figures {
    pub rto_ms: Option<u32>,
    pub rpo_ms: Option<u32>,
}

impl Figures {
    /// Found in the text: to read whole records would take longer than all else.
    pub fn of(record: &str) -> Self {
        let of = |objective: &str| {
            let (_, rest) = record.split_once(objective)?;
            let (_, rest) = rest.split_once("\"measured_ms\":")?;
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest[..digits].parse().ok()
        };
        Self {
            rto_ms: of("\"rto\":{"),
            rpo_ms: of("\"rpo\":{"),
        }
    }
}

/// What is told of the run if it is its drill's newest.
pub fn newest(record: &str) -> anyhow::Result<Option<Newest>> {
    let record: RunRecord = serde_json::from_str(record)?;
    let mut tally = Tally::default();
    tally.add(&record, record.requested_at);
    Ok(tally.newest)
}

/// The tallies of all drills.
pub struct Counted(Vec<Tally>);

impl Counted {
    pub fn new() -> Self {
        Self(vec![Tally::default(); DRILLS as usize])
    }

    pub fn add(&mut self, number: u32, planted: &Planted) {
        if planted.control {
            return;
        }
        let tally = &mut self.0[(number % DRILLS) as usize];
        let named = |verdict: &Verdict| verdict.name() == planted.verdict;
        let verdict = Verdict::ALL.into_iter().find(named);
        *tally
            .runs
            .entry(verdict.unwrap_or(Verdict::Passed))
            .or_default() += 1;
        let at = planted.run.at;
        if let Some(ms) = planted.figures.rto_ms {
            tally.rtos.observe(ms.into());
            tally.rto = Some((at, ms.into()));
        }
        if let Some(ms) = planted.figures.rpo_ms {
            tally.rpos.observe(ms.into());
            tally.rpo = Some((at, ms.into()));
        }
        tally.success = Some(at);
        tally.newest.clone_from(&planted.newest);
    }

    /// Each drill with its tally, as it is written.
    pub fn lines(&self) -> anyhow::Result<Vec<(String, String)>> {
        let tallies = self.0.iter().enumerate();
        let counted = tallies.filter(|(_, tally)| tally.newest.is_some());
        let line =
            |(drill, tally)| anyhow::Ok((format!("drill-{drill}"), serde_json::to_string(tally)?));
        counted.map(line).collect()
    }
}
