//! Files that are read again while the service goes on.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    api::Renew,
    catalog::{self, Catalog, Watch},
    service::Service,
};

/// Reads tokens and certificates whenever they look otherwise than they did.
pub(super) async fn renew_again(
    renewed: Vec<Arc<dyn Renew>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let files: Vec<_> = renewed
        .iter()
        .flat_map(|one| one.files().to_vec())
        .collect();
    if files.is_empty() {
        stop.cancelled().await;
        return Ok(());
    }
    // Looked at anew at once: they may have changed since they were read.
    let mut looked = Vec::new();
    let mut changes = Watch::new(files.clone());
    loop {
        let looks = catalog::look(&files);
        if looks != looked {
            for one in &renewed {
                match one.renew() {
                    Ok(()) => tracing::info!(files = ?one.files(), "read"),
                    Err(error) => {
                        tracing::error!(error = %error.message, "what it said before holds");
                    }
                }
            }
            looked = looks;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = changes.changed() => {}
        }
    }
}

/// Reads drill files whenever they look otherwise than they did.
pub(super) async fn read_again(
    (places, mut looked): (Vec<PathBuf>, catalog::Looks),
    known: watch::Sender<Arc<Catalog>>,
    service: Service,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut changes = Watch::new(places.clone());
    loop {
        // At once, too: they may have changed before anybody watched.
        let looks = catalog::look(&places);
        if looks != looked {
            match take_over(&places, &known, &service).await {
                Ok(()) => looked = looks,
                Err(_) if stop.is_cancelled() => return Ok(()),
                // They are read again soon.
                Err(error) => tracing::warn!(%error, "cannot take over changed drill files"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = changes.changed() => {}
        }
    }
}

/// Reads drill files, and has the service keep what they say now.
async fn take_over(
    places: &[PathBuf],
    known: &watch::Sender<Arc<Catalog>>,
    service: &Service,
) -> anyhow::Result<()> {
    let before = known.borrow().clone();
    let (places, last) = (places.to_vec(), before.clone());
    let read = tokio::task::spawn_blocking(move || last.read(&places)).await?;
    if read != *before {
        tell(&read, &before);
        service.replace(read.drills()).await?;
        drop(known.send(Arc::new(read)));
    }
    Ok(())
}

pub(super) fn tell(catalog: &Catalog, before: &Catalog) {
    tracing::info!(drills = catalog.drills().len(), "drill files read");
    for (file, error) in catalog.broken() {
        if before.broken().get(file) != Some(error) {
            let file = file.display();
            tracing::error!(%file, %error, "a drill file cannot be used; what it said before holds");
        }
    }
}
