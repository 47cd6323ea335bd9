//! The figures for people.

use super::{
    compare::{Comparison, Ratio},
    report::{Figure, Goal, Limit, Report},
};

/// Where others take more of the machine, the figures are told to be noisy.
const NOISY: f64 = 0.1;

pub fn head(report: &Report) {
    let machine = &report.machine;
    println!(
        "{} processors ({}), {} MiB, Linux {}",
        machine.processors, machine.processor, machine.memory_mib, machine.kernel
    );
    println!("{}; {}", machine.lifeboat, machine.postgresql);
    println!(
        "{}, load {}, {} counted runs, scale {}",
        report.taken_at, report.load_before, report.runs, report.scale
    );
}

pub fn comparison(comparison: &Comparison) {
    let others = comparison.others * 100.0;
    let noisy = if comparison.others > NOISY {
        ": NOISY"
    } else {
        ""
    };
    println!(
        "\n  {} (others took {others:.0} % of the machine{noisy}; {} rounds not counted)",
        comparison.case, comparison.repeated
    );
    println!(
        "  {:<44} {:>8} {:>8} {:>8} {:>8}",
        "wall and processor seconds", "min", "median", "max", "cpu"
    );
    for series in &comparison.series {
        let wall = series.wall_s;
        println!(
            "  {:<44} {:>8.3} {:>8.3} {:>8.3} {:>8.3}",
            series.label, wall.min, wall.median, wall.max, series.cpu_s.median
        );
    }
    for ratio in &comparison.ratios {
        self::ratio(ratio);
    }
}

fn ratio(ratio: &Ratio) {
    let name = format!("{} / {}", ratio.of, ratio.to);
    let (pairs, difference) = (ratio.pairwise, ratio.difference_s);
    println!(
        "  {name:<60} {:.2} x wall (pairs {:.2} {:.2} {:.2}), {:.2} x cpu, {:+.3} s",
        ratio.wall, pairs.min, pairs.median, pairs.max, ratio.cpu, difference.median
    );
}

pub fn goal(goal: &Goal) {
    let (word, limit) = match goal.limit {
        Limit::AtMost(limit) => ("at most", limit),
        Limit::AtLeast(limit) => ("at least", limit),
    };
    let verdict = if goal.met { "met" } else { "MISSED" };
    println!(
        "  goal {verdict}: {}: {:.3}, {word} {limit}",
        goal.what, goal.measured
    );
}

pub fn figure(figure: &Figure) {
    println!("  {}: {:.2} {}", figure.what, figure.value, figure.unit);
}
