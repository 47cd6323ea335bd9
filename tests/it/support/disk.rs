//! Small file systems.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system of its own at a directory; gone with the value.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many KiB; `None`, with a loud word, where this user
    /// may not mount.
    pub fn mount(at: &Path, kibibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "tmpfs"])
            .arg(at)
            .status();
        if !status.is_ok_and(|status| status.success()) {
            skipped("this user may not mount a file system");
            return None;
        }
        let pass = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(at, pass).unwrap();
        Some(Self(at.to_owned()))
    }

    /// Fills it up to its last bytes, by a file at `path` in it.
    pub fn fill(&self, path: &Path) {
        let mut file = std::fs::File::create(self.0.join(path)).unwrap();
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&block[..1]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Says that a test was not made, past the capture of a test's output.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
