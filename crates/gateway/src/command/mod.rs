//! The program: its arguments, its checks, and its life as a process.
//!
//! Imports: backend, config, gateway.

pub(crate) mod arguments;
mod check;
mod file_limit;
mod files;
mod healthcheck;
mod log;
#[cfg(test)]
mod man;
mod output;
pub(crate) mod run;
mod secrets;
mod supervise;
mod systemd;
mod text;
mod variables;
