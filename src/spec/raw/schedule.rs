//! When a drill runs by itself, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;

/// When `lifeboat serve` runs the drill: at times, or after each new backup.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// Five fields as in crontab, six with seconds before them, or a shorthand
    /// such as `@daily`.
    #[schemars(example = "30 2 * * mon-fri")]
    pub cron: Option<String>,
    /// Run whenever there is a backup that was not there before; for recovery
    /// points that others make.
    pub after_each_backup: Option<AfterEachBackup>,
    /// The IANA name of the zone whose clocks are meant. Default `UTC`.
    #[schemars(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
    /// Start within this time after each fire time, always at the same distance
    /// for the same drill. Default: at once.
    pub start_window: Option<DurationText>,
    /// Do not start later than this after the start was due. Default `1h`.
    pub starting_deadline: Option<DurationText>,
    #[serde(default)]
    pub catch_up: CatchUp,
    pub overlap: Option<Overlap>,
    /// Times at which the drill does not start.
    #[serde(default)]
    pub blackouts: Vec<Blackout>,
    /// Run nothing by itself for now.
    #[serde(default)]
    pub suspended: bool,
}

/// How new backups are looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AfterEachBackup {
    /// Time between two looks. A backup counts once two looks have found it the
    /// same: before, it may still be written. Default `1m`.
    pub look_every: Option<DurationText>,
}

/// What becomes of fire times that nobody was there for: noted as missed, or
/// the newest one run as soon as it can. Default `skip`.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    #[default]
    Skip,
    Once,
}

/// What becomes of a fire time at which a run of the drill still goes on: it
/// passes, it waits for that run's end until it may not start any more, or that
/// run is ended for it. Default `skip`; a backup always waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    Skip,
    Wait,
    Replace,
}

/// A time at which the drill does not start, by the clock of the zone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blackout {
    /// A time of day such as `08:00`, or a date with or without a time.
    #[schemars(
        example = "08:00",
        example = "2026-12-24",
        example = "2026-12-24T18:00"
    )]
    pub from: String,
    /// Of the same kind. A time of day that is not after `from` is meant on the
    /// next day; a date alone is its beginning.
    pub to: String,
    /// The days on which a time of day begins. Default: every day.
    #[serde(default)]
    pub days: Vec<Day>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}
