//! What a running process holds and has used, as Linux tells it.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

#[derive(Clone, Copy, Debug)]
pub struct Process(pub Pid);

impl Process {
    /// Memory that is its own, and its share of what is shared, in KiB.
    #[track_caller]
    pub fn memory_kib(self) -> u64 {
        let rollup = self.read("smaps_rollup");
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        pss.unwrap().trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Open descriptors.
    #[track_caller]
    pub fn descriptors(self) -> usize {
        fs::read_dir(self.path("fd")).unwrap().count()
    }

    /// The CPU time of all its threads so far.
    #[track_caller]
    pub fn cpu(self) -> Duration {
        // Ticks: on every Linux there are a hundred in a second.
        let stat = self.read("stat");
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let ticks = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Bytes that it has read from files, pipes and the like so far.
    #[track_caller]
    pub fn bytes_read(self) -> u64 {
        self.read("io").lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// Sets how many descriptors it may have from now on; gives the limit before.
    #[cfg(target_os = "linux")]
    pub fn limit_descriptors(self, current: Option<u64>) -> Option<u64> {
        let maximum = getrlimit(Resource::Nofile).maximum;
        rustix::process::prlimit(Some(self.0), Resource::Nofile, Rlimit { current, maximum }).unwrap().current
    }

    fn read(self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.as_raw_nonzero())
    }
}

/// Lets this process, and what it starts from now on, have as many descriptors as the system allows; gives that number.
pub fn raise_descriptor_limit() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}
