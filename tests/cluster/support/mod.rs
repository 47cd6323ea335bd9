//! What the tests share: the cluster, a source in it, and the binary.

pub mod account;
pub mod kubectl;
pub mod lifeboat;
pub mod progress;
pub mod requests;
pub mod serving;
pub mod site;
pub mod source;
pub mod store;

use std::path::PathBuf;

/// The cluster's kubeconfig. `None` where there is no cluster to test on.
pub fn kubeconfig() -> Option<PathBuf> {
    let named = std::env::var_os("LIFEBOAT_TEST_CLUSTER");
    if named.is_none() {
        eprintln!("UNTESTED: LIFEBOAT_TEST_CLUSTER names no kubeconfig");
    }
    named.map(PathBuf::from)
}

/// Ends a test that has no cluster, or where one of the conditions does not hold,
/// which say so themselves.
#[macro_export]
macro_rules! needs_cluster {
    ($($holds:expr),*) => {
        if $crate::support::kubeconfig().is_none() {
            return;
        }
        $(if !$holds {
            return;
        })*
    };
}
