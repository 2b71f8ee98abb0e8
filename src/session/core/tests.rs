//! The state machine under injected time.
