#![doc = include_str!("../README.md")]

mod admin;
mod backend;
mod config;
mod pool;
mod pump;

pub use self::config::config::Config;
