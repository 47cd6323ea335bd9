//! Shows a run: text for a terminal, JSON for programs, one HTML page for
//! people. Pure functions of a [`RunRecord`](crate::domain::record::RunRecord).

pub mod agenda;
pub mod facts;
pub mod format;
pub mod html;
pub mod json;
pub mod list;
pub mod settings;
pub mod text;
mod timeline_svg;
pub mod words;
