//! The answer with all drills, kept until something in it changes: there may be
//! thousands, and who shows them asks again and again.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Bytes;

use crate::service::DrillState;

/// Broken files, and what is wrong with them.
type BrokenFiles = BTreeMap<PathBuf, String>;

/// What was told last.
#[derive(Default)]
pub struct Told(Mutex<Option<Answer>>);

struct Answer {
    drills: Vec<DrillState>,
    counted: u64,
    broken: BrokenFiles,
    text: Bytes,
}

impl Told {
    /// The answer with these, and with what is counted of them as of a version;
    /// `write` makes it where it is not the last one.
    pub fn answer(
        &self,
        drills: Vec<DrillState>,
        counted: u64,
        broken: &BrokenFiles,
        write: impl FnOnce(&[DrillState]) -> serde_json::Result<Vec<u8>>,
    ) -> serde_json::Result<Bytes> {
        // Whoever asks meanwhile waits for the same answer.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |last: &&Answer| last.counted == counted && last.tells(&drills, broken);
        if let Some(last) = last.as_ref().filter(same) {
            return Ok(last.text.clone());
        }
        let text = Bytes::from(write(&drills)?);
        *last = Some(Answer {
            text: text.clone(),
            broken: broken.clone(),
            counted,
            drills,
        });
        Ok(text)
    }
}

impl Answer {
    fn tells(&self, drills: &[DrillState], broken: &BrokenFiles) -> bool {
        self.drills.len() == drills.len()
            && self.drills.iter().zip(drills).all(|(a, b)| same(a, b))
            && self.broken == *broken
    }
}

/// As far as it is told.
fn same(a: &DrillState, b: &DrillState) -> bool {
    Arc::ptr_eq(&a.drill, &b.drill) && a.state == b.state && a.starts_at == b.starts_at
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use super::*;
    use crate::{domain::ids::RunId, service::State, spec};

    fn drill(name: &str) -> DrillState {
        let text = format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {name} }}\n\
             spec: {{ workload: {{ sqlite: {{ file: /a.db }} }} }}\n"
        );
        let drill = spec::parse(&text, Path::new("a.yaml")).unwrap();
        DrillState {
            drill: Arc::new(spec::packed::PackedDrill::new(&drill).unwrap()),
            state: State::Idle,
            scheduled_for: None,
            starts_at: None,
            found: None,
        }
    }

    #[test]
    fn whatever_changes_is_told() {
        let told = Told::default();
        let mut drills = vec![drill("a"), drill("b")];
        let mut broken = BrokenFiles::new();
        let mut count = 0_u8;
        let mut is_new = |drills: &[DrillState], counted: u64, broken: &BrokenFiles| {
            count += 1;
            let answer = told.answer(drills.to_vec(), counted, broken, |_| Ok(vec![count]));
            answer.unwrap() == [count][..]
        };
        assert!(is_new(&drills, 0, &broken));
        assert!(!is_new(&drills, 0, &broken));
        let since = Timestamp::UNIX_EPOCH;
        let run = RunId::new(since);
        drills[1].state = State::Waiting { run, since };
        assert!(is_new(&drills, 0, &broken));
        drills[1].state = State::Running { run, since };
        assert!(is_new(&drills, 0, &broken));
        drills[0].starts_at = Some(since);
        assert!(is_new(&drills, 0, &broken));
        drills[0] = DrillState {
            drill: Arc::new((*drills[0].drill).clone()),
            ..drills[0].clone()
        };
        assert!(is_new(&drills, 0, &broken));
        broken.insert("b.yaml".into(), "odd".to_owned());
        assert!(is_new(&drills, 0, &broken));
        assert!(is_new(&drills, 1, &broken));
        drills.pop();
        assert!(is_new(&drills, 1, &broken));
        assert!(!is_new(&drills, 1, &broken));
    }
}
