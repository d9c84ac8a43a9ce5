//! The log, on stderr, without ever waiting for it: a host that starts us with a pipe and does not
//! read it must not bring calls to a halt. Lines that find no room are counted and left out.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
const LINES: usize = 1_024;

/// For writing the last lines, at the end.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Takes lines, which a thread of its own writes.
#[derive(Debug, Clone)]
pub struct Log {
    lines: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Everything before this was written.
    Written(SyncSender<()>),
}

impl Log {
    /// Starts the thread, which ends with the last handle. `to` is stderr.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel(LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let left_out = Arc::clone(&lost);
        let named = thread::Builder::new().name("log".to_owned());
        named.spawn(move || write(to, &waiting, &left_out))?;
        Ok(Self { lines, lost })
    }

    /// Waits until everything so far is written; not for long, and not at all if nobody reads it.
    pub fn finish(&self) {
        let (written, is_written) = mpsc::sync_channel(1);
        if self.lines.try_send(Entry::Written(written)).is_ok() {
            let _ = is_written.recv_timeout(LAST_LINES);
        }
    }
}

fn write(mut to: impl Write, waiting: &Receiver<Entry>, left_out: &AtomicU64) {
    while let Ok(entry) = waiting.recv() {
        // If stderr is closed, nobody wants to know.
        match entry {
            Entry::Line(line) => {
                let lost = left_out.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(
                        to,
                        "{lost} lines of the log were left out: stderr was not read"
                    );
                }
                let _ = to.write_all(&line);
            }
            Entry::Written(written) => {
                let _ = to.flush();
                let _ = written.try_send(());
            }
        }
    }
}

/// One line; the subscriber writes each at once.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};
    use std::time::Instant;

    /// Takes what is written once it is allowed to.
    #[derive(Clone, Default)]
    struct Pipe(Arc<(Mutex<Taken>, Condvar)>);

    #[derive(Default)]
    struct Taken {
        open: bool,
        bytes: Vec<u8>,
    }

    impl Pipe {
        fn read(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).unwrap()
        }

        fn open(&self) {
            self.0.0.lock().unwrap().open = true;
            self.0.1.notify_all();
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (state, opened) = &*self.0;
            let mut state = opened
                .wait_while(state.lock().unwrap(), |taken| !taken.open)
                .unwrap();
            state.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_end() {
        let pipe = Pipe::default();
        pipe.open();
        let mut log = Log::start(pipe.clone()).unwrap();
        for line in 0..100 {
            writeln!(log, "line {line}").unwrap();
        }
        log.finish();
        assert!(pipe.read().ends_with("line 99\n"), "{}", pipe.read());
    }

    #[test]
    fn a_pipe_that_nobody_reads_keeps_nobody_waiting_and_what_was_left_out_is_said() {
        let pipe = Pipe::default();
        let mut log = Log::start(pipe.clone()).unwrap();
        for _ in 0..LINES + 50 {
            log.write_all(b"a line\n").unwrap();
        }
        log.finish();
        assert_eq!(pipe.read(), "", "it was not read");
        pipe.open();
        // As long as the queue is full, there is no waiting for its end.
        let until = Instant::now() + Duration::from_secs(30);
        while !pipe.read().contains("left out") && Instant::now() < until {
            log.finish();
            thread::yield_now();
        }
        let left_out = pipe.read();
        assert!(
            left_out.contains("lines of the log were left out"),
            "{left_out}"
        );
        assert!(left_out.lines().count() <= LINES + 2, "it was bounded");
    }
}
