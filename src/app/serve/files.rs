//! Files that are read again while the service goes on.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::noting::{ToNote, note, read_first};
use crate::{
    api::Renew,
    app::App,
    catalog::{self, Catalog, Watch},
    history::History,
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

/// Drill files as they were read.
pub(super) struct Reading {
    pub places: Vec<PathBuf>,
    pub looks: catalog::Looks,
    pub to_note: ToNote,
}

impl Reading {
    /// Reads drill files for the first time.
    pub(super) async fn first(app: &App, drills: &[PathBuf]) -> anyhow::Result<(Self, Catalog)> {
        // What is noted of a file holds wherever the next service is started from.
        let places = drills.iter().map(std::path::absolute);
        let places: Vec<PathBuf> = places.collect::<Result<_, _>>()?;
        // Looked at before they are read: what changes meanwhile is read once more.
        let looks = catalog::look(&places);
        let read = read_first(&*app.history, &places).await;
        let (catalog, digests) = read.with_context(|| app.in_history())?;
        tell(&catalog, &Catalog::default());
        let gone = Vec::new();
        let reading = Self {
            places,
            looks,
            to_note: ToNote { digests, gone },
        };
        Ok((reading, catalog))
    }
}

/// Reads drill files whenever they look otherwise than they did, and notes what they
/// say.
pub(super) async fn read_again(
    first: Reading,
    history: Arc<dyn History>,
    known: watch::Sender<Arc<Catalog>>,
    service: Service,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Reading {
        places,
        looks: mut looked,
        to_note,
    } = first;
    let mut to_note = Some(to_note);
    let mut changes = Watch::new(places.clone());
    loop {
        // At once, too: they may have changed before anybody watched.
        let looks = catalog::look(&places);
        if looks != looked {
            match take_over(&places, &known, &service).await {
                Ok(mut next) => {
                    looked = looks;
                    next.gone
                        .extend(to_note.into_iter().flat_map(|last| last.gone));
                    to_note = Some(next);
                }
                Err(_) if stop.is_cancelled() => return Ok(()),
                // They are read again soon.
                Err(error) => tracing::warn!(%error, "cannot take over changed drill files"),
            }
        }
        if let Some(next) = &mut to_note {
            let noted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                noted = note(&*history, next) => noted,
            };
            match noted {
                Ok(()) => to_note = None,
                // Tried again soon.
                Err(error) => tracing::warn!(%error, "cannot note what drill files say"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = changes.changed() => {}
        }
    }
}

/// Reads drill files, and has the service keep what they say now; gives what is to be
/// noted of them.
async fn take_over(
    places: &[PathBuf],
    known: &watch::Sender<Arc<Catalog>>,
    service: &Service,
) -> anyhow::Result<ToNote> {
    let before = known.borrow().clone();
    let (all, last) = (places.to_vec(), before.clone());
    let read = tokio::task::spawn_blocking(move || last.read_anew(&all));
    let (read, digests) = read.await?;
    let gone = read.gone_since(&before, places);
    if read != *before {
        tell(&read, &before);
        service.replace(read.drills()).await?;
        drop(known.send(Arc::new(read)));
    }
    Ok(ToNote { digests, gone })
}

fn tell(catalog: &Catalog, before: &Catalog) {
    tracing::info!(drills = catalog.drills().len(), "drill files read");
    for (file, error) in catalog.broken() {
        if before.broken().get(file) != Some(error) {
            let file = file.display();
            tracing::error!(%file, %error, "a drill file cannot be used; what it said before holds");
        }
    }
}
