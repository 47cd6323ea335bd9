//! Something to say, in the forms that targets take.

use serde_json::Value;

/// What a target is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// What it is about: together with the target's name it tells a message
    /// from any other.
    pub about: String,
    pub json: Value,
    /// For Slack, where nothing that was put in makes a link or a mention.
    pub slack: String,
}

/// A text without the signs of which Slack makes links and mentions.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
