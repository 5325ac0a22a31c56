"""Measuring: one run of wrk against a server, medians of several, and the machine on which they were taken."""

import argparse
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import NamedTuple

from servers import DESCRIPTORS, REPOSITORY, Failure, find_program

WRK_PATIENCE_S = 30.0

# Static requests are formatted once by wrk itself; of many targets each is formatted ahead, so that the client's part
# stays small. What wrk prints for people is rounded, so the figures are written by `done`.
SCRIPT = """
local requests = {}
function init(arguments)
    math.randomseed(1)
    for _, list in ipairs(arguments) do
        for target in io.lines(list) do requests[#requests + 1] = wrk.format("GET", target) end
        request = function() return requests[math.random(#requests)] end
    end
end
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("\\nfigures %d %d %d %d %d %d %d\\n", summary.requests, summary.bytes, summary.duration,
        latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
"""


class Load(NamedTuple):
    """What is asked, and by how many connections."""

    connections: int
    target: str = "/"
    fields: tuple = ()
    targets: tuple = ()  # instead of the one: any of these, at random

    def first_target(self):
        return self.targets[0] if self.targets else self.target


class Run(NamedTuple):
    """What one run came to."""

    requests: int
    bytes: int
    seconds: float
    cpu_s: float
    p50_us: int
    p99_us: int
    errors: int
    refused: int  # answers of 400 and above


def measure(server, load, seconds):
    """Loads a server for so long."""
    script, targets = server.folder / "wrk.lua", server.folder / "targets"
    script.write_text(SCRIPT)
    targets.write_text("".join(f"{target}\n" for target in load.targets))
    fields = [word for name, value in load.fields for word in ("-H", f"{name}: {value}")]
    command = [wrk(), "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), *fields,
               f"http://127.0.0.1:{server.port}{load.target}", *([str(targets)] if load.targets else [])]
    before = server.cpu_seconds()
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + WRK_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise Failure("wrk didn't come to an end") from error
    spent = server.cpu_seconds() - before
    figures = re.search(r"(?m)^figures (.*)$", ran.stdout)
    if not figures:
        raise Failure(f"wrk failed: {(ran.stdout + ran.stderr).strip()[-300:]}")
    requests, size, duration, p50, p99, errors, refused = map(int, figures[1].split())
    return Run(requests, size, duration / 1e6, spent, p50, p99, errors, refused)


def wrk():
    return shutil.which(os.environ.get("WRK", "wrk"))


def median(values):
    return statistics.median(list(values))


def tell_progress(words=""):
    """Shows what is being done, in one line of a terminal."""
    if sys.stderr.isatty():
        print(words, end="\x1b[K\r", file=sys.stderr, flush=True)


def check_tools():
    """Ends the program where what it can't do without isn't there."""
    if not wrk():
        sys.exit("wrk isn't there: install it (apt install wrk), or name it in WRK")
    if not find_program("salver"):
        sys.exit("salver isn't there: cargo build --release, or name it in SALVER")


def raise_descriptors():
    """Allows this process and those it starts as many descriptors as it may; gives how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return max(soft, allowed)


def machine():
    """What the figures depend on, without what would name the machine."""
    model = re.search(r"(?m)^(?:model name|Model)\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": model[1] if model else os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": "Linux " + re.match(r"[\d.]*\d", os.uname().release)[0],
        "memory_gib": round(int(memory[1]) / 2**20),
        "congestion": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "date": date.today().isoformat(),
        "wrk": version_of_wrk(),
    }


def version_of_wrk():
    told = subprocess.run([wrk(), "-v"], capture_output=True, text=True, timeout=10)
    return re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)[0]


def describe(machine):
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['kernel']} "
            f"({machine['congestion']}), wrk {machine['wrk']}, {machine['date']}")


def some_of(known):
    def read(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names
    return read


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return int(text)


def result_folders(options):
    """The folders for the figures and for the chart: where the repository has them, or one for a trial."""
    folders = (REPOSITORY / "benches/results", REPOSITORY / "docs") if options.publish else (options.output,) * 2
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return folders


def run_main(run):
    """Runs a program's main part. Ctrl-C, SIGTERM and SIGHUP leave it through every `with`, which stops the servers."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        sys.exit(run())
    except Failure as reason:
        sys.exit(str(reason))
    except KeyboardInterrupt:
        sys.exit(130)
