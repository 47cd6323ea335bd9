//! Turns what was read into a [`Drill`], or says why it makes no sense.

mod checks;
mod kubernetes;
mod recovery;
mod schedule;
mod store;
mod workload;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    drill::{Canary, Drill, LocalSandbox, Objectives},
    duration,
    error::{Place, SpecError},
    raw,
    shape::{Reading, shorten},
};
use crate::domain::{ids::DrillName, step::Step};

/// Validates; `None` where an error was added.
pub(super) fn drill(reading: Reading, origin: &Path, errors: &mut Vec<SpecError>) -> Option<Drill> {
    let mut context = Context {
        origin,
        places: reading.places,
        broken: reading.broken,
        errors: Vec::new(),
    };
    let drill = context.drill(reading.file);
    let clean = context.errors.is_empty() && context.broken.is_empty();
    errors.append(&mut context.errors);
    drill.filter(|_| clean)
}

struct Context<'a> {
    origin: &'a Path,
    places: HashMap<String, Place>,
    broken: Vec<String>,
    errors: Vec<SpecError>,
}

impl Context<'_> {
    /// Adds an error, unless it only follows from one that is known.
    fn error(&mut self, field: &str, message: &str, expected: &str, hint: &str) {
        let within = |outer: &str, inner: &str| {
            // The empty path is the document itself.
            outer.is_empty()
                || inner
                    .strip_prefix(outer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let known = |path: &String| within(path, field) || within(field, path);
        if self.broken.iter().any(known) {
            return;
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut error = SpecError::new(self.origin, self.place(field), field, message);
        error.expected = some(expected);
        self.errors.push(error.hint(some(hint)));
    }

    /// Where a field stands, or the nearest field around it that is written.
    fn place(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            let Some(end) = path.rfind(['.', '[']) else {
                return self.places.get("").copied().unwrap_or(Place::START);
            };
            path = &path[..end];
        }
    }

    /// Absolute, as whoever sweeps later may stand elsewhere.
    fn path(&self, text: &str) -> PathBuf {
        let path = self.origin.parent().unwrap_or(Path::new("")).join(text);
        std::path::absolute(&path).unwrap_or(path)
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() {
            self.error(field, "is empty", "", "");
        } else if text.contains('\0') {
            self.error(field, "holds a null byte", "", "");
        }
    }

    fn filled_path(&mut self, field: &str, text: &str) -> PathBuf {
        self.text(field, text);
        self.path(text)
    }

    fn duration(&mut self, field: &str, text: &raw::DurationText) -> Duration {
        let read = duration::parse(&text.0);
        if read.is_none() {
            let message = format!("`{}` is not a duration", shorten(&text.0));
            self.error(field, &message, "a number with a unit, such as 15m", "");
        } else if read == Some(Duration::ZERO) {
            self.error(field, "must be longer than nothing", "", "");
        }
        read.unwrap_or_default()
    }

    fn optional(&mut self, field: &str, text: Option<&raw::DurationText>) -> Option<Duration> {
        text.map(|text| self.duration(field, text))
    }

    fn drill(&mut self, file: raw::DrillFile) -> Option<Drill> {
        let name = match DrillName::try_from(file.metadata.name) {
            Ok(name) => Some(name),
            Err(error) => {
                self.error("metadata.name", &error.to_string(), "", "");
                None
            }
        };
        let spec = file.spec;
        let made = spec.recovery_point.existing.is_none()
            && spec.recovery_point.existing_snapshot.is_none();
        let dumped = made && spec.recovery_point.snapshot.is_none();
        let workload = self.workload(spec.workload);
        let recovery_point = self.recovery_point(spec.recovery_point);
        if let Some(workload) = &workload {
            self.combination(workload, made, dumped);
            if let Some(point) = &recovery_point {
                self.in_kubernetes(workload, point, &spec.sandbox);
            }
        }
        let canary = spec.canary.map(|canary| self.canary(canary));
        let objectives = Objectives {
            rto: self.optional("spec.objectives.rto", spec.objectives.rto.as_ref()),
            rpo: self.optional("spec.objectives.rpo", spec.objectives.rpo.as_ref()),
        };
        let in_kubernetes = workload.as_ref().is_some_and(|w| w.kubernetes().is_some());
        let (sandbox, kubernetes) = match spec.sandbox.kubernetes {
            Some(given) => self.kubernetes(given),
            None if in_kubernetes => self.kubernetes(raw::Kubernetes::default()),
            None => (self.sandbox(spec.sandbox.local.unwrap_or_default()), None),
        };
        let checks = self.checks(spec.checks, dumped);
        let deadlines = self.deadlines(&spec.deadlines);
        let schedule = spec.schedule.and_then(|given| self.schedule(given));
        if let (Some(schedule), Some(point)) = (&schedule, &recovery_point) {
            self.has_backups(schedule, point);
        }
        Some(Drill {
            name: name?,
            labels: file.metadata.labels,
            workload: workload?,
            recovery_point: recovery_point?,
            sandbox,
            kubernetes,
            profile: spec.profile,
            objectives,
            canary,
            checks,
            deadlines,
            schedule,
        })
    }

    fn sandbox(&mut self, local: raw::Local) -> LocalSandbox {
        let field = "spec.sandbox.local.directory";
        LocalSandbox {
            directory: local.directory.map(|path| self.filled_path(field, &path)),
            restore_jobs: local.restore_jobs.unwrap_or_else(default_jobs),
            verify_jobs: local.verify_jobs.unwrap_or_else(default_jobs),
            settings: local.settings.into_iter().map(|(k, v)| (k, v.0)).collect(),
            version: local.version,
            allow_unfenced: local.allow_unfenced,
        }
    }

    fn canary(&mut self, canary: raw::Canary) -> Canary {
        self.text("spec.canary.table", &canary.table);
        let field = "spec.canary.interval";
        let interval = self.optional(field, canary.interval.as_ref());
        Canary {
            table: canary.table,
            interval: interval.unwrap_or(Duration::from_millis(100)),
        }
    }

    fn deadlines(&mut self, deadlines: &raw::Deadlines) -> BTreeMap<Step, Duration> {
        let all = [
            ("inspect", Step::Inspect, &deadlines.inspect),
            ("capture", Step::Capture, &deadlines.capture),
            ("openSandbox", Step::OpenSandbox, &deadlines.open_sandbox),
            ("start", Step::Start, &deadlines.start),
            ("restore", Step::Restore, &deadlines.restore),
            ("serve", Step::Serve, &deadlines.serve),
            ("verify", Step::Verify, &deadlines.verify),
        ];
        let given = all.into_iter().filter_map(|(name, step, text)| {
            let field = format!("spec.deadlines.{name}");
            Some((step, self.duration(&field, text.as_ref()?)))
        });
        given.collect()
    }
}

/// As many jobs as there are processors, at most 4.
fn default_jobs() -> u16 {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(processors.min(4)).unwrap_or(4)
}
