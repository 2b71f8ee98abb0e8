#![doc = include_str!("../README.md")]

mod command;
mod config;

#[doc(hidden)]
pub use self::command::run::run;
pub use self::config::{config::Config, problem::ConfigError};
