//! Where the recovery point comes from.

use std::time::Duration;

use super::{Context, default_jobs};
use crate::spec::{
    drill::{
        Compression, ExistingBackup, ExistingSnapshot, FreshDump, FreshSnapshot, Pick,
        RecoveryPointSource,
    },
    raw,
    shape::shorten,
};

impl Context<'_> {
    pub(super) fn recovery_point(
        &mut self,
        point: raw::RecoveryPoint,
    ) -> Option<RecoveryPointSource> {
        let named = [
            point.fresh.is_some(),
            point.existing.is_some(),
            point.snapshot.is_some(),
            point.existing_snapshot.is_some(),
        ];
        if named.into_iter().filter(|named| *named).count() > 1 {
            let message = "names more than one recovery point";
            let expected = "one of `fresh`, `existing`, `snapshot`, `existingSnapshot`";
            self.error("spec.recoveryPoint", message, expected, "");
        }
        if let Some(snapshot) = point.snapshot {
            return Some(RecoveryPointSource::Snapshot(self.fresh_snapshot(snapshot)));
        }
        if let Some(snapshot) = point.existing_snapshot {
            let snapshot = self.existing_snapshot(snapshot);
            return Some(RecoveryPointSource::ExistingSnapshot(snapshot));
        }
        if let Some(existing) = point.existing {
            return self.existing(existing).map(RecoveryPointSource::Existing);
        }
        let fresh = point.fresh.unwrap_or_default();
        let at = |name: &str| format!("spec.recoveryPoint.fresh.{name}");
        let text = fresh.compression.as_deref().unwrap_or("gzip:1");
        let compression = compression(text).unwrap_or_else(|| {
            self.error(
                &at("compression"),
                &format!("`{}` is not a compression", shorten(text)),
                "`none`, `lz4`, `gzip:1` to `gzip:9` or `zstd:1` to `zstd:22`",
                "",
            );
            Compression::None
        });
        Some(RecoveryPointSource::Fresh(FreshDump {
            jobs: fresh.jobs.unwrap_or_else(default_jobs),
            compression,
            backup_interval: self.optional(&at("backupInterval"), fresh.backup_interval.as_ref()),
            to: fresh.to.and_then(|to| self.target(to)),
        }))
    }

    fn existing(&mut self, existing: raw::Existing) -> Option<ExistingBackup> {
        let raw::Existing {
            path,
            s3,
            globals,
            backup_interval,
        } = existing;
        let field = "spec.recoveryPoint.existing.backupInterval";
        let backup_interval = self.optional(field, backup_interval.as_ref());
        Some(ExistingBackup {
            at: self.backup_place(path.as_deref(), s3, globals)?,
            backup_interval,
        })
    }
}

/// How long an engine may be held where the drill does not say.
const HOLD_LIMIT: Duration = Duration::from_mins(2);

impl Context<'_> {
    fn fresh_snapshot(&mut self, snapshot: raw::Snapshot) -> FreshSnapshot {
        let at = |name: &str| format!("spec.recoveryPoint.snapshot.{name}");
        let limit = self.optional(&at("holdLimit"), snapshot.hold_limit.as_ref());
        FreshSnapshot {
            class: snapshot.class,
            group_class: snapshot.group_class,
            hold: snapshot.consistency == raw::Consistency::Application,
            hold_limit: limit.unwrap_or(HOLD_LIMIT),
            accept_torn_volumes: snapshot.accept_torn_volumes,
            backup_interval: self
                .optional(&at("backupInterval"), snapshot.backup_interval.as_ref()),
        }
    }

    fn existing_snapshot(&mut self, snapshot: raw::ExistingSnapshot) -> ExistingSnapshot {
        let field = "spec.recoveryPoint.existingSnapshot";
        let named = [
            snapshot.name.is_some(),
            snapshot.content.is_some(),
            !snapshot.labels.is_empty(),
        ];
        if named.into_iter().filter(|named| *named).count() != 1 {
            let message = "does not say which snapshot";
            self.error(field, message, "one of `name`, `labels`, `content`", "");
        }
        let interval = format!("{field}.backupInterval");
        ExistingSnapshot {
            name: snapshot.name,
            content: snapshot.content,
            labels: snapshot.labels,
            pick: match snapshot.pick {
                raw::Pick::Latest => Pick::Latest,
                raw::Pick::Random => Pick::Random,
            },
            accept_torn_volumes: snapshot.accept_torn_volumes,
            backup_interval: self.optional(&interval, snapshot.backup_interval.as_ref()),
        }
    }
}

fn compression(text: &str) -> Option<Compression> {
    let (name, level) = match text.split_once(':') {
        Some((name, level)) => (name, Some(level.parse::<u8>().ok()?)),
        None => (text, None),
    };
    match (name, level) {
        ("none", None) => Some(Compression::None),
        ("lz4", None) => Some(Compression::Lz4),
        ("gzip", None) => Some(Compression::Gzip(1)),
        ("gzip", Some(level @ 1..=9)) => Some(Compression::Gzip(level)),
        ("zstd", None) => Some(Compression::Zstd(3)),
        ("zstd", Some(level @ 1..=22)) => Some(Compression::Zstd(level)),
        _ => None,
    }
}
