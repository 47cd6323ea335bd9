//! What the log tells.

use std::str::FromStr;

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

use crate::api::AUDIT;

const WRONG: &str = "use error, warn, info, debug or trace, perhaps with `,audit=off`";

/// From which level on the log tells of what goes on. Who asked the service for
/// what is told whatever the level is, unless that is turned off by name: whoever
/// wants a short log does not mean to lose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    level: Level,
    audit: bool,
}

impl Levels {
    #[must_use]
    pub fn filter(self) -> Targets {
        let audit = if self.audit {
            LevelFilter::INFO
        } else {
            LevelFilter::OFF
        };
        Targets::new()
            .with_default(self.level)
            .with_target(AUDIT, audit)
    }
}

impl From<Level> for Levels {
    fn from(level: Level) -> Self {
        Self { level, audit: true }
    }
}

impl FromStr for Levels {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (level, audit) = match text.split_once(',') {
            None => (text, true),
            Some((level, "audit=off")) => (level, false),
            Some(_) => return Err(WRONG),
        };
        let level = level.parse().map_err(|_| WRONG)?;
        Ok(Self { level, audit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_is_told_unless_it_is_turned_off_by_name() {
        for (text, audit, infos) in [
            ("error", true, false),
            ("warn", true, false),
            ("DEBUG", true, true),
            ("warn,audit=off", false, false),
            ("info,audit=off", false, true),
        ] {
            let filter = text.parse::<Levels>().unwrap().filter();
            assert_eq!(filter.would_enable(AUDIT, &Level::INFO), audit, "{text}");
            let other = filter.would_enable("lifeboat::app", &Level::INFO);
            assert_eq!(other, infos, "{text}");
        }
        for text in [
            "",
            "wran",
            "audit=off",
            "warn,audit=on",
            "warn,lifeboat=info",
        ] {
            assert_eq!(text.parse::<Levels>(), Err(WRONG), "{text}");
        }
    }
}
