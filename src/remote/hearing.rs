//! Hearing an agent: its lines, put in order and in time.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::ResourceExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tracing::Instrument as _;

use super::tie::{Tie, Tied};
use crate::{
    agent::protocol::{Done, Line, Said},
    domain::{
        event::{EventKind, micros},
        failure::{Failure, FailureKind},
        step::Step,
        timeline::Milestone,
    },
    engine::Context,
    k8s::{self, Cluster, Container, Ended, Object},
    workload::rewrite::{AGENT, FIRST},
};

/// An agent that says nothing for so long is not there.
const SILENCE: Duration = Duration::from_secs(5);

/// How long an agent's container may take to start, image and all.
const START: Duration = Duration::from_mins(10);

/// What an agent's end means that nobody waited for.
fn over(pod: &Object, ended: &Ended) -> Failure {
    let of_pod = format!("the agent in pod {}", pod.name_any());
    if !ended.restarted {
        let message = format!("{of_pod} {ended}");
        return Failure::new(FailureKind::Unavailable, message);
    }
    // Its memory is gone, and what it would measure would be wrong.
    let message = format!("{of_pod} was restarted in the middle of its work: it had {ended}");
    Failure::new(FailureKind::Interrupted, message)
        .hint("see the pod's events: out of memory, or a node that was restarted?")
}

/// What was found in the copy before would be missing, and nobody would know.
fn rotated() -> Failure {
    let message = "the first lines of the agent's log are gone, and with them what it found";
    Failure::new(FailureKind::Interrupted, message)
        .hint("the kubelet keeps containerLogMaxSize of a container's log")
}

/// An agent that is listened to.
pub(super) struct Hearing {
    done: mpsc::UnboundedReceiver<Told>,
    task: JoinHandle<()>,
    tie: Arc<Mutex<Tie>>,
    /// Whether the clocks are tied closely.
    close: watch::Receiver<bool>,
    /// Its pod, as it was made.
    pub pod: Object,
}

fn locked(tie: &Mutex<Tie>) -> MutexGuard<'_, Tie> {
    tie.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What steps wait for.
enum Told {
    Done(Box<Done>),
    Failed(Step, Failure),
    /// No more lines will come.
    Over(Failure),
}

impl Hearing {
    /// Begins to listen to a pod that was just made.
    pub(super) fn begin(cx: &Context, cluster: &Cluster, pod: Object) -> Self {
        Self::of(cx, cluster, pod, (Tie::default(), None))
    }

    /// Begins to listen to a pod that another process has listened to, until the
    /// step `done` at least.
    pub(super) fn again(
        cx: &Context,
        cluster: &Cluster,
        pod: Object,
        (tied, done): (Tied, Step),
    ) -> Self {
        Self::of(cx, cluster, pod, (tied.into(), Some(done)))
    }

    fn of(cx: &Context, cluster: &Cluster, pod: Object, known: (Tie, Option<Step>)) -> Self {
        let (tell, done) = mpsc::unbounded_channel();
        let (closer, close) = watch::channel(false);
        let tie = Arc::new(Mutex::new(known.0));
        let mut ear = Ear {
            cx: cx.clone(),
            tell,
            heard: 0,
            known: known.1,
            tie: tie.clone(),
            closer,
        };
        let cluster = cluster.clone();
        let heard = pod.clone();
        let hear = async move {
            let which = Container {
                pod: &heard,
                container: AGENT,
                after: &FIRST,
            };
            let ended = k8s::follow(&cluster, which, START, |line| ear.hear(line.text)).await;
            let failure = match ended {
                Ok(ended) => over(&heard, &ended),
                Err(failure) => failure,
            };
            ear.say(Told::Over(failure));
        };
        let task = tokio::spawn(hear.in_current_span());
        Self {
            done,
            task,
            tie,
            close,
            pod,
        }
    }

    /// Waits until a step is done.
    ///
    /// # Errors
    /// With what kept the agent from it.
    pub(super) async fn next(&mut self) -> Result<Done, Failure> {
        match self.done.recv().await {
            Some(Told::Done(done)) => Ok(*done),
            Some(Told::Failed(step, failure)) => Err(failure.context(format!("in step {step}"))),
            Some(Told::Over(failure)) => Err(failure),
            None => Err(Failure::new(
                FailureKind::Internal,
                "the agent is not heard any more",
            )),
        }
    }

    /// Ends the listening: what becomes of the pod from now on is of no interest.
    /// Gives the pod.
    pub(super) fn over(self) -> Object {
        self.pod.clone()
    }

    /// What another process has to know to go on listening; waits until it is
    /// known. `None` where nobody keeps the run's time, or the agent says nothing.
    pub(super) async fn tied(&mut self, cx: &Context) -> Option<Tied> {
        let close = self.close.wait_for(|close| *close);
        tokio::time::timeout(SILENCE, close).await.ok()?.ok()?;
        let elapsed = cx.events.elapsed()?;
        locked(&self.tie).tied(micros(cx.clock.monotonic()), elapsed)
    }

    /// The longest time between a line's being said and its being heard. `None`
    /// where nobody was there to hear.
    pub(super) fn longest_lag(&self) -> Option<Duration> {
        locked(&self.tie).lag()
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Ear {
    cx: Context,
    tell: mpsc::UnboundedSender<Told>,
    /// The number of the last line.
    heard: u64,
    /// Up to which step another process has heard what came of it.
    known: Option<Step>,
    tie: Arc<Mutex<Tie>>,
    closer: watch::Sender<bool>,
}

impl Ear {
    /// Breaks at a line of another agent, which was started anew.
    fn hear(&mut self, text: &str) -> ControlFlow<()> {
        let now = micros(self.cx.clock.monotonic());
        // Other programs may write to the same output.
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            return ControlFlow::Continue(());
        };
        if *locked(&self.tie).life.get_or_insert(line.life) != line.life {
            return ControlFlow::Break(());
        }
        if line.n <= self.heard {
            return ControlFlow::Continue(());
        }
        if self.known.is_some() && self.heard == 0 && line.n > 1 {
            self.say(Told::Over(rotated()));
            return ControlFlow::Break(());
        }
        if line.n > self.heard + 1 && self.heard > 0 {
            let lost = line.n - self.heard - 1;
            self.cx.note(format!("{lost} lines of the agent were lost"));
        }
        self.heard = line.n;
        let when = {
            let mut tie = locked(&self.tie);
            let when = tie.hear(now, line.us);
            self.closer
                .send_if_modified(|close| !std::mem::replace(close, tie.is_close()) && *close);
            when
        };
        match line.said {
            Said::Event(event) => when.tell(&*self.cx.events, event),
            Said::Done(done) if self.is_known(&done) => {}
            Said::Done(done) => {
                if let Done::Verify(_) = *done {
                    let milestone = Milestone::Verified;
                    when.tell(&*self.cx.events, EventKind::Reached { milestone });
                }
                self.say(Told::Done(done));
            }
            Said::Failed { step, failure } => self.say(Told::Failed(step, failure)),
            Said::Beat => {}
            // There is nothing more to wait for.
            Said::End => {
                self.closer.send_replace(true);
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether what came of it is in the history.
    fn is_known(&self, done: &Done) -> bool {
        let step = done.step();
        self.known
            .zip(step)
            .is_some_and(|(known, step)| step <= known)
    }

    /// Nobody listens any more where the run has ended.
    fn say(&self, told: Told) {
        let _ = self.tell.send(told);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{clock::Clock, domain::ids::RunId, engine::EventSink};

    /// Our clock, set by hand.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            Duration::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    #[derive(Default)]
    struct Placed(Mutex<Vec<(String, u64)>>);

    impl EventSink for Placed {
        fn emit(&self, event: EventKind) {
            self.emit_ago(event, Duration::ZERO);
        }

        fn emit_ago(&self, event: EventKind, ago: Duration) {
            if let EventKind::Note { message } = event {
                self.0.lock().unwrap().push((message, micros(ago)));
            }
        }
    }

    fn note(n: u64, us: u64) -> String {
        let message = format!("line {n}");
        let said = Said::Event(EventKind::Note { message });
        let life = 7;
        serde_json::to_string(&Line { life, n, us, said }).unwrap()
    }

    #[test]
    fn a_late_line_is_put_where_it_belongs_and_none_counts_twice() {
        let (clock, placed) = (Arc::new(Hand::default()), Arc::new(Placed::default()));
        let (tell, _done) = mpsc::unbounded_channel();
        let mut ear = Ear {
            cx: Context {
                run: RunId::new(jiff::Timestamp::UNIX_EPOCH),
                clock: clock.clone(),
                events: placed.clone(),
                cancel: tokio_util::sync::CancellationToken::new(),
            },
            tell,
            heard: 0,
            known: None,
            tie: Arc::default(),
            closer: watch::Sender::default(),
        };
        // Ours is 5,000 ahead. The first line takes 40, the second 10.
        for (now, line) in [(5_140, note(1, 100)), (5_210, note(2, 200))] {
            clock.0.store(now, Ordering::Relaxed);
            assert!(ear.hear(&line).is_continue());
        }
        // The stream breaks, and comes back long after, from the beginning.
        clock.0.store(9_000, Ordering::Relaxed);
        for line in [
            note(1, 100),
            note(2, 200),
            note(3, 300),
            "noise".to_owned(),
            note(4, 3_900),
        ] {
            assert!(ear.hear(&line).is_continue());
        }
        let other = note(5, 4_000).replace("\"life\":7", "\"life\":8");
        assert!(ear.hear(&other).is_break(), "another agent's");
        let placed = placed.0.lock().unwrap();
        let expected = [
            ("line 1", 0),
            ("line 2", 0),
            ("line 3", 3_690),
            ("line 4", 90),
        ];
        assert_eq!(*placed, expected.map(|(text, ago)| (text.to_owned(), ago)));
    }
}
