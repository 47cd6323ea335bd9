//! What has to be on this machine: programs and room.

use std::path::Path;

use super::finding_of;
use crate::{
    domain::check::Finding,
    engine::postgresql::{
        PostgresEngine,
        capture::compression_argument,
        fit::not_older,
        tools::{Tools, major_of_num},
    },
    spec::drill::FreshDump,
};

/// Room that a drill is expected to take, as a multiple of the database: the
/// copy, the dump, and log and sort files while indexes are built.
const SPACE_FACTOR: u64 = 3;

/// What the programs are needed for.
pub(super) struct Need<'a> {
    pub server_version_num: u32,
    /// The major version to restore into; the source's where absent.
    pub restore_into: Option<u16>,
    /// `None` where an existing backup is drilled.
    pub fresh: Option<&'a FreshDump>,
}

/// Whether the programs for dump and restore are there.
pub(super) fn tools(tools: &Tools, need: &Need<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(fresh) = need.fresh {
        let dump = tools.dump_for(need.server_version_num);
        let dump = dump.and_then(|set| {
            compression_argument(fresh.compression, set)?;
            Ok(format!(
                "{} in {}",
                set.version,
                set.bin_directory.display()
            ))
        });
        findings.push(match dump {
            Ok(text) => Finding::ok("pg_dump", text),
            Err(failure) => finding_of("pg_dump", failure),
        });
    }
    let major = major_of_num(need.server_version_num);
    let into = need.restore_into.unwrap_or(major);
    findings.push(server(tools, into));
    // An existing backup tells its own version.
    if let (Some(_), Err(failure)) = (need.fresh, not_older(major, into)) {
        findings.push(finding_of("version", failure));
    }
    findings
}

fn server(tools: &Tools, major: u16) -> Finding {
    match tools.server(major) {
        Ok(set) => Finding::ok(
            "server programs",
            format!("{} in {}", set.version, set.bin_directory.display()),
        ),
        Err(failure) => finding_of("server programs", failure),
    }
}

/// The same where there is no live source to fit.
pub(super) fn backup_tools(tools: &Tools, restore_into: Option<u16>) -> Vec<Finding> {
    if let Some(major) = restore_into {
        return vec![server(tools, major)];
    }
    let servers: Vec<_> = tools.all().iter().filter(|set| set.has_server()).collect();
    let Some(newest) = servers.iter().max_by_key(|set| set.major) else {
        // Any version would do; asking for one gives the list of what is there.
        return vec![server(tools, *super::SUPPORTED.end())];
    };
    let text = format!(
        "the newest is {} in {}; the backup's own version decides",
        newest.version,
        newest.bin_directory.display()
    );
    vec![Finding::ok("server programs", text)]
}

/// Whether there is room for dump and copy.
pub(super) fn space(engine: &PostgresEngine, database_bytes: Option<u64>) -> Finding {
    let subject = "scratch space";
    let Some(directory) = &engine.sandbox.directory else {
        let text = "not looked at: the drill names no sandbox directory";
        return Finding::warning(subject, text);
    };
    // The directory itself is made later.
    let mut there = directory.ancestors().filter(|path| path.exists());
    let place = there.next().unwrap_or(Path::new("/"));
    let free = match nix::sys::statvfs::statvfs(place) {
        Ok(stat) => stat.blocks_available() * stat.fragment_size(),
        Err(error) => {
            return Finding::error(
                subject,
                format!("cannot look at {}: {error}", place.display()),
            );
        }
    };
    judge_space(&directory.display().to_string(), free, database_bytes)
}

fn judge_space(place: &str, free: u64, database_bytes: Option<u64>) -> Finding {
    let subject = "scratch space";
    let Some(database) = database_bytes else {
        return Finding::ok(subject, format!("{} free at {place}", mib(free)));
    };
    let wanted = database.saturating_mul(SPACE_FACTOR);
    let text = format!(
        "{} free at {place}; a drill of this database ({}) is estimated to take {}",
        mib(free),
        mib(database),
        mib(wanted)
    );
    let hint = "make room, or set sandbox.directory to a larger place";
    if free >= wanted {
        Finding::ok(subject, text)
    } else if free > database {
        Finding::warning(subject, text).hint(hint)
    } else {
        Finding::error(subject, text).hint(hint)
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::Severity;

    #[test]
    fn room_is_judged_by_the_databases_size() {
        let judge = |free: u64| judge_space("/s", free << 20, Some(100 << 20)).severity;
        assert_eq!(judge(300), Severity::Ok);
        assert_eq!(judge(299), Severity::Warning);
        assert_eq!(judge(100), Severity::Error);
        let finding = judge_space("/s", 50 << 20, Some(100 << 20));
        assert!(finding.message.contains("300 MiB"), "{}", finding.message);
    }
}
