//! How the page is written: one metric after the other, so that of many drills
//! no more than one metric is in memory at once.

use std::collections::BTreeMap;

use prometheus::{Encoder as _, Gauge, Registry, TextEncoder, proto};

use super::{
    board::Scene,
    meters::Meters,
    names::{self, Kind, Metric},
    series::{OF_DRILLS, Row, Tell, size, time},
    spread::told,
};

/// What is told, as of one moment.
pub struct Page {
    /// What this process tells of itself.
    process: Vec<u8>,
    pub(super) rows: Vec<Row>,
    pub(super) leaks: BTreeMap<String, usize>,
}

impl Page {
    /// With nothing of drills yet.
    pub(super) fn of_process(scene: &Scene, meters: &Meters) -> prometheus::Result<Self> {
        let registry = Registry::new();
        meters.register(&registry)?;
        let mut alone = vec![
            (names::DRILLS, size(scene.drills.len())),
            (names::BROKEN, size(scene.broken)),
            (names::RUNNING, size(scene.running)),
            (names::WAITING, size(scene.waiting)),
        ];
        if let Some(sweep) = &scene.sweep {
            alone.extend([
                (names::SWEPT, time(sweep.at)),
                (names::SWEEP_LEAKS, size(sweep.leaks)),
                (names::SWEEP_UNSEEN, size(sweep.unseen)),
            ]);
        }
        for (metric, value) in alone {
            let gauge = Gauge::new(metric.name, metric.help)?;
            gauge.set(value);
            registry.register(Box::new(gauge))?;
        }
        let mut version = Told::new(names::INFO);
        version.of(&[env!("CARGO_PKG_VERSION")], 1.0);
        let mut families = registry.gather();
        families.push(version.family());
        Ok(Self {
            process: text(&families)?,
            rows: Vec::new(),
            leaks: BTreeMap::new(),
        })
    }

    /// Its parts, one after the other, in Prometheus' text format; `None` after
    /// the last.
    #[must_use]
    pub fn part(&self, number: usize) -> Option<prometheus::Result<Vec<u8>>> {
        let told = match number {
            0 => return Some(Ok(self.process.clone())),
            1 => {
                let mut told = Told::new(names::LEAKED);
                for (drill, left) in &self.leaks {
                    told.of(&[drill], size(*left));
                }
                told
            }
            more => {
                let series = OF_DRILLS.get(more - 2)?;
                let mut told = Told::new(series.metric);
                for row in &self.rows {
                    told.add(row, series.tell);
                }
                told
            }
        };
        if told.samples.is_empty() {
            return Some(Ok(Vec::new()));
        }
        Some(text(&[told.family()]))
    }
}

/// What is told of one metric.
struct Told {
    metric: Metric,
    samples: Vec<proto::Metric>,
}

impl Told {
    fn new(metric: Metric) -> Self {
        Self {
            metric,
            samples: Vec::new(),
        }
    }

    /// What there is to tell of a drill.
    fn add(&mut self, row: &Row, tell: Tell) {
        let drill = row.kept.drill.name.as_str();
        match tell {
            Tell::One(value) => {
                if let Some(value) = value(row) {
                    self.of(&[drill], value);
                }
            }
            Tell::Several(values) => {
                for (label, value) in values(row) {
                    self.of(&[drill, label], value);
                }
            }
            Tell::Spread(spread) => {
                if let Some(tally) = row.whole() {
                    let mut sample = self.labelled(&[drill]);
                    sample.set_histogram(told(spread(tally)));
                    self.samples.push(sample);
                }
            }
        }
    }

    fn of(&mut self, labels: &[&str], value: f64) {
        let mut sample = self.labelled(labels);
        if self.metric.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.samples.push(sample);
    }

    fn labelled(&self, values: &[&str]) -> proto::Metric {
        let names = self.metric.labels.iter();
        let pairs = names.zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        proto::Metric::from_label(pairs.collect())
    }

    fn family(self) -> proto::MetricFamily {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.metric.name.to_owned());
        family.set_help(self.metric.help.to_owned());
        family.set_field_type(match self.metric.kind {
            Kind::Gauge => proto::MetricType::GAUGE,
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Histogram => proto::MetricType::HISTOGRAM,
        });
        family.set_metric(self.samples);
        family
    }
}

fn text(families: &[proto::MetricFamily]) -> prometheus::Result<Vec<u8>> {
    let mut text = Vec::new();
    TextEncoder::new().encode(families, &mut text)?;
    Ok(text)
}
