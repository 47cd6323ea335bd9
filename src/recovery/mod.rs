//! Recovery points outside the run's own directories: those that are there
//! already, and buckets that dumps are kept in.

mod path;
mod pattern;
pub mod s3;

pub use self::path::newest;
