//! Who this process is, and whether another one is gone.

use super::App;
use crate::{
    process::owner::Identity,
    runner::store::{Gone, Owner, Unfinished},
};

impl App {
    /// Whether nobody works on an unfinished run any more, and how that is known;
    /// `others` are those who live, where that can be judged.
    pub(super) fn has_given_up(&self, run: &Unfinished, others: Option<&[Owner]>) -> Option<Gone> {
        let (owner, me) = (&run.owner, self.owner());
        if *owner == me {
            return (!self.live.has(run.record.id)).then_some(Gone::Seen);
        }
        if self.claim.is_none() {
            // A service that is not this one has ended, wherever it ran: this one
            // has the lock of their history.
            let before_me = self.serving && owner.service;
            let gone = before_me || identity(owner).is_gone(&self.identity);
            return gone.then_some(Gone::Seen);
        }
        // Machines may have the same name, and containers of a machine see their
        // own processes only: what is looked at has to be the same place.
        let same_place = owner.host == me.host && owner.boot == me.boot;
        let process = Identity {
            boot: self.identity.boot.clone(),
            ..identity(owner)
        };
        if same_place && process.is_gone(&self.identity) {
            return Some(Gone::Seen);
        }
        let silent = others.is_some_and(|others| !others.contains(owner));
        silent.then_some(Gone::Silent)
    }

    pub(super) fn owner(&self) -> Owner {
        let Identity {
            host,
            boot,
            pid,
            start_ticks,
        } = self.identity.clone();
        let boot = match &self.claim {
            Some(_) => format!("{boot} {}", self.processes),
            None => boot,
        };
        Owner {
            host,
            boot,
            pid,
            start_ticks,
            service: self.serving,
        }
    }
}

/// The namespace of this process's number.
pub(super) fn namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.display().to_string()
}

fn identity(owner: &Owner) -> Identity {
    let Owner {
        host,
        boot,
        pid,
        start_ticks,
        service: _,
    } = owner.clone();
    Identity {
        host,
        boot,
        pid,
        start_ticks,
    }
}
