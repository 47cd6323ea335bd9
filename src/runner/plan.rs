//! From a journal to the next action: one pure function.

use crate::domain::{
    journal::RunState,
    step::{Acquired, Step},
};

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Do a step of the forward pass.
    Do(Step),
    /// Draw the conclusion and store it, before anything is torn down.
    Conclude,
    /// Give something back.
    Release(Acquired),
    /// Note that nothing is left.
    Finish,
    /// Nothing more can be done now: finished, or something is stuck and the
    /// sweeper keeps at it.
    Rest,
}

/// Decides, for a run that does `steps` in order.
///
/// A drill differs from a classic saga in that success unwinds, too: first the
/// forward pass, then the verdict, and then everything is given back in
/// reverse order, however the run ended.
#[must_use]
pub fn next(steps: &[Step], state: &RunState) -> Action {
    if state.finished {
        return Action::Rest;
    }
    if state.verdict.is_none() {
        let done = state.done.last();
        let following = steps
            .iter()
            .find(|step| done.is_none_or(|done| *step > done));
        return match following {
            Some(step) if state.ended.is_none() => Action::Do(*step),
            _ => Action::Conclude,
        };
    }
    let free = state
        .held
        .iter()
        .rev()
        .find(|held| !state.stuck.contains(held));
    match free {
        // What lies inside something stuck is tried all the same: the less is
        // left behind, the better.
        Some(acquired) => Action::Release(*acquired),
        None if state.held.is_empty() => Action::Finish,
        None => Action::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        failure::{Failure, FailureKind},
        journal::Entry,
        verdict::Verdict,
    };

    fn failure() -> Failure {
        Failure::new(FailureKind::Internal, "x")
    }

    /// Plays a run in which step number `fail_at` fails, and gives its journal.
    fn play(steps: &[Step], fail_at: Option<Step>, stuck: Option<Acquired>) -> Vec<Entry> {
        let mut journal = Vec::new();
        for _ in 0..100 {
            let state = RunState::replay(&journal).unwrap();
            match next(steps, &state) {
                Action::Do(step) => {
                    journal.push(Entry::StepStarted { step });
                    journal.push(if fail_at == Some(step) {
                        Entry::StepFailed {
                            step,
                            failure: failure(),
                        }
                    } else {
                        Entry::StepDone {
                            step,
                            summary: String::new(),
                            copy: None,
                        }
                    });
                }
                Action::Conclude => journal.push(Entry::Concluded {
                    verdict: Verdict::Passed,
                }),
                Action::Release(acquired) => {
                    journal.push(Entry::ReleaseStarted { acquired });
                    journal.push(if stuck == Some(acquired) {
                        Entry::ReleaseFailed {
                            acquired,
                            failure: failure(),
                        }
                    } else {
                        Entry::Released { acquired }
                    });
                }
                Action::Finish => journal.push(Entry::Finished),
                Action::Rest => return journal,
            }
        }
        panic!("does not end: {journal:?}");
    }

    #[test]
    fn whatever_step_fails_everything_is_given_back_once() {
        for fail_at in Step::ALL.into_iter().map(Some).chain([None]) {
            let journal = play(&Step::ALL, fail_at, None);
            let state = RunState::replay(&journal).unwrap();
            assert!(state.finished && state.held.is_empty(), "{fail_at:?}");
            for acquired in [
                Acquired::Instance,
                Acquired::Sandbox,
                Acquired::RecoveryPoint,
            ] {
                let released = journal
                    .iter()
                    .filter(|e| matches!(e, Entry::Released { acquired: a } if *a == acquired))
                    .count();
                let started = journal.iter().any(
                    |e| matches!(e, Entry::StepStarted { step } if step.acquires() == Some(acquired)),
                );
                assert_eq!(released, usize::from(started), "{fail_at:?} {acquired}");
            }
        }
    }

    #[test]
    fn every_prefix_of_a_journal_can_be_recovered() {
        let journal = play(&Step::ALL, None, None);
        for length in 0..journal.len() {
            let mut prefix = journal[..length].to_vec();
            prefix.push(Entry::Interrupted);
            let state = RunState::replay(&prefix).unwrap();
            let action = next(&Step::ALL, &state);
            assert!(
                !matches!(action, Action::Do(_)),
                "a dead run must not go on: {prefix:?}"
            );
        }
    }

    #[test]
    fn a_run_whose_copy_goes_on_is_taken_up_where_it_was() {
        let started = |step| Entry::StepStarted { step };
        let done = |step, copy| Entry::StepDone {
            step,
            summary: String::new(),
            copy,
        };
        let mut steps = Step::ALL.to_vec();
        steps.retain(|step| *step != Step::Spoil);
        let mut journal = Vec::new();
        for step in [Step::Inspect, Step::Capture, Step::OpenSandbox] {
            journal.extend([started(step), done(step, None)]);
        }
        let of = |journal: &[Entry]| RunState::replay(journal).unwrap();
        journal.push(started(Step::Start));
        assert_eq!(of(&journal).goes_on(), None, "it may not have begun");
        journal.push(done(Step::Start, Some("the pod".into())));
        for step in [Step::Restore, Step::Serve, Step::Verify] {
            assert!(of(&journal).goes_on().is_some());
            journal.push(started(step));
            // It is under way, and nothing that came before is done again.
            let state = of(&journal);
            assert!(state.goes_on().is_some());
            assert_eq!(next(&steps, &state), Action::Do(step));
            journal.push(done(step, None));
        }
        assert_eq!(
            of(&journal).goes_on(),
            None,
            "there is nothing more to hear"
        );
        journal.truncate(8);
        journal.push(Entry::Interrupted);
        assert_eq!(of(&journal).goes_on(), None, "it is released");
    }

    #[test]
    fn what_is_stuck_does_not_stop_the_rest_and_is_tried_again_by_the_next_pass() {
        let mut journal = play(&Step::ALL, None, Some(Acquired::Sandbox));
        let state = RunState::replay(&journal).unwrap();
        assert_eq!(state.held, [Acquired::Sandbox]);
        assert!(!state.finished);
        journal.push(Entry::Interrupted);
        let state = RunState::replay(&journal).unwrap();
        assert_eq!(next(&Step::ALL, &state), Action::Release(Acquired::Sandbox));
    }

    #[test]
    fn release_is_in_reverse_order() {
        let releases: Vec<Acquired> = play(&Step::ALL, None, None)
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Released { acquired } => Some(acquired),
                _ => None,
            })
            .collect();
        let expected = [
            Acquired::Instance,
            Acquired::Sandbox,
            Acquired::RecoveryPoint,
        ];
        assert_eq!(releases, expected);
    }
}
