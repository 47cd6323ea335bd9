//! Drills that wait: a service has thousands, and most of them do nothing.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::drill::{Drill, Objectives};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::DrillName,
    },
    schedule::{Looks, Schedule},
};

/// A drill in less than a kilobyte: what is asked for while it waits as it is,
/// and the whole of it as bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedDrill {
    pub name: DrillName,
    pub labels: BTreeMap<String, String>,
    pub engine: &'static str,
    /// The namespace of a workload in Kubernetes.
    pub namespace: Option<Box<str>>,
    pub objectives: Objectives,
    pub schedule: Option<Schedule>,
    /// The longest time between two of its starts, in seconds, where it has any by
    /// itself.
    pub interval: Option<NonZeroU32>,
    whole: Box<[u8]>,
}

impl PackedDrill {
    /// Packs a drill.
    ///
    /// # Errors
    /// Never for a drill that was validated.
    pub fn new(drill: &Drill) -> Result<Self, Failure> {
        let whole =
            postcard::to_allocvec(drill).map_err(|error| odd("pack", &drill.name, &error))?;
        let workload = drill.workload.kubernetes();
        Ok(Self {
            name: drill.name.clone(),
            labels: drill.labels.clone(),
            engine: drill.workload.engine(),
            namespace: workload.map(|workload| workload.namespace.as_str().into()),
            objectives: drill.objectives.clone(),
            schedule: drill.schedule.clone(),
            interval: interval(drill),
            whole: whole.into(),
        })
    }

    /// How new backups are looked for, where it runs after each.
    #[must_use]
    pub fn looks(&self) -> Option<&Looks> {
        self.schedule.as_ref()?.trigger.looks()
    }

    /// The whole drill.
    ///
    /// # Errors
    /// Never for what was packed.
    pub fn unpack(&self) -> Result<Drill, Failure> {
        postcard::from_bytes(&self.whole).map_err(|error| odd("unpack", &self.name, &error))
    }
}

fn interval(drill: &Drill) -> Option<NonZeroU32> {
    let schedule = drill.schedule.as_ref()?;
    let interval = schedule.interval(drill.name.as_str(), drill.backup_interval())?;
    NonZeroU32::new(u32::try_from(interval.as_secs()).ok()?)
}

fn odd(doing: &str, drill: &DrillName, error: &postcard::Error) -> Failure {
    let message = format!("cannot {doing} drill {drill}: {error}");
    Failure::new(FailureKind::Internal, message)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::spec;

    /// What a format that tells no names could get wrong: whatever may be absent.
    #[test]
    fn unpacks_to_the_same() {
        let files = std::fs::read_dir("drills").unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
        assert!(files.len() > 3, "{files:?}");
        for file in files {
            for drill in spec::read_all(&file).unwrap() {
                let packed = PackedDrill::new(&drill).unwrap();
                assert_eq!(packed.unpack().unwrap(), drill, "{}", file.display());
            }
        }
    }

    #[test]
    fn a_schedule_is_packed_with_whatever_becomes_of_overlaps() {
        for more in [
            "",
            ", overlap: skip",
            ", overlap: wait",
            ", overlap: replace",
        ] {
            let text = format!(
                "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: shop }}\nspec:\n  \
                 workload: {{ sqlite: {{ file: a.db }} }}\n  \
                 schedule: {{ cron: '@daily'{more} }}\n"
            );
            let drill = spec::parse(&text, Path::new("a.yaml")).unwrap();
            let packed = PackedDrill::new(&drill).unwrap();
            assert_eq!(packed.unpack().unwrap(), drill);
            assert_eq!(packed.schedule, drill.schedule);
        }
    }

    #[test]
    fn a_bucket_is_packed_with_and_without_what_may_be_absent() {
        for more in ["", ", endpoint: 'https://s3.example', region: x"] {
            let text = format!(
                "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: shop }}\nspec:\n  \
                 workload: {{ postgresql: {{}} }}\n  \
                 recoveryPoint: {{ existing: {{ s3: {{ bucket: b, key: k{more} }} }} }}\n"
            );
            let drill = spec::parse(&text, Path::new("a.yaml")).unwrap();
            let packed = PackedDrill::new(&drill).unwrap();
            assert_eq!(packed.unpack().unwrap(), drill);
        }
    }
}
