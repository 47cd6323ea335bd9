//! What the cluster has that tests ask for by name. The names are those of the
//! cluster that `.ci/cluster` brings up, unless the environment says others;
//! where it says `none`, there is no such thing, and what needs it is untested.

use std::sync::OnceLock;

use super::kubectl::{objects, try_kubectl};

/// A name, and the variable that says another.
pub struct Part {
    variable: &'static str,
    default: &'static str,
}

const fn part(variable: &'static str, default: &'static str) -> Part {
    Part { variable, default }
}

/// What says that there is nothing of that kind.
const NONE: &str = "none";

/// Lifeboat's own image.
pub const LIFEBOAT: Part = part("LIFEBOAT_IMAGE", "drill/lifeboat:test");
/// An image in the manner of the official `postgres`, 15 or newer, and the
/// number of its user.
pub const POSTGRES: Part = part("LIFEBOAT_TEST_POSTGRES_IMAGE", "drill/postgres:15");
pub const POSTGRES_USER: Part = part("LIFEBOAT_TEST_POSTGRES_USER", "999");
/// The same on musl: `postgres:17-alpine`, say.
pub const MUSL: Part = part("LIFEBOAT_TEST_MUSL_IMAGE", "drill/postgres-musl:17");
pub const MUSL_USER: Part = part("LIFEBOAT_TEST_MUSL_USER", "70");
/// An image with versitygw for its entry point.
pub const S3: Part = part("LIFEBOAT_TEST_S3_IMAGE", "drill/s3:test");
/// The driver that makes volumes and cuts them.
pub const DRIVER: Part = part("LIFEBOAT_TEST_CSI_DRIVER", "hostpath.drill.test");
/// Its classes: for everything; one that retains its volumes; one that waits for
/// a pod.
pub const CLASS: Part = part("LIFEBOAT_TEST_CLASS", "drill-hostpath");
pub const RETAINS: Part = part("LIFEBOAT_TEST_CLASS_RETAIN", "drill-hostpath-retain");
pub const WAITS: Part = part("LIFEBOAT_TEST_CLASS_WAIT", "drill-hostpath-wait");
/// A class of snapshots that are retained. The driver's default class, of which
/// all others are, deletes them.
pub const KEEPS: Part = part(
    "LIFEBOAT_TEST_SNAPSHOT_CLASS_RETAIN",
    "drill-hostpath-snap-retain",
);
/// Whether this machine reaches pods at their own addresses: `none` if not.
pub const POD_NETWORK: Part = part("LIFEBOAT_TEST_POD_NETWORK", "reached");

impl Part {
    pub fn name(&self) -> String {
        std::env::var(self.variable).unwrap_or_else(|_| self.default.to_owned())
    }

    /// Says so if it is not.
    pub fn is_there(&self) -> bool {
        let there = self.name() != NONE;
        if !there {
            eprintln!("UNTESTED: {} says that there is none", self.variable);
        }
        there
    }
}

/// As part of a drill: its copy's volumes are of this class.
pub fn mapped_to(class: &str) -> String {
    let of_source = CLASS.name();
    format!("  sandbox: {{ kubernetes: {{ storageClasses: {{ {of_source}: {class} }} }} }}\n")
}

/// Whether the driver fails as the parameters of a class tell it to, which only
/// that of the tests' own cluster does.
pub fn driver_misbehaves() -> bool {
    let ours = DRIVER.name() == DRIVER.default;
    if !ours {
        eprintln!("UNTESTED: {} does not fail at will", DRIVER.name());
    }
    ours
}

/// Whether several volumes can be cut at one instant.
pub fn cuts_groups() -> bool {
    let kind = "volumegroupsnapshotclasses";
    let driver = DRIVER.name();
    let cuts = serves_groups()
        && objects(&[kind])
            .iter()
            .any(|class| class["driver"] == *driver);
    if !cuts {
        eprintln!("UNTESTED: {driver} has no class for groups of snapshots");
    }
    cuts
}

/// Of kinds to ask for those that the cluster knows: groups of snapshots are
/// not everywhere.
pub fn known(kinds: &str) -> String {
    let is_group = |kind: &&str| kind.contains("volumegroupsnapshot");
    let known = kinds
        .split(',')
        .filter(|kind| !is_group(kind) || serves_groups());
    known.collect::<Vec<_>>().join(",")
}

fn serves_groups() -> bool {
    static SERVES: OnceLock<bool> = OnceLock::new();
    *SERVES.get_or_init(|| try_kubectl(&["get", "volumegroupsnapshotclasses"]))
}
