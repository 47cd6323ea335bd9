//! Hands events to a thread that may take its time.
//!
//! A screen can stall (Ctrl-S, a slow pipe). The run must not: `hear` only
//! puts the event into a queue. Events that merely move a bar are dropped
//! while the thread is far behind, so the queue stays small.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

use crate::domain::event::{Event, EventKind, Listener};

/// From how many waiting events on progress is dropped.
const FAR_BEHIND: usize = 256;

/// The near end of the queue.
pub(super) struct Relay {
    queue: Mutex<Option<(Sender<Event>, JoinHandle<()>)>>,
    waiting: Arc<AtomicUsize>,
}

impl Relay {
    /// Calls `draw` with each event, on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn new(mut draw: impl FnMut(&Event) + Send + 'static) -> std::io::Result<Self> {
        let (sender, events): (Sender<Event>, Receiver<Event>) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let behind = waiting.clone();
        let work = move || {
            for event in events {
                behind.fetch_sub(1, Ordering::Relaxed);
                draw(&event);
            }
        };
        let name = "lifeboat-screen".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Self {
            queue: Mutex::new(Some((sender, thread))),
            waiting,
        })
    }

    /// Waits until all is drawn; what is heard later is dropped.
    pub(super) fn finish(&self) {
        let queue = self.lock().take();
        if let Some((sender, thread)) = queue {
            drop(sender);
            // A drawing that panicked must not take the run's result along.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Sender<Event>, JoinHandle<()>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Relay {
    fn hear(&self, event: &Event) {
        let behind = self.waiting.load(Ordering::Relaxed) > FAR_BEHIND;
        if behind && matches!(event.kind, EventKind::Progress { .. }) {
            return;
        }
        if let Some((sender, _)) = self.lock().as_ref() {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = sender.send(event.clone());
        }
    }
}
