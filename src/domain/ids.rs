//! Typed identifiers and the names that follow from them.

use std::{fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identifies one run. Sorts by the time of its making (UUID version 7).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A new id for a run that is requested at `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
        Self(Uuid::new_v7(stamp))
    }

    /// When it was made, to the millisecond; none for an id that says no time.
    #[must_use]
    pub fn made_at(&self) -> Option<Timestamp> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        Timestamp::new(seconds.try_into().ok()?, nanos.try_into().ok()?).ok()
    }

    /// Its 16 bytes as one number, the first ones highest.
    #[must_use]
    pub fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }

    /// The name every outside resource of this run begins with, such as
    /// `lb-3f9a1c0de5b2`: a pure function of the id, valid as a DNS label.
    #[must_use]
    pub fn resource_name(&self) -> String {
        let hex = self.0.simple().to_string();
        format!("lb-{}", &hex[hex.len() - 12..])
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// The name of a drill: a DNS label, so it can name Kubernetes objects too.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct DrillName(Arc<str>);

/// The text is no DNS label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid name: use 1 to 63 lower-case letters, digits and hyphens, beginning \
     and ending with a letter or digit"
)]
pub struct InvalidName(pub String);

impl DrillName {
    /// The longest name.
    pub const MAX_LEN: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DrillName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
        let valid = (1..=Self::MAX_LEN).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && edge(text.chars().next())
            && edge(text.chars().next_back());
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(text))
        }
    }
}

impl FromStr for DrillName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<DrillName> for String {
    fn from(name: DrillName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for DrillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
