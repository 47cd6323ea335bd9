//! Fills a history as its runs would, and much faster.

use std::{sync::mpsc, time::Duration};

use jiff::Timestamp;
use lifeboat::{
    domain::{ids::RunId, tally::Newest},
    history::sql::packed,
};

use super::{
    counted::{self, Counted, Figures},
    template::{Run, Template},
};

pub const DRILLS: u32 = 10_000;
/// So many seconds lie between two runs.
const APART: u64 = 30;
/// Of so many runs one is asked for.
const ASKED: u32 = 97;
/// So many are handed on at once.
const BATCH: u32 = 1_000;

/// The columns of a row of `runs`, and of what is planted.
pub const COLUMNS: &str = "id, drill, requested_at, finished_at, concluded_at, verdict, \
                           negative_control, rto_ms, rpo_ms, namespace, proof, owner, \
                           last_write, record, packed";

/// Every run has its fire time.
pub const FIRES: &str = "INSERT INTO fires (drill, scheduled_for, settled_at, outcome, run_id) \
                         SELECT drill, requested_at, requested_at, 'started', id FROM runs";

/// A run as it lies in the history.
pub struct Planted {
    pub run: Run,
    pub verdict: &'static str,
    pub control: bool,
    pub figures: Figures,
    pub namespace: Option<String>,
    pub proof: &'static str,
    /// Of the last runs alone.
    pub newest: Option<Newest>,
    pub owner: String,
    pub last_write: String,
    pub packed: Vec<u8>,
}

/// Makes runs on one processor, and has them put into the history on another;
/// gives some of them, and what is counted of all.
pub fn plant(
    runs: u32,
    mut put: impl FnMut(&Planted) -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<Run>, Counted)> {
    let (give, taken) = mpsc::sync_channel(8);
    std::thread::spawn(move || make(runs, &give));
    let (mut some, mut counted) = (Vec::new(), Counted::new());
    let mut number = 0;
    for batch in taken {
        for planted in batch? {
            put(&planted)?;
            counted.add(number, &planted);
            if number % ASKED == 0 {
                some.push(planted.run);
            }
            number += 1;
        }
    }
    anyhow::ensure!(number == runs, "only {number} runs were made");
    Ok((some, counted))
}

/// Until nobody takes them any more.
fn make(runs: u32, give: &mpsc::SyncSender<anyhow::Result<Vec<Planted>>>) {
    let templates = Template::all();
    let mut record = String::new();
    for first in (0..runs).step_by(BATCH as usize) {
        let some = first..runs.min(first + BATCH);
        let made = some.map(|number| {
            let last = number + DRILLS >= runs;
            planted(number, &templates, last, &mut record)
        });
        if give.send(made.collect()).is_err() {
            return;
        }
    }
}

fn planted(
    number: u32,
    templates: &[Template],
    last: bool,
    record: &mut String,
) -> anyhow::Result<Planted> {
    let at = instant(number)?;
    let drill = number % DRILLS;
    let run = Run {
        id: RunId::new(at),
        drill: format!("drill-{drill}"),
        at,
    };
    let template = &templates[kind(drill)];
    template.record(&run, record);
    Ok(Planted {
        verdict: template.verdict,
        control: template.control,
        figures: Figures::of(record),
        namespace: template.namespaced.then(|| run.drill.clone()),
        proof: template.proof,
        newest: last.then(|| counted::newest(record)).transpose()?.flatten(),
        owner: format!(
            "{{\"host\":\"lifeboat-{}\",\"boot\":\"6c1297dd-fbf6-42f3-abfa-7080622e7782\",\
             \"pid\":{},\"start_ticks\":{}}}",
            drill % 3,
            number % 30_000,
            1_000_000 + number % 1_000
        ),
        last_write: format!("{:032x}", fastrand::u128(..)),
        packed: packed::pack(record)?,
        run,
    })
}

/// Of twenty drills eleven are of PostgreSQL, five of SQLite and three in
/// Kubernetes, and one is spoilt on purpose.
fn kind(drill: u32) -> usize {
    match drill % 20 {
        0..=10 => 0,
        11..=15 => 1,
        16..=18 => 2,
        _ => 3,
    }
}

/// When the run of a number was requested.
fn instant(number: u32) -> anyhow::Result<Timestamp> {
    let begin = Timestamp::from_second(1_700_000_000)?;
    Ok(begin + Duration::from_secs(APART * u64::from(number)))
}
