//! What has to be on this machine: the programs.

use super::finding_of;
use crate::{
    domain::check::Finding,
    engine::postgresql::{
        capture::compression_argument,
        fit::not_older,
        tools::{Tools, major_of_num},
    },
    spec::drill::FreshDump,
};

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
            Err(failure) => finding_of("pg_dump", &failure),
        });
    }
    let major = major_of_num(need.server_version_num);
    let into = need.restore_into.unwrap_or(major);
    findings.push(server(tools, into));
    // An existing backup tells its own version.
    if let (Some(_), Err(failure)) = (need.fresh, not_older(major, into)) {
        findings.push(finding_of("version", &failure));
    }
    findings
}

fn server(tools: &Tools, major: u16) -> Finding {
    match tools.server(major) {
        Ok(set) => Finding::ok(
            "server programs",
            format!("{} in {}", set.version, set.bin_directory.display()),
        ),
        Err(failure) => finding_of("server programs", &failure),
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
