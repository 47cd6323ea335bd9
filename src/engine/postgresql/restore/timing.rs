//! What a load spends its time on, heard from what `pg_restore --verbose`
//! says while it works.
//!
//! With several jobs it tells when an entry of the table of contents is
//! launched and when it is finished. Before that, and all along with one job,
//! it tells only what it turns to: an entry lasts until the next one is told.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    domain::{objective::millis, record::Phase},
    engine::postgresql::archive::header::{Entry, Header},
};

/// Tables that are told; the rest of them is of no interest.
const TOLD: usize = 8;

/// From this share of the load on, in percent, a table is what limits it.
const LIMITING: u128 = 60;

/// When an entry began and ended, on the run's monotonic clock.
type Span = (Duration, Duration);

/// What has been heard so far.
pub(super) struct Timing<'a> {
    entries: BTreeMap<i64, &'a Entry>,
    /// By what is told of an entry without its id.
    labels: BTreeMap<String, i64>,
    begun: BTreeMap<i64, Duration>,
    spans: BTreeMap<i64, Span>,
    /// What goes on where one thing is done after the other.
    current: Option<i64>,
}

/// The time that a table took in all.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chain {
    rows: Duration,
    /// Its indexes, constraints and whatever else is made on it.
    rest: Duration,
    /// From its first moment to its last, less pauses.
    whole: Duration,
}

impl<'a> Timing<'a> {
    pub(super) fn of(header: &'a Header) -> Self {
        let labels = header.entries.iter();
        Self {
            entries: header
                .entries
                .iter()
                .map(|entry| (entry.id, entry))
                .collect(),
            labels: labels.map(|entry| (label(entry), entry.id)).collect(),
            begun: BTreeMap::new(),
            spans: BTreeMap::new(),
            current: None,
        }
    }

    /// Takes in a line, without the name of the program in front.
    pub(super) fn hear(&mut self, line: &str, now: Duration) {
        if let Some(rest) = line.strip_prefix("launching item ") {
            if let Some(id) = number(rest) {
                self.begun.insert(id, now);
            }
        } else if let Some(rest) = line.strip_prefix("finished item ") {
            if let Some((id, begun)) = number(rest).and_then(|id| self.begun.remove_entry(&id)) {
                self.spans.insert(id, (begun, now));
            }
        } else if line.starts_with("entering main parallel loop") {
            self.turn_to(None, now);
        } else if self.begun.is_empty()
            && let Some(label) = told_label(line)
            && let Some(&id) = self.labels.get(&label)
        {
            self.turn_to(Some(id), now);
        }
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self, now: Duration) {
        self.turn_to(None, now);
    }

    /// How many entries are done, of how many.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.spans.len() as u64, self.entries.len() as u64)
    }

    /// What is being done, if anything is.
    pub(super) fn doing(&self) -> Option<String> {
        let id = self.current.or_else(|| self.begun.keys().next().copied())?;
        self.entries.get(&id).map(|entry| label(entry))
    }

    fn turn_to(&mut self, next: Option<i64>, now: Duration) {
        if let Some((id, begun)) = self.current.and_then(|id| self.begun_serially(id)) {
            self.spans.insert(id, (begun, now));
        }
        self.current = next;
        if let Some(id) = next {
            self.spans.insert(id, (now, now));
        }
    }

    fn begun_serially(&self, id: i64) -> Option<(i64, Duration)> {
        self.spans.get(&id).map(|(begun, _)| (id, *begun))
    }

    /// Longest first: the tables with all that is made on them.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let mut chains: Vec<_> = self.chains().into_iter().collect();
        chains.sort_by_key(|(_, chain)| std::cmp::Reverse(chain.whole));
        let told = chains.into_iter().take(TOLD);
        told.map(|(name, chain)| Phase {
            name,
            elapsed_ms: millis(chain.whole),
        })
        .collect()
    }

    /// Says so if one table took most of a load that had several jobs.
    pub(super) fn advice(&self, whole: Duration) -> Option<String> {
        let chains = self.chains();
        let (name, chain) = chains.iter().max_by_key(|(_, chain)| chain.whole)?;
        let percent = chain.whole.as_millis() * 100 / whole.as_millis().max(1);
        (percent >= LIMITING && chains.len() > 1).then(|| {
            format!(
                "{name} took {percent} % of the load (rows {:.1} s, indexes and constraints {:.1} s): \
                 more jobs will not make it faster",
                chain.rows.as_secs_f64(),
                chain.rest.as_secs_f64()
            )
        })
    }

    fn chains(&self) -> BTreeMap<String, Chain> {
        let mut spans: BTreeMap<i64, Vec<Span>> = BTreeMap::new();
        let mut chains: BTreeMap<i64, Chain> = BTreeMap::new();
        for (id, span) in &self.spans {
            let Some(table) = self.entries.get(id).and_then(|entry| self.table_of(entry)) else {
                continue;
            };
            spans.entry(table).or_default().push(*span);
            let chain = chains.entry(table).or_default();
            if self
                .entries
                .get(id)
                .is_some_and(|entry| entry.kind == "TABLE DATA")
            {
                chain.rows += span.1.saturating_sub(span.0);
            } else {
                chain.rest += span.1.saturating_sub(span.0);
            }
        }
        let named = chains.into_iter().map(|(table, mut chain)| {
            chain.whole = covered(spans.remove(&table).unwrap_or_default());
            (
                self.entries
                    .get(&table)
                    .map_or_else(String::new, |entry| qualified(entry)),
                chain,
            )
        });
        named.collect()
    }

    /// The table that an entry is made on.
    fn table_of(&self, entry: &Entry) -> Option<i64> {
        if !matches!(
            entry.kind.as_str(),
            "TABLE DATA" | "INDEX" | "CONSTRAINT" | "FK CONSTRAINT" | "TRIGGER" | "STATISTICS DATA"
        ) {
            return None;
        }
        let holds = |id: &&i64| {
            let kind = self.entries.get(*id).map(|entry| entry.kind.as_str());
            matches!(kind, Some("TABLE" | "MATERIALIZED VIEW"))
        };
        entry.depends_on.iter().find(holds).copied()
    }
}

/// The time that the spans cover together.
fn covered(mut spans: Vec<Span>) -> Duration {
    spans.sort();
    let mut whole = Duration::ZERO;
    let mut upto = Duration::ZERO;
    for (begun, ended) in spans {
        whole += ended.saturating_sub(begun.max(upto));
        upto = upto.max(ended);
    }
    whole
}

fn number(text: &str) -> Option<i64> {
    text.split(' ').next()?.parse().ok()
}

fn qualified(entry: &Entry) -> String {
    match &entry.schema {
        Some(schema) => format!("{schema}.{}", entry.tag),
        None => entry.tag.clone(),
    }
}

fn label(entry: &Entry) -> String {
    format!("{} {}", entry.kind, qualified(entry))
}

/// Of `creating INDEX "public.orders_ts_idx"` the label of the entry.
fn told_label(line: &str) -> Option<String> {
    let (kind, rest) = if let Some(rest) = line.strip_prefix("processing data for table ") {
        ("TABLE DATA", rest)
    } else {
        let rest = line.strip_prefix("creating ")?;
        let kind = rest.split(" \"").next()?;
        (kind, &rest[kind.len() + 1..])
    };
    let name = rest.strip_prefix('"')?.strip_suffix('"')?;
    Some(format!("{kind} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let entry = |id, kind: &str, tag: &str, depends_on: &[i64]| Entry {
            id,
            kind: kind.to_owned(),
            schema: Some("public".to_owned()),
            tag: tag.to_owned(),
            depends_on: depends_on.to_vec(),
            ..Entry::default()
        };
        Header {
            entries: vec![
                entry(1, "TABLE", "big", &[]),
                entry(2, "TABLE", "small", &[]),
                entry(3, "TABLE DATA", "big", &[1]),
                entry(4, "TABLE DATA", "small", &[2]),
                entry(5, "CONSTRAINT", "big big_pkey", &[1]),
                entry(6, "INDEX", "big_idx", &[1, 5]),
            ],
            ..Header::default()
        }
    }

    fn heard(lines: &[(&str, u64)]) -> (Vec<(String, u64)>, Option<String>) {
        let header = header();
        let mut timing = Timing::of(&header);
        for (line, at) in lines {
            timing.hear(line, Duration::from_millis(*at));
        }
        let last = Duration::from_millis(lines.last().map_or(0, |(_, at)| *at));
        timing.end(last);
        let phases = timing.phases().into_iter();
        let phases = phases.map(|phase| (phase.name, phase.elapsed_ms)).collect();
        (phases, timing.advice(last))
    }

    #[test]
    fn side_by_side_a_table_is_charged_with_all_that_is_made_on_it() {
        let (phases, advice) = heard(&[
            ("creating TABLE \"public.big\"", 0),
            ("entering main parallel loop", 10),
            ("launching item 3 TABLE DATA big", 10),
            ("launching item 4 TABLE DATA small", 10),
            ("processing data for table \"public.small\"", 12),
            ("finished item 4 TABLE DATA small", 40),
            ("finished item 3 TABLE DATA big", 610),
            ("launching item 5 CONSTRAINT big big_pkey", 610),
            ("launching item 6 INDEX big_idx", 700),
            ("finished item 5 CONSTRAINT big big_pkey", 810),
            ("finished item 6 INDEX big_idx", 1000),
        ]);
        // Not 1190: what overlaps counts once.
        assert_eq!(
            phases,
            [
                ("public.big".to_owned(), 990),
                ("public.small".to_owned(), 30)
            ]
        );
        let advice = advice.unwrap();
        assert!(
            advice.starts_with(
                "public.big took 99 % of the load (rows 0.6 s, indexes and constraints 0.5 s)"
            ),
            "{advice}"
        );
    }

    #[test]
    fn one_after_the_other_an_entry_lasts_until_the_next() {
        let (phases, _) = heard(&[
            ("creating TABLE \"public.big\"", 0),
            ("processing data for table \"public.big\"", 10),
            ("processing data for table \"public.small\"", 210),
            ("creating CONSTRAINT \"public.big big_pkey\"", 260),
            ("creating INDEX \"public.big_idx\"", 300),
            ("creating VIEW \"public.other\"", 400),
            ("done", 420),
        ]);
        // What is not in the table of contents is not told apart.
        assert_eq!(
            phases,
            [
                ("public.big".to_owned(), 360),
                ("public.small".to_owned(), 50)
            ]
        );
    }
}
