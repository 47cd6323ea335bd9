//! A run as one HTML page that needs nothing else: no script, no network.

use askama::Template;

use super::{
    facts::{self, Headline, Section, Share},
    format, timeline_svg, words,
};
use crate::domain::{
    check::{CheckResult, Finding},
    record::{FailedStep, RunRecord},
};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    record: &'a RunRecord,
    id: String,
    verdict: (&'static str, &'static str),
    requested: String,
    finished: Option<String>,
    progress: String,
    headlines: Vec<Headline>,
    failed: Option<&'a FailedStep>,
    timeline: String,
    milestones: Vec<(&'static str, String, String, String)>,
    checks: Vec<Check<'a>>,
    critical_path: Vec<Share>,
    sections: Vec<Section>,
}

struct Check<'a> {
    result: &'a CheckResult,
    outcome: &'static str,
    class: &'static str,
    /// Where the name does not say it.
    kind: Option<&'static str>,
    elapsed: String,
    findings: Vec<(&'static str, &'a Finding)>,
}

/// The page.
///
/// # Errors
/// Never in practice: writing to a text does not fail.
pub fn run(record: &RunRecord) -> Result<String, askama::Error> {
    let (verdict, tone) = words::verdict(record.verdict);
    let page = Page {
        record,
        id: record.id.to_string(),
        verdict: (verdict, tone.class()),
        requested: format::timestamp(record.requested_at),
        finished: record.finished_at.map(format::timestamp),
        progress: facts::progress(record),
        headlines: facts::headlines(record),
        failed: record.failure.as_ref(),
        timeline: timeline_svg::draw(record),
        milestones: milestones(record),
        checks: record.checks.iter().map(check).collect(),
        critical_path: facts::critical_path(record),
        sections: facts::sections(record),
    };
    page.render()
}

fn milestones(record: &RunRecord) -> Vec<(&'static str, String, String, String)> {
    let row = |(milestone, reached): (_, crate::domain::timeline::Reached)| {
        (
            words::milestone(milestone),
            format!("+{}", format::duration_us(reached.offset_us)),
            format::timestamp(reached.at),
            words::lag(reached),
        )
    };
    record.timeline.in_order().into_iter().map(row).collect()
}

fn check(result: &CheckResult) -> Check<'_> {
    let (outcome, tone) = words::outcome(result.outcome);
    let findings = result.findings.iter();
    let kind = words::check_kind(result.kind);
    Check {
        result,
        outcome,
        class: tone.class(),
        kind: (!result.name.starts_with(kind)).then_some(kind),
        elapsed: format::duration_ms(result.elapsed_ms),
        findings: findings.map(|f| (words::severity(f.severity), f)).collect(),
    }
}
