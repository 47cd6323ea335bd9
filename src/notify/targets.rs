//! Who is told: a file with a list of targets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::occasion::Occasion;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::RunRecord,
        store::SecretSource,
        verdict::Verdict,
    },
    schedule::{Calendar, Cron, CronError, Zone},
};

/// All targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets(Vec<Target>);

/// Somebody who is told of runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    pub name: String,
    /// When it is told of a run; the first that holds is told. On a change and
    /// a failure where it is absent.
    pub on: Option<Vec<Occasion>>,
    /// When it is told what happened since the last time, in place of single
    /// runs.
    #[serde(default, deserialize_with = "calendar")]
    pub digest: Option<Calendar>,
    /// Of these drills only; of all where it is empty.
    #[serde(default)]
    pub drills: Vec<String>,
    /// What is said, with words in braces put in.
    pub text: Option<String>,
    pub webhook: Option<Webhook>,
    pub slack: Option<Slack>,
    pub kubernetes_events: Option<KubernetesEvents>,
}

/// The cluster of a workload, where Events are written about it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesEvents {}

/// Any program that takes JSON by HTTP.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Webhook {
    pub url: String,
    /// What messages are signed with.
    pub secret: Option<Secret>,
    /// Whether it may be within the own network; then not encrypted, too.
    #[serde(default)]
    pub allow_private: bool,
}

/// Slack, or what takes the same.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Slack {
    /// The address of an incoming webhook, which is a secret.
    pub url: Secret,
    #[serde(default)]
    pub allow_private: bool,
}

/// Where a secret is read from, whenever it is used.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub enum Secret {
    Env(String),
    File(PathBuf),
}

impl TryFrom<BTreeMap<String, String>> for Secret {
    type Error = &'static str;

    fn try_from(given: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        // What is given instead may be the secret itself: it is not repeated.
        let mut given = given.into_iter();
        match (given.next(), given.next()) {
            (Some((kind, name)), None) if kind == "env" => Ok(Self::Env(name)),
            (Some((kind, path)), None) if kind == "file" => Ok(Self::File(path.into())),
            _ => Err("a secret is { file: PATH } or { env: NAME }"),
        }
    }
}

impl From<&Secret> for SecretSource {
    fn from(secret: &Secret) -> Self {
        match secret {
            Secret::Env(name) => Self::Env(name.clone()),
            Secret::File(path) => Self::File(path.clone()),
        }
    }
}

/// The rest would show a part of the file.
fn first_line(error: &dyn std::fmt::Display) -> String {
    let message = error.to_string();
    message.lines().next().unwrap_or_default().to_owned()
}

/// When a target is told where it does not say.
const USUALLY: [Occasion; 2] = [Occasion::Change, Occasion::Failure];

/// A calendar as a target says it, in the words of a drill's schedule.
fn calendar<'de, D: Deserializer<'de>>(given: D) -> Result<Option<Calendar>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Given {
        cron: String,
        #[serde(default = "Zone::utc")]
        time_zone: Zone,
    }
    let Given { cron, time_zone } = Given::deserialize(given)?;
    let wrong = |error: CronError| {
        let expected = error.expected();
        D::Error::custom(format!("digest.cron {error}; expected {expected}"))
    };
    Ok(Some(Calendar {
        cron: cron.parse::<Cron>().map_err(wrong)?,
        zone: time_zone,
    }))
}

impl Targets {
    /// Reads a file with a list of them, in YAML.
    ///
    /// # Errors
    /// If it cannot be read, or is wrong.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |message: String| {
            let message = format!("cannot use the targets in {}: {message}", path.display());
            Failure::new(FailureKind::Invalid, message).hint("docs/notifications.md shows one")
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let targets: Vec<Target> =
            serde_saphyr::from_str(&text).map_err(|error| failed(first_line(&error)))?;
        for (at, target) in targets.iter().enumerate() {
            target
                .check()
                .map_err(|message| failed(format!("{}: {message}", target.name)))?;
            if targets
                .iter()
                .take(at)
                .any(|other| other.name == target.name)
            {
                return Err(failed(format!("{} is there twice", target.name)));
            }
        }
        Ok(Self(targets))
    }

    pub fn all(&self) -> impl Iterator<Item = &Target> {
        self.0.iter()
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Target> {
        self.0.iter().find(|target| target.name == name)
    }
}

impl Target {
    fn check(&self) -> Result<(), String> {
        let kinds = [
            self.webhook.is_some(),
            self.slack.is_some(),
            self.kubernetes_events.is_some(),
        ];
        if kinds.iter().filter(|kind| **kind).count() != 1 {
            return Err("one of webhook, slack and kubernetesEvents must be said".to_owned());
        }
        if self.on.as_ref().is_some_and(Vec::is_empty) {
            return Err("on must not be empty".to_owned());
        }
        if self.digest.is_some() {
            self.check_digest()?;
        }
        match &self.webhook {
            Some(webhook) => super::guard::url(&webhook.url, webhook.allow_private).map(drop),
            None => Ok(()),
        }
    }

    fn check_digest(&self) -> Result<(), &'static str> {
        if self.on.is_some() {
            return Err("on and digest exclude each other: a digest tells of all runs at once");
        }
        if self.text.is_some() {
            return Err("text and digest exclude each other: text is what is said of one run");
        }
        if self.kubernetes_events.is_some() {
            return Err(
                "kubernetesEvents and digest exclude each other: an Event is about one run",
            );
        }
        Ok(())
    }

    /// Whether it is told of a drill at all.
    #[must_use]
    pub fn is_about(&self, drill: &str) -> bool {
        self.drills.is_empty() || self.drills.iter().any(|one| one == drill)
    }

    /// Whether a digest for it has a run in it.
    #[must_use]
    pub fn sums_up(&self, record: &RunRecord) -> bool {
        !record.negative_control && self.is_about(&record.drill)
    }

    /// Why it is told of a run, if it is.
    #[must_use]
    pub fn wants(&self, record: &RunRecord, before: Option<Verdict>) -> Option<Occasion> {
        let verdict = record.verdict?;
        let nowhere = self.kubernetes_events.is_some() && record.workload.is_none();
        if self.digest.is_some() || nowhere || !self.is_about(&record.drill) {
            return None;
        }
        let mut on = self.on.as_deref().unwrap_or(&USUALLY).iter();
        on.find(|occasion| occasion.holds(verdict, before)).copied()
    }
}
