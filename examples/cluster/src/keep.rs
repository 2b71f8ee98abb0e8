//! Keeps a program that knows nothing of its parent: `keep` ends it when its own standard input ends. So nothing stays
//! behind, however the example itself ends.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::PathBuf,
    process::Stdio,
};

use axum::BoxError;
use axum_sockjs_serve::terminated;
use clap::Args;
use tokio::process::Command;

use crate::node::{input_ends, say};

#[derive(Args)]
pub(crate) struct KeepArgs {
    /// Where its output goes.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// What goes if the parent has ended and cannot see to it.
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(crate) async fn run(args: KeepArgs) -> Result<(), BoxError> {
    let log = File::create(args.log)?;
    let mut child = Command::new(&args.program)
        .args(args.args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    say(format_args!("ready: pid {}", child.id().unwrap_or_default()));
    let has_parent = tokio::select! {
        ended = child.wait() => return Err(format!("has ended by itself: {}", ended?).into()),
        asked = input_ends() => asked,
        () = terminated() => true,
    };
    child.kill().await?;
    if !has_parent {
        fs::remove_dir_all(args.scratch)?;
    }
    Ok(())
}
