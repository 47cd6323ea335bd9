//! The timeline of a run drawn to scale, as SVG that inherits the page's
//! colours by class.

use std::fmt::Write as _;

use super::{format, words};
use crate::domain::{
    record::{RunRecord, StepRecord},
    timeline::Milestone,
};

const LEFT: f64 = 130.0;
const WIDTH: f64 = 960.0;
/// Room for a bar's duration at the right edge.
const RIGHT: f64 = 80.0;
const LANE: f64 = 17.0;
const ROW: f64 = 26.0;
/// About the width of one character of a label.
const GLYPH: f64 = 6.7;

/// From microseconds to where they are drawn.
#[derive(Clone, Copy)]
struct Scale {
    end_us: u64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a pixel is coarser")]
    fn x(self, us: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (us as f64 / self.end_us as f64)
    }
}

/// The drawing; empty where nothing was timed.
#[must_use]
pub fn draw(record: &RunRecord) -> String {
    let ends = record
        .steps
        .iter()
        .map(|s| s.offset_us + s.elapsed_us.unwrap_or(0));
    let marks = record.timeline.in_order();
    let end_us = ends.chain(marks.iter().map(|(_, r)| r.offset_us)).max();
    let Some(end_us) = end_us.filter(|end| *end > 0) else {
        return String::new();
    };
    let end_us = room_for_open(record, end_us);
    let scale = Scale { end_us };
    let (labels, lanes) = labels(record, scale);
    let top = LANE * f64::from(lanes) + 8.0;
    let rows = f64::from(u16::try_from(record.steps.len()).unwrap_or(u16::MAX));
    let bottom = top + ROW * rows + 8.0;
    let mut body = recovery(record, scale, top, bottom);
    body.push_str(&ticks(&labels, top, bottom));
    let mut y = top + 4.0;
    for step in &record.steps {
        body.push_str(&row(record, step, scale, y));
        y += ROW;
    }
    frame(&body, &axis(end_us, scale, bottom), bottom + 50.0)
}

fn frame(body: &str, axis: &str, height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"tl-title tl-desc\">\
         <title id=\"tl-title\">Timeline of the run, to scale</title>\
         <desc id=\"tl-desc\">Bars are steps, ticks are milestones; the shaded part is the recovery \
         time from declared to serving. The same figures stand in the table below.</desc>\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect class=\"hatch-ground\" width=\"6\" height=\"6\"/>\
         <line class=\"hatch-line\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\"/></pattern></defs>\
         {body}{axis}</svg>"
    )
}

/// Room for the bars of steps that did not end: how long they went on is not
/// known, for the clock died with the process.
fn room_for_open(record: &RunRecord, end_us: u64) -> u64 {
    let open = record.steps.iter().any(|step| step.elapsed_us.is_none());
    if open { end_us + end_us / 6 } else { end_us }
}

/// The counted interval in microseconds.
fn counted(record: &RunRecord) -> Option<(u64, u64)> {
    let from = record.timeline.get(Milestone::Declared)?;
    let to = record.timeline.get(Milestone::Serving)?;
    (from.offset_us <= to.offset_us).then_some((from.offset_us, to.offset_us))
}

fn recovery(record: &RunRecord, scale: Scale, top: f64, bottom: f64) -> String {
    let Some((from, to)) = counted(record) else {
        return String::new();
    };
    let (x, end) = (scale.x(from), scale.x(to));
    let (width, middle) = ((end - x).max(1.0), f64::midpoint(x, end));
    let text = format!("recovery time {}", format::duration_us(to - from));
    let half = text_width(&text) / 2.0;
    let middle = middle.clamp(LEFT + half, WIDTH - half);
    let (height, text_y) = (bottom - top, bottom + 38.0);
    format!(
        "<rect class=\"rto\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\
         <path class=\"rto-edge\" d=\"M{x:.1} {top:.1}V{bottom:.1}M{end:.1} {top:.1}V{bottom:.1}\"/>\
         <text class=\"rto-label\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{text_y:.1}\">{text}</text>"
    )
}

/// A milestone's name where it is drawn.
struct Label {
    tick: f64,
    text_x: f64,
    lane: u16,
    text: &'static str,
}

#[expect(clippy::cast_precision_loss, reason = "labels are short")]
fn text_width(text: &str) -> f64 {
    text.len() as f64 * GLYPH
}

/// Each label goes into the lowest lane in which it overlaps no other.
fn labels(record: &RunRecord, scale: Scale) -> (Vec<Label>, u16) {
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut labels = Vec::new();
    for (milestone, reached) in record.timeline.in_order() {
        let text = words::milestone(milestone);
        let (tick, width) = (scale.x(reached.offset_us), text_width(text));
        let from = (tick - 3.0).min(WIDTH - width).max(0.0);
        let to = from + width + 8.0;
        let free = |lane: &Vec<(f64, f64)>| lane.iter().all(|(a, b)| to < *a || from > *b);
        let lane = taken.iter().position(free).unwrap_or_else(|| {
            taken.push(Vec::new());
            taken.len() - 1
        });
        taken[lane].push((from, to));
        let lane = u16::try_from(lane).unwrap_or(u16::MAX);
        labels.push(Label {
            tick,
            text_x: from,
            lane,
            text,
        });
    }
    (labels, u16::try_from(taken.len()).unwrap_or(u16::MAX))
}

fn ticks(labels: &[Label], top: f64, bottom: f64) -> String {
    let mut lines = String::new();
    let mut texts = String::new();
    for label in labels {
        let Label { tick, text_x, .. } = label;
        let y = top - 8.0 - f64::from(label.lane) * LANE;
        let from = y + 3.0;
        let text = label.text;
        let _ = write!(
            lines,
            "<path class=\"tick\" d=\"M{tick:.1} {from:.1}V{bottom:.1}\"/>"
        );
        let _ = write!(
            texts,
            "<text class=\"mark\" x=\"{text_x:.1}\" y=\"{y:.1}\">{text}</text>"
        );
    }
    lines + &texts
}

fn row(record: &RunRecord, step: &StepRecord, scale: Scale, y: f64) -> String {
    let end = step
        .elapsed_us
        .map_or(scale.end_us, |us| step.offset_us + us);
    let (from, to) = counted(record).unwrap_or((0, 0));
    let inside = (step.offset_us.clamp(from, to), end.clamp(from, to));
    let bar = |class: &str, a: u64, b: u64| {
        let (x, width) = (scale.x(a), (scale.x(b) - scale.x(a)).max(1.5));
        format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>"
        )
    };
    let text_y = y + 13.0;
    let mut out = format!(
        "<text class=\"step\" x=\"0\" y=\"{text_y:.1}\">{}</text>",
        words::step(step.step)
    );
    let whole = if step.elapsed_us.is_some() {
        "aside"
    } else {
        "open"
    };
    out.push_str(&bar(whole, step.offset_us, end));
    if inside.1 > inside.0 {
        out.push_str(&bar("counted", inside.0, inside.1));
    }
    let took = step
        .elapsed_us
        .map_or("not done".to_owned(), format::duration_us);
    let x = (scale.x(end) + 6.0).min(WIDTH - text_width(&took));
    let _ = write!(
        out,
        "<text class=\"took\" x=\"{x:.1}\" y=\"{text_y:.1}\">{took}</text>"
    );
    out
}

fn axis(end_us: u64, scale: Scale, y: f64) -> String {
    let (x1, x2) = (scale.x(0), scale.x(end_us));
    let mut out = format!("<path class=\"axis\" d=\"M{x1:.1} {y:.1}H{x2:.1}\"/>");
    for part in 0..=4u64 {
        let us = end_us / 4 * part;
        let (x, text_y) = (scale.x(us), y + 18.0);
        let text = format::duration_us(us);
        let tick_end = y + 4.0;
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{x:.1} {y:.1}V{tick_end:.1}\"/>\
             <text class=\"scale\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{text_y:.1}\">{text}</text>"
        );
    }
    out
}
