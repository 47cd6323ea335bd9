//! What runs share.

use crate::{
    domain::budget::Share,
    spec::drill::{Drill, Workload},
};

/// What a run of a drill takes a share of.
#[must_use]
pub fn shares(drill: &Drill) -> Vec<Share> {
    if let Some(workload) = drill.workload.kubernetes() {
        let (namespace, name) = (&workload.namespace, &workload.stateful_set);
        return vec![
            Share::Source(format!("{namespace}/{name}")),
            Share::Namespace(namespace.clone()),
        ];
    }
    let source = match &drill.workload {
        Workload::Postgresql(workload) => {
            let connection = workload.connection.as_ref();
            connection.map(|source| format!("{}:{}", source.host, source.port))
        }
        Workload::Sqlite(workload) => {
            let file = workload.file.as_ref();
            file.map(|file| file.display().to_string())
        }
    };
    source.into_iter().map(Share::Source).collect()
}
