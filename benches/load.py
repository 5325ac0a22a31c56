#!/usr/bin/env python3
"""Cost against load: what a request costs salver as connections, files, sizes and directories grow.

    cargo build --release --bins --example bare       # and a bare loop, to hold beside it
    python3 benches/load.py                           # all series
    python3 benches/load.py -s connections,files      # some of them
    python3 benches/load.py --publish                 # the result file and the plot of the repository

Each series varies one thing and leaves the rest; wrk asks, over loopback. The figure is the CPU time of the server's
process tree, the median of the rounds, and for each series is told over which loads it stays within a factor of 1.3.

connections   all of them busy with a file of 1 KiB. Opening them doesn't count: the figure is what a longer run costs
              beyond a short one. Beside it the same of a bare loop (benches/bare.rs), whose cost is the system's: with one
              connection it sleeps and wakes for each request, with thousands each request finds its socket cold
files         of 1 KiB, asked for at random
sizes         of one file, per request and, from 1 MiB on, per MiB
entries       of a directory that is listed: its first page, of 1,000 entries at most; and the same sorted by date, for which
              each entry is looked at
"""

import argparse
import itertools
import json
import random
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import chart
from measure import (
    Load, check_tools, describe, machine, measure, median, positive, raise_descriptors, result_folders, run_main,
    some_of, tell_progress)
from servers import REPOSITORY, Failure, Server, find_program, version_of

SETTLE_S = 2.1
FLAT = 1.3
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CONNECTIONS = (1, 10, 100, 1000, 9000)
FILES = (10, 100, 1000, 10_000, 100_000)
SIZES = (0, KIB, 10 * KIB, 100 * KIB, MIB, 10 * MIB, 100 * MIB, GIB)
ENTRIES = (10, 100, 1000, 10_000, 50_000)
SPARE_DESCRIPTORS = 100


def run():
    options = parse_arguments()
    check_tools()
    descriptors = raise_descriptors()
    report = {"machine": machine(), "salver": version_of("salver"), "rounds": options.rounds,
              "seconds": options.seconds, "series": {}, "skipped": {}}
    print(f"salver {report['salver']}; {describe(report['machine'])}")
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        bench = Bench(Path(folder), options, descriptors, report["skipped"])
        for name in options.series:
            for series in SERIES[name](bench):
                report["series"][series["name"]] = series
                print(*table(series), sep="\n", flush=True)
    for name, reason in report["skipped"].items():
        print(f"\n{name}: skipped: {reason}")
    publish(report, options)


def parse_arguments():
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details + "\nSALVER, BARE and WRK of the environment name the programs.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", "--series", type=some_of(SERIES), default=list(SERIES), metavar="NAME,...")
    parser.add_argument("-r", "--rounds", type=positive, default=5)
    parser.add_argument("-t", "--seconds", type=positive, default=2, help="for each point in each round")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "target/load", metavar="DIR",
                        help="the folder for load.json and load.svg (default: target/load)")
    parser.add_argument("--publish", action="store_true", help="write to benches/results and docs instead")
    return parser.parse_args()


class Bench:
    """Where a series plants its files and measures its points."""

    def __init__(self, folder, options, descriptors, skipped):
        self.folder, self.options, self.descriptors, self.skipped = folder, options, descriptors, skipped

    def measure(self, plant, loads, cost):
        """The median cost for each load, after `plant` has made the tree that they need."""
        return self.measure_each(["salver"], plant, loads, cost)["salver"]

    def measure_each(self, names, plant, loads, cost):
        """The same of several servers, one after the other in each round."""
        root = self.folder / "root"
        root.mkdir()
        try:
            plant(root)
            time.sleep(SETTLE_S)
            costs = {name: {x: [] for x in loads} for name in names}
            with ExitStack() as stack:
                servers = [stack.enter_context(Server(name, root, self.folder)) for name in names]
                for server, load in itertools.product(servers, loads.values()):
                    status, _, _ = server.ask(load.first_target())
                    if status != 200:
                        raise Failure(f"{load.first_target()} is answered {status}")
                    measure(server, load, 1)
                for number in range(self.options.rounds):
                    for (x, load), server in itertools.product(loads.items(), servers):
                        tell_progress(f"round {number + 1}: {x}")
                        costs[server.name][x].append(cost(x, server, load))
            tell_progress()
            return {name: {x: median(values) for x, values in of.items()} for name, of in costs.items()}
        finally:
            shutil.rmtree(root)

    def of_requests(self, _, server, load):
        """CPU time per request."""
        ran = measure(server, load, self.options.seconds)
        return ran.cpu_s / max(ran.requests, 1) * 1e6


def connections(bench):
    """Each open connection takes a descriptor of the server, and one of wrk."""
    possible = [count for count in CONNECTIONS if count + SPARE_DESCRIPTORS <= bench.descriptors]
    for count in CONNECTIONS[len(possible):]:
        bench.skipped[f"{count} connections"] = f"`ulimit -n` allows {bench.descriptors} descriptors"

    def beyond_opening(_, server, load):
        short = measure(server, load, 1)
        long = measure(server, load, 1 + bench.options.seconds)
        return (long.cpu_s - short.cpu_s) / max(long.requests - short.requests, 1) * 1e6

    names = ["salver", "bare"]
    if not find_program("bare"):
        names.remove("bare")
        bench.skipped["a bare loop"] = "cargo build --release --example bare, or name it in BARE"
    costs = bench.measure_each(
        names, lambda root: (root / "1k.html").write_bytes(b"x" * KIB),
        {count: Load(count, "/1k.html") for count in possible}, beyond_opening)
    yield series("connections", "busy connections", "CPU µs per request", costs["salver"], costs.get("bare", {}))


def files(bench):
    names = [f"/{number // 1000}/{number}.html" for number in range(max(FILES))]

    def plant(root):
        for number in range(0, len(names), 1000):
            (root / str(number // 1000)).mkdir()
        for name in names:
            (root / name[1:]).write_bytes(b"x" * KIB)

    loads = {count: Load(64, targets=tuple(random.Random(1).sample(names, count))) for count in FILES}
    costs = bench.measure(plant, loads, bench.of_requests)
    yield series("files", "files, asked for at random", "CPU µs per request", costs)


def sizes(bench):
    free = shutil.disk_usage(bench.folder).free
    possible = [size for size in SIZES if size * 2 < free]
    for size in SIZES[len(possible):]:
        bench.skipped[f"a file of {chart.binary(size)}"] = "the disk has no room for it"

    def plant(root):
        for size in possible:
            with open(root / f"{size}.bin", "wb") as file:
                for start in range(0, size, MIB):
                    file.write(b"x" * min(MIB, size - start))

    def of_bytes(size, server, load):
        """Of a large file by the bytes that came, as wrk doesn't count a request that its end cuts off."""
        if size < MIB:
            return bench.of_requests(size, server, load)
        ran = measure(server, load, bench.options.seconds)
        return ran.cpu_s / max(ran.bytes, 1) * size * 1e6

    loads = {size: Load(64 if size < MIB else 16 if size < 100 * MIB else 4, f"/{size}.bin") for size in possible}
    costs = bench.measure(plant, loads, of_bytes)
    yield series("size", "bytes of the file", "CPU µs per request", costs)
    large = {size: cost / (size / MIB) for size, cost in costs.items() if size >= MIB}
    if large:
        yield series("size, per MiB", "bytes of the file", "CPU µs per MiB", large)


def entries(bench):
    def plant(root):
        for count in ENTRIES:
            (root / str(count)).mkdir()
            for number in range(count):
                (root / str(count) / f"{number}.txt").touch()

    for name, query in (("entries", ""), ("entries, by date", "?sort=date")):
        costs = bench.measure(plant, {count: Load(4, f"/{count}/{query}") for count in ENTRIES}, bench.of_requests)
        yield series(name, "entries of the directory", "CPU µs per request", costs)
    yield series("entries, by date, each", "entries of the directory", "CPU µs per entry",
                 {count: cost / count for count, cost in costs.items()})


SERIES = {"connections": connections, "files": files, "sizes": sizes, "entries": entries}


def series(name, x, y, costs, bare=()):
    points, beside = ([(at, round(cost, 3)) for at, cost in dict(of).items()] for of in (costs, bare))
    return {"name": name, "x": x, "y": y, "points": points, "flat": flat_part(points), "beside": beside}


def flat_part(points):
    """The longest run of points whose costs lie within the factor: its first and last load; none if it's one point."""
    runs = [points[start:end] for start in range(len(points)) for end in range(start + 2, len(points) + 1)]
    flat = [run for run in runs if max(cost for _, cost in run) <= FLAT * min(cost for _, cost in run)]
    longest = max(flat, key=len, default=None)
    return longest and [longest[0][0], longest[-1][0]]


def table(series):
    size = chart.binary if "bytes" in series["x"] else "{:,}".format
    yield f"\n{series['name']}: {series['y']}, by {series['x']}"
    beside = dict(series["beside"])
    for x, cost in series["points"]:
        bare = f"  a bare loop {beside[x]:,.2f}, so ×{cost / beside[x]:.2f}" if x in beside else ""
        yield f"  {size(x):>10}  {cost:>14,.2f}{bare}"
    yield "  " + statement(series)


def statement(series):
    if not series["flat"]:
        return f"nowhere flat within {FLAT}×"
    size = chart.binary if "bytes" in series["x"] else "{:,}".format
    first, last = series["flat"]
    return f"flat within {FLAT}× from {size(first)} to {size(last)}"


def axis(series):
    """What the points lie over, and what the dashed line is."""
    beside = dict(series["beside"])
    ratios = [cost / beside[x] for x, cost in series["points"] if x in beside]
    return series["x"] + (f"; dashed: a bare loop, ×{min(ratios):.2f} to ×{max(ratios):.2f}" if ratios else "")


def publish(report, options):
    results, docs = result_folders(options)
    (results / "load.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    figures = [
        chart.Plot(series["name"], axis(series), f"{series['y']}; {statement(series)}", series["points"],
                   is_binary="bytes" in series["x"], is_log_y=series["name"] in ("size", "entries", "entries, by date"),
                   beside=series["beside"])
        for series in report["series"].values()
    ]
    subtitle = f"CPU time of salver {report['salver']}, each point a load"
    (docs / "load.svg").write_text(
        chart.plots("Cost against load", subtitle, describe(report["machine"]), figures))
    print(f"\nwritten: {results}/load.json, {docs}/load.svg")


if __name__ == "__main__":
    run_main(run)
