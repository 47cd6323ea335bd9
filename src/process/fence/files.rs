//! Which files may be read, written and executed, by Landlock.

use std::{fs, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{FenceSpec, interpreter};

/// What every program needs to read. `/proc` shows other processes' memory
/// and environment only to whom Landlock lets trace them: nobody.
pub(super) const SYSTEM: [&str; 10] = [
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev",
];

/// Devices and shared memory that every program may write.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/shm"];

/// Where the dynamic loader is, and how its name begins.
const LOADERS: [(&str, &str); 4] = [
    ("/lib64", "ld-"),
    ("/lib", "ld-"),
    ("/lib/x86_64-linux-gnu", "ld-"),
    ("/lib/aarch64-linux-gnu", "ld-"),
];

/// Restricts this process for good. Gives notes on what an older kernel
/// leaves open.
///
/// # Errors
/// If the kernel cannot keep files from being written, cut short, moved or
/// executed (Linux before 6.2, or Landlock switched off).
pub(super) fn restrict(spec: &FenceSpec) -> Result<Vec<String>, String> {
    if let Some(path) = spec.writable.iter().find(|path| !path.exists()) {
        return Err(format!("{} does not exist", path.display()));
    }
    let status = build(spec).map_err(|error| error.to_string())?;
    Ok(match status {
        RulesetStatus::FullyEnforced => Vec::new(),
        RulesetStatus::PartiallyEnforced => vec![
            "this kernel's Landlock is older than Lifeboat's rules: newer protections (signals, \
             devices, sockets in files) are partly missing"
                .to_owned(),
        ],
        RulesetStatus::NotEnforced => return Err("this kernel has no Landlock".to_owned()),
    })
}

fn build(spec: &FenceSpec) -> Result<RulesetStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run: BitFlags<AccessFs> = read | AccessFs::Execute;
    let write = AccessFs::from_all(ABI::V9) & !BitFlags::from(AccessFs::Execute);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V3))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V9))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(&spec.readable, read))?
        .add_rules(path_beneath_rules(DEVICES, write))?
        .add_rules(path_beneath_rules(&spec.writable, write))?
        .add_rules(path_beneath_rules(&spec.executable, run))?
        .add_rules(path_beneath_rules(loaders(spec), run))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// The dynamic loaders: the kernel executes them on behalf of programs.
fn loaders(spec: &FenceSpec) -> Vec<PathBuf> {
    let own = spec
        .executable
        .iter()
        .filter_map(|path| interpreter::of(path));
    LOADERS
        .iter()
        .filter_map(|(directory, prefix)| Some((fs::read_dir(directory).ok()?, prefix)))
        .flat_map(|(entries, prefix)| {
            entries
                .flatten()
                .filter(move |entry| entry.file_name().to_string_lossy().starts_with(*prefix))
                .map(|entry| entry.path())
        })
        .chain(own)
        .collect()
}
