//! What is said of a run.

use serde_json::{Value, json};

use super::{
    Occasion,
    said::{Said, harmless},
};
use crate::domain::{check::Outcome, objective::Measured, record::RunRecord, verdict::Verdict};

/// The `schema` of what a webhook gets.
pub const NOTICE_SCHEMA: &str = "lifeboat.dev/notice/v1";

/// What is said where a target does not say it otherwise.
const USUAL: &str = "drill {drill}: {verdict}{before}. {reasons}";

/// A run's end, and why it is told.
pub struct Message<'a> {
    pub occasion: Occasion,
    pub record: &'a RunRecord,
    /// The verdict of the run before.
    pub before: Option<Verdict>,
}

impl Message<'_> {
    /// What a target is told, in its own words or the usual ones.
    #[must_use]
    pub fn said(&self, template: Option<&str>) -> Said {
        Said {
            about: self.record.id.to_string(),
            json: self.json(template),
            slack: self.slack(template),
        }
    }

    /// What is said, by the target's own words or the usual ones.
    #[must_use]
    pub fn text(&self, template: Option<&str>) -> String {
        self.text_with(template, |word| word)
    }

    /// The same for Slack, where some signs make links and mentions: what is put
    /// in makes none.
    fn slack(&self, template: Option<&str>) -> String {
        self.text_with(template, |word| harmless(&word))
    }

    fn text_with(&self, template: Option<&str>, plain: impl Fn(String) -> String) -> String {
        let record = self.record;
        let reasons = match record.reasons.as_slice() {
            [] => "nothing was wrong".to_owned(),
            reasons => reasons.join("; "),
        };
        let before = self.before.filter(|before| Some(*before) != record.verdict);
        let before = before.map_or(String::new(), |before| format!(" (was {})", before.name()));
        let verdict = record.verdict.map_or("none", Verdict::name);
        let time = |of: &Measured| of.measured_ms.map_or("none".to_owned(), seconds);
        let words = [
            ("{drill}", record.drill.clone()),
            ("{verdict}", verdict.to_owned()),
            ("{before}", before),
            ("{reasons}", reasons),
            ("{run}", record.id.to_string()),
            ("{engine}", record.engine.clone()),
            ("{proof}", record.proof.name().to_owned()),
            ("{workload}", workload(record)),
            ("{checks}", failed_checks(record)),
            ("{rto}", time(&record.rto)),
            ("{rpo}", time(&record.rpo.objective)),
        ];
        let words = words.map(|(name, word)| (name, plain(word)));
        put_in(template.unwrap_or(USUAL), &words)
    }

    /// What a webhook gets.
    fn json(&self, template: Option<&str>) -> Value {
        let record = self.record;
        json!({
            "schema": NOTICE_SCHEMA,
            "occasion": self.occasion,
            "drill": record.drill,
            "run": record.id,
            "verdict": record.verdict,
            "previous_verdict": self.before,
            "text": self.text(template),
            "reasons": record.reasons,
            "proof": record.proof,
            "rto": record.rto,
            "rpo": record.rpo.objective,
            "requested_at": record.requested_at,
            "finished_at": record.finished_at,
        })
    }
}

/// Where it is in a cluster, or that it is in none.
fn workload(record: &RunRecord) -> String {
    let workload = record.workload.as_ref();
    workload.map_or("none".to_owned(), |of| {
        format!("{}/{}", of.namespace, of.stateful_set)
    })
}

/// The names of those that failed.
fn failed_checks(record: &RunRecord) -> String {
    let checks = record.checks.iter();
    let failed = checks.filter(|check| check.outcome == Outcome::Fail);
    let names: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

/// Puts words in, in one pass: what is put in is not looked at again.
fn put_in(template: &str, words: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let word = words.iter().find(|(name, _)| rest.starts_with(name));
        let (taken, given) = word.map_or((1, "{"), |(name, word)| (name.len(), word));
        text.push_str(given);
        rest = &rest[taken..];
    }
    text + rest
}

fn seconds(millis: u64) -> String {
    format!("{}.{:01} s", millis / 1000, millis % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{
        check::{CheckKind, CheckResult},
        ids::RunId,
        resource::{ClusterRef, WorkloadRef},
    };

    #[test]
    fn what_is_put_in_makes_no_mention() {
        let at = Timestamp::UNIX_EPOCH;
        let mut record = RunRecord::requested(RunId::new(at), "shop", "sqlite", at);
        record.verdict = Some(Verdict::Failed);
        record.reasons = vec!["<!channel> & more".to_owned()];
        let message = Message {
            occasion: Occasion::Failure,
            record: &record,
            before: None,
        };
        let said = message.slack(Some("<!here> {reasons}"));
        assert_eq!(said, "<!here> &lt;!channel&gt; &amp; more");
    }

    #[test]
    fn words_are_put_in_once() {
        let at = Timestamp::UNIX_EPOCH;
        let mut record = RunRecord::requested(RunId::new(at), "shop", "sqlite", at);
        record.verdict = Some(Verdict::Failed);
        record.reasons = vec!["{drill} is no word here".to_owned()];
        record.rto.measured_ms = Some(12_345);
        let message = Message {
            occasion: Occasion::Change,
            record: &record,
            before: Some(Verdict::Passed),
        };
        assert_eq!(
            message.text(None),
            "drill shop: failed (was passed). {drill} is no word here"
        );
        assert_eq!(
            message.text(Some("{{verdict}} in {rto}, {rpo}, {other")),
            "{failed} in 12.3 s, none, {other"
        );
        let more = Some("{engine}, {proof}, {workload}, {checks}");
        assert_eq!(message.text(more), "sqlite, none, none, none");
        record.workload = Some(WorkloadRef {
            cluster: ClusterRef::default(),
            namespace: "shop".to_owned(),
            stateful_set: "db".to_owned(),
        });
        record.checks = ["rows", "schema", "index"]
            .map(|name| CheckResult {
                name: name.to_owned(),
                kind: CheckKind::Schema,
                outcome: match name {
                    "schema" => Outcome::Pass,
                    _ => Outcome::Fail,
                },
                summary: String::new(),
                findings: Vec::new(),
                elapsed_ms: 0,
            })
            .to_vec();
        let message = Message {
            occasion: Occasion::Change,
            record: &record,
            before: None,
        };
        assert_eq!(message.text(more), "sqlite, none, shop/db, rows, index");
    }
}
