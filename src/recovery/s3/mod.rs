//! Buckets of stores that speak S3, as places for dumps.
//!
//! What a run makes lies below `<prefix>/<name of the run>/`, beside an object
//! that says whose it is, and nothing else is ever altered or removed. What is
//! found elsewhere is only read.

mod checksum;
mod clear;
mod client;
mod drain;
mod error;
mod fetch;
mod list;
mod shelf;
mod upload;

use std::sync::{Arc, atomic::AtomicBool};

use aws_sdk_s3::Client;

pub use self::{
    checksum::Sum,
    client::{Access, access},
    drain::Filling,
    fetch::Wanted,
    list::Object,
    shelf::{Manifest, Shelf, root},
};
use crate::domain::{failure::Failure, store::S3Place};

/// How much is sent and asked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of a part of an upload, in bytes. S3 wants 5 MiB at least.
    pub part: usize,
    /// Parts of an object at most: S3 allows 10,000. A longer content becomes
    /// several objects, so that parts, which are held in memory, stay small.
    pub parts: usize,
    /// Parts on their way at once; each is held in memory.
    pub uploads: usize,
    /// Of a range of a download, in bytes.
    pub range: u64,
    /// Ranges on their way at once; little of them is held in memory.
    pub downloads: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            part: 8 << 20,
            parts: 8192,
            uploads: 4,
            range: 16 << 20,
            downloads: 8,
        }
    }
}

/// A bucket, and who asks there.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    place: Arc<S3Place>,
    pub sizes: Sizes,
    /// Whether the server has not yet said that it does not know CRC-64.
    knows_crc64: Arc<AtomicBool>,
}

impl Bucket {
    /// Reads credentials and certificates; connects at the first request.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn open(place: &S3Place) -> Result<Self, Failure> {
        Ok(Self::of(place, client::client(place).await?))
    }

    /// The same for who is known already.
    ///
    /// # Errors
    /// If certificates cannot be read.
    pub fn open_as(place: &S3Place, access: &Access) -> Result<Self, Failure> {
        Ok(Self::of(place, client::client_as(place, access)?))
    }

    fn of(place: &S3Place, client: Client) -> Self {
        Self {
            client,
            place: Arc::new(place.clone()),
            sizes: Sizes::default(),
            knows_crc64: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Where an object is, for people.
    #[must_use]
    pub fn location(&self, key: &str) -> String {
        self.place.location(key)
    }
}
