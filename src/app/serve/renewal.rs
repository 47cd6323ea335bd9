//! Files that are read again while the service goes on.

use std::{path::PathBuf, sync::Arc};

use rustls::sign::CertifiedKey;

use crate::{
    api::{self, Renew, Renewed, Tokens},
    notify::Targets,
};

/// What stands in them, where they are named.
pub(super) struct Renewal {
    pub tokens: Option<Arc<Renewed<Tokens>>>,
    pub tls: Option<Arc<Renewed<CertifiedKey>>>,
    pub targets: Option<Arc<Renewed<Targets>>>,
}

impl Renewal {
    /// Reads them for the first time.
    pub(super) fn read(
        tokens: Option<PathBuf>,
        tls: Option<[PathBuf; 2]>,
        targets: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let tokens =
            tokens.map(|file| Renewed::new(vec![file.clone()], move || Tokens::read(&file)));
        let tls = tls.map(|[chain, key]| {
            let files = vec![chain.clone(), key.clone()];
            Renewed::new(files, move || api::certificate(&chain, &key))
        });
        let targets =
            targets.map(|file| Renewed::new(vec![file.clone()], move || Targets::read(&file)));
        Ok(Self {
            tokens: tokens.transpose()?.map(Arc::new),
            tls: tls.transpose()?.map(Arc::new),
            targets: targets.transpose()?.map(Arc::new),
        })
    }

    /// Each of them, to be read again.
    pub(super) fn all(&self) -> Vec<Arc<dyn Renew>> {
        let tokens = self.tokens.clone().map(|one| one as Arc<dyn Renew>);
        let tls = self.tls.clone().map(|one| one as Arc<dyn Renew>);
        let targets = self.targets.clone().map(|one| one as Arc<dyn Renew>);
        [tokens, tls, targets].into_iter().flatten().collect()
    }
}
