//! A server as a process of its own: started, asked what it has used and seen, and gone when its standard input closes.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use salver::socketserver::descriptors_reserved;

use super::servers::{Kind, start};

/// The hidden argument, before the kind.
pub const ARGUMENT: &str = "--serve";

/// How long a server may take to say what it is asked.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Child {
    process: std::process::Child,
    said: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

/// What a server has used and seen so far.
#[derive(Clone, Copy, Debug)]
pub struct Tally {
    pub cpu: Duration,
    /// Datagrams.
    pub handled: u64,
    pub lost: u64,
}

/// The other side: serves, says at which port, and answers each line with its tally.
pub fn serve(kind: Kind) {
    let (port, seen) = start(kind).unwrap();
    println!("{port}");
    for _ in stdin().lock().lines() {
        let (handled, lost) = seen();
        println!("{} {handled} {lost}", cpu().as_nanos());
        stdout().flush().unwrap();
    }
}

/// What this process has used.
pub fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// The cores that this thread may run on.
pub fn cores() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Has this thread, and the threads and processes that it starts from now on, run on these cores.
pub fn keep_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    sched_setaffinity(None, &set).unwrap();
}

/// The connections that this process and a server can have with each other, with the limit of descriptors raised as far
/// as it may be.
pub fn connections_allowed() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    limit - descriptors_reserved()
}

impl Child {
    pub fn start(kind: Kind) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([ARGUMENT, &kind.argument()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut child = Self { process, said, address: (Ipv4Addr::LOCALHOST, 0).into() };
        let port = child.line().parse().unwrap();
        child.address.set_port(port);
        child
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn tally(&mut self) -> Tally {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let line = self.line();
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Tally { cpu: Duration::from_nanos(next()), handled: next(), lost: next() }
    }

    /// The first tally that is as it should be in the end.
    pub fn tally_once(&mut self, is_complete: impl Fn(&Tally) -> bool) -> Tally {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tally = self.tally();
            if is_complete(&tally) {
                return tally;
            }
            assert!(Instant::now() < deadline, "some are missing: {tally:?}");
        }
    }

    /// Memory that is its own, and its share of what is shared.
    pub fn memory_bytes(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.process.id())).unwrap();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        pss.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of its standard input is the end of it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
