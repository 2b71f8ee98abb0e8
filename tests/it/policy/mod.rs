//! Who may do what, and how much of it.

mod cookies;
mod cors;
mod identity;
mod limits;
mod origin;
mod secrets;
mod security;
