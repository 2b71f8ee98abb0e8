//! What only this crate can name.

/// An argument of methods that only this crate implements and calls.
#[derive(Debug, Clone, Copy)]
pub struct Seal(());

pub(super) const SEAL: Seal = Seal(());
