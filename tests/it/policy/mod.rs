//! Who may do what, and how much of it.

mod identity;
mod limits;
mod origin;
mod security;
