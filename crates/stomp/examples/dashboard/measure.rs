//! What the machine and this process use, as Linux says in `/proc`. Elsewhere nothing is known.
//!
//! Reading these files waits for no disk, so that it needs no thread of its own.

use std::fs;

use serde::Serialize;

/// Processor time, in per cent of what all processors have.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Cpu {
    machine: f64,
    process: f64,
    processors: usize,
}

/// Memory, in bytes.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// Of the machine: what is neither free nor could be freed at once.
    used: u64,
    total: u64,
    /// Of this process, in RAM.
    process: u64,
}

/// Processor time since the machine was started, in ticks of its clock.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    total: u64,
    busy: u64,
    process: u64,
    processors: usize,
}

/// Measures processor time between two calls.
pub(crate) struct CpuMeter {
    before: Option<Ticks>,
}

impl CpuMeter {
    /// The first measurement is of the time since this call.
    pub(crate) fn new() -> Self {
        Self { before: Ticks::read() }
    }

    /// What has been used since the last call: nothing if that is not known, or no time has passed.
    pub(crate) fn measure(&mut self) -> Option<Cpu> {
        let now = Ticks::read();
        let before = std::mem::replace(&mut self.before, now);
        now?.since(before?)
    }
}

impl Ticks {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(machine: &str, process: &str) -> Option<Self> {
        // user, nice, system, idle, iowait, irq, softirq, steal; that of guests is contained in the first two.
        let all: Vec<u64> = machine
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))?
            .split_whitespace()
            .take(8)
            .map_while(|ticks| ticks.parse().ok())
            .collect();
        let (idle, iowait) = (all.get(3)?, all.get(4)?);
        let total: u64 = all.iter().sum();
        let processors = machine
            .lines()
            .filter_map(|line| line.strip_prefix("cpu"))
            .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            .count();
        // The second field is the command's name in brackets, which may hold anything; the state follows it.
        let (_, fields) = process.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
        let (user, system) = (fields.next()?, fields.next()?);
        Some(Self { total, busy: total - idle - iowait, process: user + system, processors })
    }

    fn since(self, before: Self) -> Option<Cpu> {
        let total = self.total.checked_sub(before.total).filter(|ticks| *ticks > 0)?;
        // The count of a processor that waits may go back a little.
        let percent = |now: u64, before: u64| {
            rounded((now.saturating_sub(before) as f64 / total as f64 * 100.).min(100.))
        };
        Some(Cpu {
            machine: percent(self.busy, before.busy),
            process: percent(self.process, before.process),
            processors: self.processors,
        })
    }
}

/// The memory in use, where that is known.
pub(crate) fn memory() -> Option<Memory> {
    parse_memory(&fs::read_to_string("/proc/meminfo").ok()?, &fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_memory(machine: &str, process: &str) -> Option<Memory> {
    let total = bytes_of(machine, "MemTotal:")?;
    let used = total.checked_sub(bytes_of(machine, "MemAvailable:")?)?;
    Some(Memory { used, total, process: bytes_of(process, "VmRSS:")? })
}

/// The value of a line such as `MemTotal:  16384 kB`.
fn bytes_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// One digit behind the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 10.).round() / 10.
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\n\
                           cpu1 50 0 25 400 25 0 0 0 0 0\nintr 5\n";

    fn process(user: u64, system: u64) -> String {
        format!("7 (a) b (c) S 1 7 7 0 -1 4194560 10 0 0 0 {user} {system} 0 0 20 0 4 0")
    }

    #[test]
    fn processor_time_is_a_share_of_all_processors() {
        let before = Ticks::parse(MACHINE, &process(10, 5)).unwrap();
        assert_eq!(before, Ticks { total: 1000, busy: 150, process: 15, processors: 2 });
        let now = Ticks::parse(&MACHINE.replace("cpu  100 0 50 800", "cpu  140 0 60 950"), &process(18, 6));
        let cpu = now.unwrap().since(before);
        assert_eq!(cpu, Some(Cpu { machine: 25., process: 4.5, processors: 2 }));
        assert_eq!(before.since(before), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let machine = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n";
        let memory = parse_memory(machine, "Name:\ta\nVmRSS:\t      20 kB\n");
        assert_eq!(memory, Some(Memory { used: 600 << 10, total: 1000 << 10, process: 20 << 10 }));
    }

    #[test]
    fn what_is_not_understood_is_not_known() {
        for machine in ["", "cpu ", "cpu  1 2 3", "cpu0 1 2 3 4 5"] {
            assert_eq!(Ticks::parse(machine, &process(1, 1)), None, "{machine:?}");
        }
        for process in ["", "7 (a) S", "7 a S 1 7 7 0 -1 4194560 10 0 0 0 1 1"] {
            assert_eq!(Ticks::parse(MACHINE, process), None, "{process:?}");
        }
        assert_eq!(parse_memory("MemTotal: 5 kB\nMemAvailable: 6 kB", "VmRSS: 1 kB"), None);
        assert_eq!(parse_memory("MemTotal: 5 kB", "VmRSS: 1 kB"), None);
    }
}
