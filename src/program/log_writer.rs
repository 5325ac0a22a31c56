//! Log lines on their way to standard error or a file: whoever logs leaves them in memory, and a thread writes them in batches, so
//! that no request waits for a disk or for the reader of a pipe.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::log_file::{self, LogFile};

/// What may wait to be written, in bytes; lines beyond are dropped, counted, and the count is written.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// So much is written without waiting for more.
const BATCH_BYTES: usize = 64 << 10;

/// How long the first line of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_millis(50);

/// How long to wait for room in a pipe that doesn't block.
const RETRY_DELAY: Duration = Duration::from_millis(5);

/// How long a flush waits for a reader that doesn't read.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Takes whole lines; clones write to the same place.
#[derive(Clone)]
pub(super) struct LogWriter {
    queue: Arc<Queue>,
}

/// Lines between those who leave them and the thread that writes them.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something waits, or somebody is in a hurry.
    more: Condvar,
    /// Nothing waits any more.
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    dropped: u64,
    is_writing: bool,
    hurry: bool,
}

impl State {
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

impl LogWriter {
    /// Starts the thread that writes to `stream`. What is dropped is told there too.
    pub(super) fn start(mut stream: impl Write + Send + 'static) -> io::Result<Self> {
        Self::spawn("log", move |queue| {
            let mut batch = Vec::new();
            // Lines that were taken from the queue and could not be written.
            let mut failed = 0;
            loop {
                let dropped = queue.next_batch(&mut batch);
                let lines = batch.len();
                if dropped > 0 {
                    let _ =
                        writeln!(batch, "{dropped} lines of the log were dropped: they came faster than they are read");
                }
                if failed > 0 {
                    let _ = writeln!(batch, "{failed} lines of the log were dropped: they could not be written");
                }
                // Where nobody reads there is nobody to tell, but there may be later.
                let written = write_patiently(&mut stream, &batch);
                failed = match written < batch.len() {
                    true => failed + dropped + log_file::count(batch.get(written..lines).unwrap_or_default()),
                    false => 0,
                };
                queue.end_writing(&mut batch);
            }
        })
    }

    /// Starts the thread that writes to a file.
    pub(super) fn start_file(file: LogFile) -> io::Result<Self> {
        Self::spawn("log file", move |queue| file.write_forever(queue))
    }

    fn spawn(name: &str, write_forever: impl FnOnce(&Queue) + Send + 'static) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = Self { queue: Arc::clone(&queue) };
        thread::Builder::new().name(name.to_owned()).spawn(move || write_forever(&queue))?;
        Ok(writer)
    }

    /// Leaves a line, which ends in a newline, to be written soon.
    pub(super) fn leave(&self, line: &[u8]) {
        let mut state = self.queue.lock();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            state.dropped += 1;
            return;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        let is_full = before < BATCH_BYTES && state.waiting.len() >= BATCH_BYTES;
        if before == 0 || is_full {
            self.queue.more.notify_one();
        }
    }

    /// Waits until all is written, but not for ever.
    pub(super) fn flush(&self) {
        let mut state = self.queue.lock();
        state.hurry = true;
        self.queue.more.notify_one();
        let _ = self.queue.done.wait_timeout_while(state, FLUSH_PATIENCE, |state| !state.is_done());
    }
}

/// Writes all of it, and gives how much that was, should it fail. A pipe or a terminal that somebody else has set not to block
/// is waited for as if it did.
fn write_patiently(stream: &mut impl Write, batch: &[u8]) -> usize {
    let mut written = 0;
    while written < batch.len() {
        match stream.write(&batch[written..]) {
            Ok(0) => break,
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_DELAY),
            Err(_) => break,
        }
    }
    let _ = stream.flush();
    written
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, and a moment for more of them; gives how many were dropped since.
    pub(super) fn next_batch(&self, batch: &mut Vec<u8>) -> u64 {
        let nothing = |state: &mut State| state.waiting.is_empty() && state.dropped == 0;
        let state = self.more.wait_while(self.lock(), nothing).unwrap_or_else(PoisonError::into_inner);
        let few = |state: &mut State| state.waiting.len() < BATCH_BYTES && !state.hurry;
        let waited = self.more.wait_timeout_while(state, BATCH_DELAY, few);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, batch);
        state.is_writing = true;
        std::mem::take(&mut state.dropped)
    }

    /// How many lines were dropped since this was last asked.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// Drops all that waits, and says how many lines that were, with those dropped before.
    pub(super) fn discard(&self) -> u64 {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        std::mem::take(&mut state.dropped) + log_file::count(&waiting)
    }

    /// Waits so long, or until somebody is in a hurry; true if so.
    pub(super) fn is_hurried_within(&self, time: Duration) -> bool {
        let waited = self.more.wait_timeout_while(self.lock(), time, |state| !state.hurry);
        waited.unwrap_or_else(PoisonError::into_inner).0.hurry
    }

    /// The batch is written, or lost; its memory is used again.
    pub(super) fn end_writing(&self, batch: &mut Vec<u8>) {
        batch.clear();
        batch.shrink_to(2 * BATCH_BYTES);
        let mut state = self.lock();
        state.is_writing = false;
        if state.is_done() {
            state.hurry = false;
            self.done.notify_all();
        }
    }
}

/// For what formats its lines itself and writes each at once.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.leave(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A stream that takes a write only when it is allowed to, and tells what it took.
    struct Gate {
        allowed: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.allowed.recv().map_err(io::Error::other)?;
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (LogWriter, Sender<()>, Receiver<Vec<u8>>) {
        let (allow, allowed) = channel();
        let (written, received) = channel();
        (LogWriter::start(Gate { allowed, written }).unwrap(), allow, received)
    }

    #[test]
    fn lines_are_written_in_order_and_a_flush_waits_for_them() {
        let (writer, allow, received) = gate();
        let lines: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        lines.split_inclusive('\n').for_each(|line| writer.leave(line.as_bytes()));
        (0..1000).for_each(|_| allow.send(()).unwrap());
        writer.flush();
        let written: Vec<u8> = received.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(written).unwrap(), lines);
    }

    #[test]
    fn a_reader_that_stalls_holds_nobody_up_and_is_told_what_it_missed() {
        const LINES: usize = 3 * WAITING_BYTES_MAX / 1024;
        let (writer, allow, received) = gate();
        let line = [b'x'; 1024];
        // Nobody reads: what is left beyond the first batch and what may wait is dropped.
        (0..LINES).for_each(|_| writer.leave(&line));
        let (mut written, mut dropped) = (Vec::new(), 0);
        // A batch that was taken while some had been dropped tells of those, and a later one of the rest.
        while dropped == 0 || written.iter().filter(|byte| **byte == b'x').count() / line.len() + dropped < LINES {
            allow.send(()).unwrap();
            written.extend(received.recv_timeout(Duration::from_secs(20)).unwrap());
            let said = String::from_utf8_lossy(&written).replace('x', "");
            let complete = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let counts = complete.map(|line| {
                line.strip_suffix(" lines of the log were dropped: they came faster than they are read\n").unwrap()
            });
            dropped = counts.map(|count| count.parse::<usize>().unwrap()).sum();
        }
        assert_eq!(written.iter().filter(|byte| **byte == b'x').count() / line.len() + dropped, LINES);
    }

    /// A stream that answers writes as it is told to, and then takes everything; it tells what it took.
    struct Moody {
        moods: Vec<io::Result<usize>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Moody {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = if self.moods.is_empty() { bytes.len() } else { self.moods.remove(0)?.min(bytes.len()) };
            self.written.send(bytes[..taken].to_vec()).map_err(io::Error::other)?;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check_moods(moods: Vec<io::Result<usize>>, expected: &str) {
        let (written, received) = channel();
        let writer = LogWriter::start(Moody { moods, written }).unwrap();
        writer.leave(b"one\ntwo\nthree\n");
        writer.flush();
        writer.leave(b"four\n");
        writer.flush();
        let written: Vec<u8> = received.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn what_has_no_room_for_now_is_waited_for_and_what_fails_is_told() {
        let full = || Err(io::ErrorKind::WouldBlock.into());
        let broken = || Err(io::ErrorKind::StorageFull.into());
        check_moods(vec![full(), Ok(5), full(), full()], "one\ntwo\nthree\nfour\n");
        check_moods(vec![Err(io::ErrorKind::Interrupted.into())], "one\ntwo\nthree\nfour\n");
        check_moods(vec![Ok(5), broken()], "one\ntfour\n2 lines of the log were dropped: they could not be written\n");
    }
}
