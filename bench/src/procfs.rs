//! What Linux says about processes.

use std::{fs, time::Duration};

/// Ticks of `/proc/PID/stat` in a second: the same on every Linux that is in use.
const TICKS: u64 = 100;

/// The processor time of a process, all its threads and all its descendants.
pub(crate) fn cpu(pid: u32) -> Duration {
    family(pid).into_iter().map(cpu_of_one).sum()
}

/// The processor time of this process alone.
pub(crate) fn own_cpu() -> Duration {
    cpu_of_one(std::process::id())
}

fn cpu_of_one(pid: u32) -> Duration {
    let ticks = stat(pid).map_or(0, |stat| stat.ticks);
    // Without threads that have ended, but in nanoseconds; not every kernel has it.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        fs::read_to_string(thread.path().join("schedstat"))
            .ok()?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    Duration::from_millis(ticks * 1000 / TICKS).max(Duration::from_nanos(nanos.sum()))
}

/// The resident memory of a process and all its descendants, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    resident_of_each(pid).iter().sum()
}

/// The resident memory of a process and of each of its descendants, in bytes.
pub(crate) fn resident_of_each(pid: u32) -> Vec<u64> {
    family(pid).iter().filter_map(|pid| resident_of_one(*pid)).collect()
}

fn resident_of_one(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

/// A process and its descendants.
fn family(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut family = vec![pid];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}
