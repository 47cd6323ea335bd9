//! Rounds of contenders, and what comes out of them.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    Options, abort, machine,
    meter::{self, Cpu, Sample},
    stats::Spread,
};

/// How much of the machine others may take before a round is not counted.
const MOST_OTHERS: f64 = 0.1;
/// How long the machine is looked at before a round.
const LOOK: Duration = Duration::from_millis(300);

type Work<'a> = Box<dyn FnMut() -> anyhow::Result<()> + 'a>;

/// One way to do the work.
pub struct Contender<'a> {
    label: String,
    ours: bool,
    work: Work<'a>,
    after: Work<'a>,
}

impl<'a> Contender<'a> {
    /// Lifeboat's way.
    pub fn ours(label: &str, work: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        Self {
            label: label.to_owned(),
            ours: true,
            work: Box::new(work),
            after: Box::new(|| Ok(())),
        }
    }

    /// What a user would do instead, or a floor.
    pub fn baseline(label: &str, work: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        Self {
            ours: false,
            ..Self::ours(label, work)
        }
    }

    /// What to do after each run, unmeasured.
    #[must_use]
    pub fn after(mut self, work: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        self.after = Box::new(work);
        self
    }
}

/// The figures of one case.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub workload: String,
    pub case: String,
    /// The share of the machine that was not ours meanwhile.
    pub others: f64,
    /// How many rounds were not counted, as others were too busy.
    pub repeated: usize,
    pub series: Vec<Series>,
    pub ratios: Vec<Ratio>,
}

/// The figures of one contender.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    pub label: String,
    pub ours: bool,
    pub wall_s: Spread,
    pub cpu_s: Spread,
    pub samples: Vec<Sample>,
}

/// One contender against another.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    pub of: String,
    pub to: String,
    /// Of the medians.
    pub wall: f64,
    pub cpu: f64,
    /// Of the rounds, each for itself.
    pub pairwise: Spread,
    /// By how many seconds the first is slower, round by round.
    pub difference_s: Spread,
}

impl Comparison {
    /// The ratio of two contenders.
    pub fn ratio(&self, of: &str, to: &str) -> Ratio {
        let (one, other) = (self.series(of), self.series(to));
        ratio(one, other)
    }

    /// The median wall time of a contender, in seconds.
    pub fn median(&self, label: &str) -> f64 {
        self.series(label).wall_s.median
    }

    fn series(&self, label: &str) -> &Series {
        let mut all = self.series.iter();
        all.find(|series| series.label == label).unwrap()
    }
}

/// What rounds are made with.
pub(super) struct Rounds<'a> {
    pub options: &'a Options,
    pub postmasters: &'a [i32],
    /// What is left of it.
    pub patience: &'a mut Duration,
}

impl Rounds<'_> {
    pub(super) fn run(
        mut self,
        workload: &str,
        case: &str,
        mut contenders: Vec<Contender<'_>>,
    ) -> anyhow::Result<Comparison> {
        if !self.options.smoke {
            self.round(&mut contenders)?;
        }
        let mut rounds = Vec::new();
        let mut others = Vec::new();
        let mut repeated = 0;
        while rounds.len() < self.options.runs {
            self.await_quiet()?;
            let round = self.round(&mut contenders)?;
            if round.others > MOST_OTHERS && !self.patience.is_zero() {
                *self.patience = self.patience.saturating_sub(round.took);
                repeated += 1;
                continue;
            }
            others.push(round.others);
            rounds.push(round.samples);
        }
        let series: Vec<Series> = contenders
            .iter()
            .enumerate()
            .map(|(at, contender)| series(contender, rounds.iter().map(|round| round[at])))
            .collect();
        Ok(Comparison {
            workload: workload.to_owned(),
            case: case.to_owned(),
            others: Spread::of(others).median,
            repeated,
            ratios: ratios(&series),
            series,
        })
    }

    /// Runs each contender once.
    fn round(&self, contenders: &mut [Contender<'_>]) -> anyhow::Result<Round> {
        let begun = Instant::now();
        let busy = meter::machine_busy()?;
        let own = Cpu::now(self.postmasters)?.0;
        let mut samples = Vec::new();
        for contender in contenders {
            if abort::is_stopped() {
                anyhow::bail!("stopped on request");
            }
            let work = &mut contender.work;
            samples.push(meter::measure(self.postmasters, work)?);
            (contender.after)()?;
        }
        let took = begun.elapsed();
        let own = Cpu::now(self.postmasters)?.0.saturating_sub(own);
        let busy = meter::machine_busy()?.saturating_sub(busy);
        Ok(Round {
            samples,
            others: machine::share(busy.saturating_sub(own), took),
            took,
        })
    }

    /// Waits until others are quiet, as long as there is patience.
    fn await_quiet(&mut self) -> anyhow::Result<()> {
        while !self.patience.is_zero() && !abort::is_stopped() {
            let busy = meter::machine_busy()?;
            std::thread::sleep(LOOK);
            let busy = meter::machine_busy()?.saturating_sub(busy);
            if machine::share(busy, LOOK) <= MOST_OTHERS {
                break;
            }
            *self.patience = self.patience.saturating_sub(LOOK);
        }
        Ok(())
    }
}

struct Round {
    samples: Vec<Sample>,
    others: f64,
    took: Duration,
}

fn series(contender: &Contender<'_>, samples: impl Iterator<Item = Sample>) -> Series {
    let samples: Vec<Sample> = samples.collect();
    Series {
        label: contender.label.clone(),
        ours: contender.ours,
        wall_s: Spread::of(samples.iter().map(|sample| sample.wall_s)),
        cpu_s: Spread::of(samples.iter().map(|sample| sample.cpu_s)),
        samples,
    }
}

/// Each of ours against each baseline.
fn ratios(series: &[Series]) -> Vec<Ratio> {
    let ours = series.iter().filter(|series| series.ours);
    ours.flat_map(|one| {
        let baselines = series.iter().filter(|series| !series.ours);
        baselines.map(|other| ratio(one, other))
    })
    .collect()
}

fn ratio(one: &Series, other: &Series) -> Ratio {
    let pairs = || one.samples.iter().zip(&other.samples);
    Ratio {
        of: one.label.clone(),
        to: other.label.clone(),
        wall: one.wall_s.median / other.wall_s.median,
        cpu: one.cpu_s.median / other.cpu_s.median,
        pairwise: Spread::of(pairs().map(|(a, b)| a.wall_s / b.wall_s)),
        difference_s: Spread::of(pairs().map(|(a, b)| a.wall_s - b.wall_s)),
    }
}
