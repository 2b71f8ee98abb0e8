#![doc = include_str!("../README.md")]

mod admin;
mod backend;
mod config;
mod gateway;
mod pool;
mod pump;

pub use self::{
    config::{config::Config, problem::ConfigError},
    gateway::{gateway::Gateway, handle::Handle, reload::ReloadReport, start_error::StartError},
};
