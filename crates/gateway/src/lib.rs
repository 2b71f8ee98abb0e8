#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod pool;
mod pump;

pub use self::config::{config::Config, problem::ConfigError};
