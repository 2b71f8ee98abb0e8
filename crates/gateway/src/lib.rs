#![doc = include_str!("../README.md")]

mod admin;
mod backend;
mod command;
mod config;
mod gateway;
mod pool;
mod pump;

#[doc(hidden)]
pub use self::command::run::run;
pub use self::{
    config::{config::Config, problem::ConfigError},
    gateway::{gateway::Gateway, handle::Handle, reload::ReloadReport, start_error::StartError},
};
