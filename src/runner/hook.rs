//! Points at which a test may stop the world.

/// Called at every instant at which dying would leave a different state
/// behind: before and after each write to the history, and around each effect.
pub trait Hook: Send + Sync {
    /// `point` names the instant, such as `before write step_started`.
    fn reached(&self, point: &str);
}

/// Does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn reached(&self, _point: &str) {}
}
