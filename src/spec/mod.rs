//! What users write: parsed and validated once, into [`drill::Drill`].

pub mod drill;
