//! What Prometheus scrapes.
//!
//! Whatever is told of runs comes from what the history has counted, at every
//! scrape what is new there: so it is right after a restart, and the same from
//! every replica. What is told of this process comes from the process.

mod board;
mod meters;
mod names;
mod page;
mod series;
mod spread;

pub use self::{
    board::{Board, Kept, Scene, Sweep},
    meters::Meters,
    names::{METRICS, Metric, page},
    page::Page,
};
