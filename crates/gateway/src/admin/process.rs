//! The process itself, as Linux tells of it. Other systems tell nothing here.

use std::fs;

/// What Linux tells of this process. What it does not tell is None.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Process {
    pub(super) open_files: Option<u64>,
    pub(super) max_open_files: Option<u64>,
    pub(super) resident_bytes: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Self {
        Self {
            open_files: open_files(),
            max_open_files: fs::read_to_string("/proc/self/limits")
                .ok()
                .and_then(|text| max_open_files(&text)),
            resident_bytes: fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|text| resident_bytes(&text)),
        }
    }
}

fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    // Linux has the number as the size of the folder since 6.2; before, that is 0.
    match fs::metadata(folder).ok()?.len() {
        // One of them is the folder itself, as it is read.
        0 => Some((fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

fn max_open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    // The soft limit comes first. "unlimited" is no number.
    line.split_whitespace().next()?.parse().ok()
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63432                63432                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(max_open_files(limits), Some(1024));
        assert_eq!(max_open_files("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(resident_bytes("VmHWM:\t    9000 kB\nVmRSS:\t    8716 kB\n"), Some(8716 * 1024));
        assert_eq!(resident_bytes("VmRSS: much"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn tells_of_this_process() {
        let process = Process::now();
        assert!(process.open_files.is_some_and(|files| files >= 3), "{process:?}");
        assert!(process.max_open_files >= process.open_files, "{process:?}");
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
    }
}
