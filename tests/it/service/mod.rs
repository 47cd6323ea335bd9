//! The keeper of schedules, on a history in memory, with time that is made to
//! pass.

mod backups;
mod clocks;
mod orphans;
mod patience;
mod schedules;
mod stage;
mod stops;
