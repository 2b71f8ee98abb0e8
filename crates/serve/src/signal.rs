//! The signals by which a process is asked to stop.

/// Completes when the process gets SIGTERM, or Ctrl-C; elsewhere than on Unix, Ctrl-C alone.
///
/// # Panics
/// If the operating system refuses a handler for one of them: a server that cannot be told to stop should not start.
///
/// # Cancel safety
/// Safe: a signal that comes while nobody waits is lost, and has no other effect any more.
pub async fn terminated() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).expect("a handler for SIGTERM can be set");
        tokio::select! {
            interrupted = interrupted => interrupted.expect("a handler for Ctrl-C can be set"),
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupted.await.expect("a handler for Ctrl-C can be set");
}
