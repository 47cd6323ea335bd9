//! A digest in words.

use jiff::Timestamp;

use super::{Digest, Failed, Longest, MissedTarget, Runs};
use crate::{history::Period, schedule::Zone};

/// So many of a kind are told; of more, how many there are.
const MOST_TOLD: usize = 20;

/// A reason is cut off here: the run's own page has all of it.
const LONGEST_REASON: usize = 300;

/// Says what is in a digest.
pub(super) struct Words<'a> {
    pub(super) digest: &'a Digest,
}

impl Words<'_> {
    /// A few lines, of which those with nothing to say are left out.
    pub(super) fn text(&self, period: Period, zone: &Zone) -> String {
        let reading = |at: Timestamp| {
            let at = at.to_zoned(zone.rules().clone());
            at.strftime("%Y-%m-%d %H:%M").to_string()
        };
        let (since, until) = (reading(period.since), reading(period.until));
        let ended = ended(self.digest.runs);
        let mut lines = vec![format!("Drills from {since} to {until} {zone}: {ended}.")];
        lines.extend(self.changed());
        lines.extend(told(&self.digest.failed, failed));
        lines.extend(self.without_run());
        lines.extend(self.longest());
        lines.extend(self.missed_targets());
        lines.join("\n")
    }

    fn changed(&self) -> Option<String> {
        let changed = told(&self.digest.changed, |changed| {
            let (from, to) = (changed.from.name(), changed.to.name());
            format!("{} {to} (was {from})", changed.drill)
        });
        line("Changed", &changed)
    }

    fn without_run(&self) -> Option<String> {
        let passed = self.digest.without_run.iter();
        let passed: Vec<_> = passed
            .map(|(reason, times)| format!("{times} {reason}"))
            .collect();
        line("Fire times without a run", &passed)
    }

    fn longest(&self) -> Option<String> {
        let one = |name: &str, longest: &Option<Longest>| {
            let Longest {
                drill, measured_ms, ..
            } = longest.as_ref()?;
            Some(format!("{name} {} ({drill})", time(*measured_ms)))
        };
        let Digest {
            longest_rto,
            longest_rpo,
            ..
        } = self.digest;
        let both = [one("RTO", longest_rto), one("RPO", longest_rpo)];
        line("Longest", &both.into_iter().flatten().collect::<Vec<_>>())
    }

    fn missed_targets(&self) -> Option<String> {
        line(
            "Missed targets",
            &told(&self.digest.missed_targets, missed_target),
        )
    }
}

fn ended(runs: Runs) -> String {
    let Runs {
        passed,
        failed,
        inconclusive,
    } = runs;
    let all = match passed + failed + inconclusive {
        0 => return "no run ended".to_owned(),
        1 => "1 run ended".to_owned(),
        all => format!("{all} runs ended"),
    };
    format!("{all}, {passed} passed, {failed} failed, {inconclusive} inconclusive")
}

fn failed(failed: &Failed) -> String {
    let reason = failed.reason.as_deref().unwrap_or("no reason is known");
    let mut cut: String = reason.chars().take(LONGEST_REASON).collect();
    if cut.len() < reason.len() {
        cut.push('…');
    }
    let times = match failed.runs {
        1 => String::new(),
        runs => format!(" (the newest of {runs})"),
    };
    format!("{} {}{times}: {cut}", failed.drill, failed.verdict.name())
}

fn missed_target(missed: &MissedTarget) -> String {
    let objective = missed.objective.to_uppercase();
    let measured = missed.measured_ms.map_or("never there".to_owned(), time);
    let target = missed.target_ms.map_or("none".to_owned(), time);
    format!("{} {objective} {measured}, target {target}", missed.drill)
}

/// The first of them in words, and how many more there are.
fn told<T>(all: &[T], say: impl Fn(&T) -> String) -> Vec<String> {
    let mut said: Vec<_> = all.iter().take(MOST_TOLD).map(say).collect();
    if let Some(more) = all.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        said.push(format!("and {more} more"));
    }
    said
}

fn line(name: &str, said: &[String]) -> Option<String> {
    (!said.is_empty()).then(|| format!("{name}: {}.", said.join("; ")))
}

/// A time as somebody would say it.
fn time(ms: u64) -> String {
    let (unit, name) = match ms / 1000 {
        0..120 => (1000, "s"),
        120..7200 => (60 * 1000, "min"),
        _ => (60 * 60 * 1000, "h"),
    };
    format!("{}.{} {name}", ms / unit, ms % unit * 10 / unit)
}
