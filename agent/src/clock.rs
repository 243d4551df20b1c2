//! The time, as the key agent is told it.

use std::sync::Arc;

use notme_core::time::UnixTime;

/// Tells the time. Only programs and tests know the real one.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;
