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
    domain::recovery_point::RecoveryPoint,
    engine::{
        Engine,
        postgresql::attach::{self, Attached},
    },
    process::Launcher,
    remote::{BACKUP_LABEL, TABLESPACE_MAP},
    spec::drill::Workload,
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
pub fn before(task: &Path, data: &Path) -> anyhow::Result<()> {
    let task = agent::read_task(task)?;
    attach::tame(data, Path::new(SHARED))?;
    let Work::Copy(copy) = &task.work else {
        return Ok(());
    };
    if let Point::Here(point) = &copy.point {
        label(point, data)?;
    }
    Ok(())
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
