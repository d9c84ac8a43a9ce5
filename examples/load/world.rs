//! What the stand-ins share: the calls, what is measured, and when.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One frame of a phone line.
pub const FRAME: Duration = Duration::from_millis(20);

/// Mu-law samples in it.
pub const SAMPLES: usize = 160;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds, since some moment.
pub fn now() -> u64 {
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Whose sockets these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Product = 1,
    Floor = 2,
}

/// One call, seen by both of its stand-ins.
#[derive(Debug)]
pub struct Call {
    pub index: usize,
    pub subject: Subject,
    /// The greeting was heard: the conversation goes on.
    pub is_open: AtomicBool,
    /// A stream is connected.
    pub is_connected: AtomicBool,
    /// The callee speaks.
    pub is_loud: AtomicBool,
    /// When the event was sent after which the greeting is due; then, after which `clear` is.
    pub due: AtomicU64,
}

/// Nanoseconds of everything that was measured of one subject.
#[derive(Debug, Default)]
pub struct Samples {
    pub inbound: Vec<u64>,
    pub outbound: Vec<u64>,
    pub greeting: Vec<u64>,
    pub clear: Vec<u64>,
    pub frames: u64,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    pub calls: usize,
    pub delta: Duration,
    pub product: Vec<Arc<Call>>,
    pub floor: Vec<Arc<Call>>,
    /// Whose conversations go on just now.
    active: AtomicU8,
    recording: AtomicBool,
    pub interrupts: AtomicBool,
    samples: [Mutex<Samples>; 2],
    /// Sockets that ended.
    pub lost: AtomicU64,
}

impl World {
    pub fn new(calls: usize, delta: Duration) -> Self {
        let all = |subject| {
            let call = |index| {
                Arc::new(Call {
                    index,
                    subject,
                    is_open: AtomicBool::new(false),
                    is_connected: AtomicBool::new(false),
                    is_loud: AtomicBool::new(false),
                    due: AtomicU64::new(0),
                })
            };
            (0..calls).map(call).collect()
        };
        Self {
            calls,
            delta,
            product: all(Subject::Product),
            floor: all(Subject::Floor),
            active: AtomicU8::new(0),
            recording: AtomicBool::new(false),
            interrupts: AtomicBool::new(false),
            samples: [Mutex::default(), Mutex::default()],
            lost: AtomicU64::new(0),
        }
    }

    pub fn call(&self, subject: Subject, index: usize) -> Option<&Arc<Call>> {
        match subject {
            Subject::Product => self.product.get(index),
            Subject::Floor => self.floor.get(index),
        }
    }

    /// From now on, these conversations go on, and the others rest.
    pub fn activate(&self, subject: Option<Subject>) {
        let which = subject.map_or(0, |subject| subject as u8);
        self.active.store(which, Ordering::Relaxed);
    }

    pub fn is_active(&self, subject: Subject) -> bool {
        self.active.load(Ordering::Relaxed) == subject as u8
    }

    pub fn record(&self, recording: bool) {
        self.recording.store(recording, Ordering::Relaxed);
    }

    /// Notes a measurement, if this is the time for it.
    pub fn note(&self, subject: Subject, note: impl FnOnce(&mut Samples)) {
        if self.recording.load(Ordering::Relaxed) {
            note(&mut self.samples(subject));
        }
    }

    pub fn samples(&self, subject: Subject) -> MutexGuard<'_, Samples> {
        let samples = &self.samples[subject as usize - 1];
        samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the ticks of a call begin: the calls of a machine are not in step.
    pub fn phase(&self, index: usize) -> Duration {
        let calls = u32::try_from(self.calls.max(1)).unwrap_or(u32::MAX);
        FRAME * u32::try_from(index).unwrap_or(0) / calls
    }
}

/// Audio whose first characters may be a time. Hexadecimal digits are base64, too.
#[derive(Debug, Clone)]
pub struct Payload(String);

impl Payload {
    /// Audio of this length, silent or not.
    pub fn new(samples: usize, loud: bool) -> Self {
        let sample = if loud { 0x85 } else { 0xFF };
        Self(STANDARD.encode(vec![sample; samples]))
    }

    /// With the time in front, which the other side reads.
    pub fn stamped(&mut self) -> &str {
        let stamp = format!("{:016x}", now());
        self.0.replace_range(..stamp.len(), &stamp);
        &self.0
    }

    /// As it is.
    pub fn plain(&self) -> &str {
        &self.0
    }
}

/// How long a payload was under way, if it has a time in front.
pub fn age(payload: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(payload.get(..16)?).ok()?;
    let sent = u64::from_str_radix(digits, 16).ok()?;
    now().checked_sub(sent)
}
