//! What is different in one run from what its drill says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::record::Profile,
    engine::Fault,
    spec::{drill::Drill, raw},
};

/// What is different in one run from what its drill says; nothing where it is
/// empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// What may be concluded from the time that it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// How deep the engine's own checks go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<raw::Integrity>,
    /// What is spoilt in the copy on purpose: the drill has to fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub negative_control: Vec<Fault>,
}

impl Overrides {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes a drill for its run.
    pub fn apply(&self, drill: &mut Drill) {
        drill.profile = self.profile.unwrap_or(drill.profile);
        if let Some(integrity) = self.integrity {
            drill.checks.integrity = integrity.into();
        }
    }
}
