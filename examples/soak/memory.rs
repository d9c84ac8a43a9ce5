//! The resident memory of a process, once a second.

use std::time::Duration;

use tokio::task::JoinHandle;

/// Looks at a process until it is told to stop.
pub struct Memory {
    watching: JoinHandle<()>,
    samples: tokio::sync::watch::Receiver<Vec<u64>>,
}

impl Memory {
    pub fn watch(process: u32) -> Self {
        let (seen, samples) = tokio::sync::watch::channel(Vec::new());
        let watching = tokio::spawn(async move {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                if let Some(now) = resident(process) {
                    seen.send_modify(|samples| samples.push(now));
                }
            }
        });
        Self { watching, samples }
    }

    /// Kibibytes, each second.
    pub async fn stop(self) -> Vec<u64> {
        self.watching.abort();
        let _ = self.watching.await;
        self.samples.borrow().clone()
    }
}

/// `VmRSS` of `/proc/<process>/status`; there is nothing like it elsewhere.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The average of some of the samples, in mebibytes.
pub fn average(samples: &[u64]) -> f64 {
    let count = u32::try_from(samples.len().max(1)).unwrap_or(u32::MAX);
    let sum = u32::try_from(samples.iter().sum::<u64>() / 1_024).unwrap_or(u32::MAX);
    f64::from(sum) / f64::from(count)
}
