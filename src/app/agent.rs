//! The agent's end of the binary: `lifeboat agent install|before|work`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::engines;
use crate::{
    agent::{
        self,
        protocol::{Point, Task, Work},
    },
    clock::{Clock, SystemClock},
    domain::recovery_point::{Artifact, RecoveryPoint},
    engine::{
        Engine,
        postgresql::attach::{self, Attached},
    },
    process::Launcher,
    remote::{BACKUP_LABEL, TABLESPACE_MAP},
    spec::drill::{Drill, Workload},
    workload::rewrite::SHARED,
};

/// Copies this binary.
///
/// # Errors
/// If it cannot be written there.
pub fn install(to: &Path) -> anyhow::Result<()> {
    agent::install(to).with_context(|| format!("cannot install to {}", to.display()))
}

/// Prepares a copy's data before the engine's first start.
///
/// # Errors
/// If the task or the data cannot be used.
pub fn before(task: &Path) -> anyhow::Result<()> {
    let task = agent::read_task(task)?;
    // The environment is the engine's own, as the cluster has made it up.
    let told = std::env::var_os(attach::DATA_VARIABLE);
    let data = attach::data_directory(named(&task.drill), told);
    prepare(&task.work, &data, Path::new(SHARED))
}

fn prepare(work: &Work, data: &Path, shared: &Path) -> anyhow::Result<()> {
    let point = match work {
        Work::Copy(copy) => match &copy.point {
            Point::Here(point) => Some(point),
            Point::Beside(_) => None,
        },
        _ => None,
    };
    if point.is_some_and(|point| matches!(point.artifact, Artifact::Volumes { .. })) {
        attach::must_hold_data(data)?;
    }
    attach::tame(data, shared)?;
    point.map_or(Ok(()), |point| label(point, data))
}

/// The data directory that the drill names.
fn named(drill: &Drill) -> Option<&str> {
    match &drill.workload {
        Workload::Postgresql(workload) => workload.kubernetes.as_ref()?.data_directory.as_deref(),
        Workload::Sqlite(_) => None,
    }
}

/// Where the volumes were not cut at one instant, the engine's own files say
/// from where it has to recover.
fn label(point: &RecoveryPoint, data: &Path) -> anyhow::Result<()> {
    for name in [BACKUP_LABEL, TABLESPACE_MAP] {
        if let Some(text) = point.details.get(name) {
            let path = data.join(name);
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Does a task.
///
/// # Errors
/// If the task cannot be read, or nothing can be told of it.
pub async fn work(task: &Path) -> anyhow::Result<()> {
    let task = agent::read_task(task)?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        if asked_to_stop().await.is_ok() {
            token.cancel();
        }
    });
    let engine = engine(&task);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stays = matches!(task.work, Work::Copy(_));
    agent::work(task, engine, clock, stop.clone()).await?;
    if stays {
        // The pod is one that is restarted: it is ended from outside.
        stop.cancelled().await;
    }
    Ok(())
}

/// The image that the agent runs in is the engine's: its own stop signal is
/// sent, whatever that is.
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
    Ok(())
}

fn engine(task: &Task) -> Arc<dyn Engine> {
    let launcher = Launcher {
        run: task.run,
        // The pod is the fence.
        helper: None,
        account: None,
        allow_unfenced: true,
    };
    engines::local(&task.drill, launcher, attached(task))
}

/// A copy's server is started by its own container.
fn attached(task: &Task) -> Option<Attached> {
    let (Work::Copy(_), Workload::Postgresql(workload)) = (&task.work, &task.drill.workload) else {
        return None;
    };
    let in_kubernetes = workload.kubernetes.as_ref();
    let named = in_kubernetes.and_then(|place| place.database.clone());
    let connection = workload.connection.as_ref();
    let database = named.or_else(|| connection.map(|connection| connection.database.clone()));
    Some(Attached {
        sockets: PathBuf::from(SHARED),
        superuser: in_kubernetes.map_or_else(String::new, |place| place.superuser.clone()),
        database: database.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::protocol::{Copy, Outside},
        domain::recovery_point::{Cut, CutBasis, Ownership},
    };

    fn work(point: Point) -> Work {
        Work::Copy(Box::new(Copy {
            point,
            source: None,
            faults: Vec::new(),
            declared_at: jiff::Timestamp::UNIX_EPOCH,
            directory: PathBuf::new(),
            outside: Outside::default(),
        }))
    }

    fn volumes() -> RecoveryPoint {
        let artifact = Artifact::Volumes {
            snapshots: Vec::new(),
        };
        let cut = Cut {
            at: None,
            basis: CutBasis::Storage,
            position: None,
            newest_commit: None,
        };
        RecoveryPoint {
            details: [(BACKUP_LABEL.to_owned(), "START".to_owned())].into(),
            ..RecoveryPoint::new(artifact, Ownership::Ours, cut)
        }
    }

    #[test]
    fn restored_volumes_are_labelled_where_the_data_are_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let (data, shared) = (place.path().join("data"), place.path());
        std::fs::create_dir(&data).unwrap();
        let restored = work(Point::Here(Box::new(volumes())));
        let error = prepare(&restored, &data, shared).unwrap_err();
        assert!(error.to_string().contains("no PG_VERSION"), "{error}");
        assert!(!data.join(BACKUP_LABEL).exists());
        std::fs::write(data.join("PG_VERSION"), "15").unwrap();
        prepare(&restored, &data, shared).unwrap();
        assert!(data.join(BACKUP_LABEL).exists());
        // A dump is loaded into a volume that is still empty.
        let loaded = work(Point::Beside(PathBuf::new()));
        prepare(&loaded, &place.path().join("empty"), shared).unwrap();
    }
}
