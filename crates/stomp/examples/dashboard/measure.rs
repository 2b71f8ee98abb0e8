//! What the machine and this process use, as Linux says in `/proc`. Elsewhere nothing is known.
//!
//! Reading these files waits for no disk, so that it needs no thread of its own.

use std::{collections::VecDeque, fs};

use serde::Serialize;

/// How many measurements a process's share of the processors is the mean of: a tick of the clock that counts its time is
/// as long as 10 ms, which is much for one that does little.
const MEAN_OF: usize = 10;

/// Processor time, in per cent of what all processors have.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Cpu {
    /// Since the last measurement.
    machine: f64,
    /// In the time of the last ten measurements.
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

/// Measures processor time from call to call.
pub(crate) struct CpuMeter {
    /// The oldest first. Empty where nothing is known.
    before: VecDeque<Ticks>,
}

impl CpuMeter {
    /// The first measurement is of the time since this call.
    pub(crate) fn new() -> Self {
        Self { before: Ticks::read().into_iter().collect() }
    }

    /// What has been used since the last call: nothing if that is not known, or no time has passed.
    pub(crate) fn measure(&mut self) -> Option<Cpu> {
        self.take(Ticks::read()?)
    }

    fn take(&mut self, now: Ticks) -> Option<Cpu> {
        let (last, oldest) = (*self.before.back()?, *self.before.front()?);
        if now.total <= last.total {
            return None;
        }
        self.before.push_back(now);
        if self.before.len() > MEAN_OF {
            self.before.pop_front();
        }
        Some(Cpu {
            machine: percent(now.busy, last.busy, now.total - last.total),
            process: percent(now.process, oldest.process, now.total - oldest.total),
            processors: now.processors,
        })
    }
}

/// The count of a processor that waits may go back a little, and the others then seem to have done too much.
fn percent(now: u64, before: u64, total: u64) -> f64 {
    rounded((now.saturating_sub(before) as f64 / total as f64 * 100.).min(100.))
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

/// Two digits behind the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 100.).round() / 100.
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
        let mut meter = CpuMeter { before: [before].into() };
        assert_eq!(meter.take(before), None);
        let machine = MACHINE.replace("cpu  100 0 50 800", "cpu  140 0 60 950");
        let cpu = meter.take(Ticks::parse(&machine, &process(18, 6)).unwrap());
        assert_eq!(cpu, Some(Cpu { machine: 25., process: 4.5, processors: 2 }));
    }

    #[test]
    fn a_process_that_does_little_is_measured_over_some_time() {
        let at = |second: u64| Ticks {
            total: second * 200,
            busy: second * 20,
            process: second / 4,
            processors: 2,
        };
        let mut meter = CpuMeter { before: [at(0)].into() };
        let shares: Vec<f64> = (1..=30).map(|second| meter.take(at(second)).unwrap().process).collect();
        assert_eq!(shares[..4], [0., 0., 0., 0.13]);
        assert!(shares[10..].iter().all(|share| (0.1..=0.15).contains(share)), "{shares:?}");
        assert_eq!(meter.before.len(), MEAN_OF);
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
