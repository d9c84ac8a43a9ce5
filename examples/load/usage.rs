//! What a process has used, as the kernel counts it (Linux).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

/// The processor time of a process.
#[derive(Debug)]
pub struct Cpu {
    process: u32,
    /// Of each thread, those that have ended included: what they used was used.
    threads: HashMap<OsString, u64>,
}

impl Cpu {
    pub fn of(process: u32) -> Self {
        Self {
            process,
            threads: HashMap::new(),
        }
    }

    /// Nanoseconds so far, of all threads, the kernel's work for them included.
    pub fn used(&mut self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process));
        for thread in threads.into_iter().flatten().flatten() {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let ran = text.split_whitespace().next().map(str::parse);
            if let Some(Ok(ran)) = ran {
                self.threads.insert(thread.file_name(), ran);
            }
        }
        self.threads.values().sum()
    }
}

/// Resident memory, KiB.
pub fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}
