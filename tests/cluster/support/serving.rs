//! A service beside a test, that works on the cluster from outside.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::{kubectl::until, lifeboat::Lifeboat};

/// Killed when it is dropped.
pub struct Serving {
    child: Child,
    log: PathBuf,
}

impl Serving {
    /// Serves a drill; `more` is of its command line.
    pub fn start(lifeboat: &Lifeboat, drill: &Path, more: &[&str]) -> Self {
        let log = lifeboat.path("serve.log");
        let child = lifeboat
            .command(&["serve", &drill.display().to_string()])
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Its log so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn says(&self, what: &str) -> bool {
        self.said().contains(what)
    }

    /// Where it answers; waits until it does.
    pub fn address(&self) -> String {
        let mut found = String::new();
        until("the service answers", || {
            let said = self.said();
            let rest = said.split("address=").nth(1);
            let address = rest.and_then(|rest| rest.split_once(' '));
            address.is_some_and(|(address, _)| {
                address.clone_into(&mut found);
                true
            })
        });
        found
    }

    /// Ends it, as a node that dies does or as somebody who updates it.
    pub fn end(mut self, how: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        signal::kill(pid, how).unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.success(), how == Signal::SIGTERM, "{}", self.said());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
