//! The runner: orders the steps of a run, live and after a crash alike.
//!
//! [`plan`] decides, [`execute`] acts, [`store`] remembers. Nothing outside
//! this module orders steps, and nothing in here knows an engine.

pub mod cancel;
pub mod context;
pub mod execute;
pub mod forward;
mod give_back;
mod give_up;
pub mod hook;
pub mod overrides;
pub mod plan;
pub mod record;
pub mod recover;
pub mod release;
pub mod revive;
pub mod store;
