//! Ctrl-C, SIGTERM and SIGHUP stop the server; once more Ctrl-C or SIGTERM ends the program at once. SIGUSR1, by which other servers are told
//! that their log was moved, does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, io, thread};

use log::info;
use salver::socketserver::Stopper;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::logging;

/// The exit status of a program that Ctrl-C ends.
const INTERRUPTED: i32 = 130;

/// How long the last lines of the log may take when somebody wants the end at once.
const LAST_LINES_PATIENCE: Duration = Duration::from_millis(100);

/// Has signals stop the server from now on. A SIGHUP that was ignored at the start (`nohup`) stays ignored.
pub(super) fn stop_on_signal(stopper: &Stopper) -> io::Result<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    let stop = {
        let stopper = stopper.clone();
        move |signal| {
            match stopping.swap(true, Ordering::SeqCst) {
                // Where a terminal closes, the shell and the system both say so, and a login session says it behind SIGTERM.
                true if signal == SIGHUP => return,
                true => end_at_once(),
                false => stopper.shutdown(),
            }
            info!("stopping; once more ends at once");
        }
    };
    let interrupt = stop.clone();
    ctrlc::set_handler(move || interrupt(SIGINT)).map_err(io::Error::other)?;
    // A log that may grow no further (ulimit -f) is an error of its writer then, and not the end.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    signal_hook::flag::register(SIGUSR1, Arc::default())?;
    let mut signals = Signals::new([SIGTERM])?;
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(stop))?;
    Ok(())
}

/// Lines of the log that can be written are, but nobody waits for a reader who doesn't read.
fn end_at_once() -> ! {
    let (done, written) = mpsc::channel();
    let flushing = thread::Builder::new().spawn(move || {
        logging::flush();
        done.send(())
    });
    if flushing.is_ok() {
        let _ = written.recv_timeout(LAST_LINES_PATIENCE);
    }
    std::process::exit(INTERRUPTED);
}

/// Asks the system, where it tells: a handler must not be set just to find out.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
