//! Where the recovery point comes from.

use super::{Context, default_jobs};
use crate::spec::{
    drill::{Compression, ExistingBackup, FreshDump, RecoveryPointSource},
    raw,
    shape::shorten,
};

impl Context<'_> {
    pub(super) fn recovery_point(&mut self, point: raw::RecoveryPoint) -> RecoveryPointSource {
        if point.fresh.is_some() && point.existing.is_some() {
            let message = "names both a fresh and an existing recovery point";
            self.error("spec.recoveryPoint", message, "`fresh` or `existing`", "");
        }
        if let Some(existing) = point.existing {
            let at = |name: &str| format!("spec.recoveryPoint.existing.{name}");
            return RecoveryPointSource::Existing(ExistingBackup {
                path: self.filled_path(&at("path"), &existing.path),
                globals: existing
                    .globals
                    .map(|path| self.filled_path(&at("globals"), &path)),
                backup_interval: self
                    .optional(&at("backupInterval"), existing.backup_interval.as_ref()),
            });
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
        RecoveryPointSource::Fresh(FreshDump {
            jobs: fresh.jobs.unwrap_or_else(default_jobs),
            compression,
            backup_interval: self.optional(&at("backupInterval"), fresh.backup_interval.as_ref()),
        })
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
