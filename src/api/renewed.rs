//! What a file says, read again when it changes.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use crate::domain::failure::Failure;

/// What files say now; or said before, while they are broken.
pub struct Renewed<T> {
    value: RwLock<Arc<T>>,
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, Failure> + Send + Sync>,
}

impl<T> Renewed<T> {
    /// Reads for the first time what `files` say.
    ///
    /// # Errors
    /// As `read` has them.
    pub fn new(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let value = RwLock::new(Arc::new(read()?));
        let read = Box::new(read);
        Ok(Self { value, files, read })
    }

    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.value
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What can be read again.
pub trait Renew: Send + Sync {
    /// The files that say it.
    fn files(&self) -> &[PathBuf];

    /// Reads them again. On an error all stays as it is.
    ///
    /// # Errors
    /// If they are broken.
    fn renew(&self) -> Result<(), Failure>;
}

impl<T: Send + Sync> Renew for Renewed<T> {
    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn renew(&self) -> Result<(), Failure> {
        let new = Arc::new((self.read)()?);
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}
