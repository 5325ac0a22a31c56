#!/usr/bin/env python3
"""Side by side: what a request costs salver and other file servers, on this machine, now.

    cargo build --release
    python3 benches/compare.py                                    # all workloads, all servers that are installed
    python3 benches/compare.py -w 1k,304 -s salver,nginx -r 3     # some of them, in three rounds
    python3 benches/compare.py --publish                          # the result files and the chart of the repository

All servers serve the same temporary tree on loopback, and wrk asks; it has to be installed. For each workload and
in each round every server is started anew, asked once to see that it answers as expected, warmed and measured, one
after the other, so that what changes on the machine hits all alike, and so that no server keeps the luck of one start: a
server's cost differs by a tenth from start to start. The medians of the rounds count.

What is compared first is the server's CPU time per request, user and system, of its whole process tree: it hardly
depends on the client, which shares the cores. Requests per second and latencies depend on both. Memory is the
proportional set size (PSS) after the last round.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import chart
from measure import (
    Load, check_tools, describe, machine, measure, median, positive, raise_descriptors, result_folders, run_main,
    some_of, tell_progress)
from servers import FILE_SERVERS, KINDS, REPOSITORY, Failure, Server, find_program, version_of

SETTLE_S = 2.1  # what changed a moment ago salver doesn't keep in memory
WARM_S = 1
MANY = 4000

BROWSER = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "http://localhost/docs/index.html?page=2"),
    ("DNT", "1"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-User", "?1"),
    ("Cookie", "session=4f1c0a9b7d2e48c6; theme=dark; consent=necessary"),
    ("Priority", "u=0, i"),
)


class Workload(NamedTuple):
    title: str  # in the chart
    what: str
    load: Load
    status: int = 200
    length: int | None = None


KIB, MIB = 1 << 10, 1 << 20
CLOSE = (("Connection", "close"),)
SAME = (("If-None-Match", "{etag}"),)
RANGE = (("Range", "bytes=1000-2999"),)
FILES = tuple(f"/many/{number}.html" for number in range(MANY))

WORKLOADS = {
    "1k": Workload("1 KiB", "a file of 1 KiB, 64 connections", Load(64, "/1k.html"), length=KIB),
    "10k": Workload("10 KiB", "a file of 10 KiB, 64 connections", Load(64, "/10k.html"), length=10 * KIB),
    "100k": Workload("100 KiB", "a file of 100 KiB, 64 connections", Load(64, "/100k.html"), length=100 * KIB),
    "1m": Workload("1 MiB", "a file of 1 MiB, 16 connections", Load(16, "/1m.bin"), length=MIB),
    "10m": Workload("10 MiB", "a file of 10 MiB, 8 connections", Load(8, "/10m.bin"), length=10 * MIB),
    "close": Workload("a connection each", "1 KiB, a new connection for each request, 64 at a time",
                      Load(64, "/1k.html", CLOSE), length=KIB),
    "many": Workload(f"{MANY:,} files", f"{MANY:,} files of 2 to 6 KiB at random, 64 connections",
                     Load(64, targets=FILES)),
    "index": Workload("an index", "the index.html of a directory, 1 KiB, 64 connections",
                      Load(64, "/folder/"), length=KIB),
    "304": Workload("304", "If-None-Match with the server's own ETag, 64 connections",
                    Load(64, "/1k.html", SAME), status=304, length=0),
    "404": Workload("404", "a file that isn't there, 64 connections", Load(64, "/missing.html"), status=404),
    "range": Workload("a range", "2,000 bytes of a file of 1 MiB, 64 connections",
                      Load(64, "/1m.bin", RANGE), status=206, length=2000),
    # Of a type that nobody compresses, so that all send the same.
    "browser": Workload("a browser's head", "10 KiB, asked for as a browser does, 64 connections",
                        Load(64, "/10k.bin", BROWSER), length=10 * KIB),
    "1conn": Workload("1 connection", "a file of 1 KiB, 1 connection", Load(1, "/1k.html"), length=KIB),
    "1k512": Workload("512 connections", "a file of 1 KiB, 512 connections", Load(512, "/1k.html"), length=KIB),
}


def run():
    options = parse_arguments()
    check_tools()
    raise_descriptors()
    servers = [name for name in options.servers if find_program(name)]
    report = {
        "machine": machine(), "rounds": options.rounds, "seconds": options.seconds,
        "servers": {name: {"version": version_of(name), "setup": KINDS[name].setup} for name in servers},
        "absent": [name for name in options.servers if name not in servers],
        "workloads": {},
    }
    print(describe(report["machine"]))
    print(f"medians of {options.rounds} rounds of {options.seconds} s; × is relative to salver")
    for name in report["absent"]:
        print(f"{name}: not installed, skipped")
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        folder = Path(folder)
        plant(folder / "root")
        for name in options.workloads:
            report["workloads"][name] = compare(name, servers, folder, options)
            print(*table(name, report["workloads"][name]), sep="\n", flush=True)
    publish(report, options)


def parse_arguments():
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=details + "\nThe environment's SALVER, NGINX, LIGHTTPD, H2O, CADDY, STATIC_WEB_SERVER, MINISERVE and\n"
        f"WRK name the programs.\n\nworkloads: {' '.join(WORKLOADS)}\nservers: {' '.join(FILE_SERVERS)}\n")
    parser.add_argument("-w", "--workloads", type=some_of(WORKLOADS), default=list(WORKLOADS), metavar="NAME,...")
    parser.add_argument("-s", "--servers", type=some_of(FILE_SERVERS), default=FILE_SERVERS, metavar="NAME,...",
                        help="salver is always among them, and the first")
    parser.add_argument("-r", "--rounds", type=positive, default=5)
    parser.add_argument("-t", "--seconds", type=positive, default=2, help="for each server in each round")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "target/compare", metavar="DIR",
                        help="the folder for compare.json, compare.md and compare.svg (default: target/compare)")
    parser.add_argument("--publish", action="store_true",
                        help="write to benches/results and docs, as the README shows it, instead")
    options = parser.parse_args()
    options.servers = ["salver", *(name for name in options.servers if name != "salver")]
    return options


def plant(root):
    """Makes the tree that is served."""
    line = b"<p>A salver is the tray things are served on.\n"
    sizes = {"1k.html": KIB, "10k.html": 10 * KIB, "100k.html": 100 * KIB, "1m.bin": MIB, "10m.bin": 10 * MIB,
             "10k.bin": 10 * KIB, "folder/index.html": KIB, "index.html": KIB}
    sizes |= {f"many/{number}.html": 2 * KIB + number for number in range(MANY)}
    for folder in ("many", "folder"):
        (root / folder).mkdir(parents=True)
    for name, size in sizes.items():
        (root / name).write_bytes((line * (size // len(line) + 1))[:size])
    time.sleep(SETTLE_S)


def compare(name, names, folder, options):
    """Measures a workload with each server: the results, and why some have none, by server."""
    workload = WORKLOADS[name]
    skipped, runs, memory = {}, {}, {}
    for number in range(options.rounds):
        first = number % len(names)
        for server_name in names[first:] + names[:first]:
            if server_name in skipped:
                continue
            tell_progress(f"{name}, round {number + 1}: {server_name}")
            try:
                with Server(server_name, folder / "root", folder) as server:
                    load = suit(workload, server)
                    measure(server, load, WARM_S)
                    runs.setdefault(server_name, []).append(measure(server, load, options.seconds))
                    memory[server_name] = server.memory_bytes()
            except (Failure, OSError) as reason:
                skipped[server_name] = str(reason)
    tell_progress()
    for server_name, measured in runs.items():
        if not any(run.requests for run in measured):
            skipped.setdefault(server_name, "answered nothing under load")
    results = {server_name: summarize(workload, runs[server_name], memory[server_name])
               for server_name in names if server_name in runs and server_name not in skipped}
    return {"what": workload.what, "results": results, "skipped": skipped}


def suit(workload, server):
    """The load with what is this server's own filled in, once a request has shown that it answers as expected."""
    load = workload.load
    if load.fields == SAME:
        _, fields, _ = server.ask(load.target)
        if "ETag" not in fields:
            raise Failure("sends no ETag")
        load = load._replace(fields=(("If-None-Match", fields["ETag"]),))
    status, _, length = server.ask(load.first_target(), load.fields)
    if status != workload.status:
        raise Failure(f"answers {status} where {workload.status} is expected")
    if workload.length is not None and length != workload.length:
        raise Failure(f"answers with {length} bytes where {workload.length} are expected")
    return load


def summarize(workload, runs, memory):
    """What the rounds come to."""
    cpu_us = [run.cpu_s / answers(workload, run) * 1e6 for run in runs if run.requests]
    return {
        "cpu_us": round(median(cpu_us), 3),
        "requests_per_s": round(median(answers(workload, run) / run.seconds for run in runs)),
        "p50_us": round(median(run.p50_us for run in runs)),
        "p99_us": round(median(run.p99_us for run in runs)),
        "pss_mib": memory and round(memory / MIB, 1),
        "errors": sum(run.errors for run in runs),
        "cpu_us_of_rounds": [round(value, 3) for value in cpu_us],
    }


def answers(workload, run):
    """How many answers came; of large ones there are parts, which the end of a run cuts off and wrk doesn't count."""
    is_large = workload.length is not None and workload.length >= MIB
    return run.bytes / workload.length if is_large else run.requests


HEADINGS = ("", "CPU µs/request", "", "requests/s", "", "p50 µs", "p99 µs", "PSS MiB")


def rows(workload):
    """The table of a workload, each row a server."""
    results = workload["results"]
    own = results.get("salver")
    for name, result in results.items():
        def ratio(key):
            return f"×{result[key] / own[key]:.2f}" if own and own[key] else ""
        memory = "-" if result["pss_mib"] is None else f"{result['pss_mib']:.1f}"
        yield (name, f"{result['cpu_us']:.2f}", ratio("cpu_us"), f"{result['requests_per_s']:,}",
               ratio("requests_per_s"), f"{result['p50_us']:,}", f"{result['p99_us']:,}", memory)


def notes(workload):
    for name, result in workload["results"].items():
        if result["errors"]:
            yield f"{name}: {result['errors']} connections failed or timed out"
    for name, reason in workload["skipped"].items():
        yield f"{name}: skipped: {reason}"


def table(name, workload):
    """The lines of a workload for the terminal."""
    cells = [HEADINGS, *rows(workload)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    yield f"\n{name}: {workload['what']}"
    for row in cells:
        yield "  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width)
                                                       for cell, width in zip(row[1:], widths[1:]))
    for note in notes(workload):
        yield f"  {note}"


def publish(report, options):
    results, docs = result_folders(options)
    (results / "compare.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (results / "compare.md").write_text("\n".join(document(report)) + "\n")
    (docs / "compare.svg").write_text(chart.bars(
        "CPU time per request", "relative to salver; shorter is better", describe(report["machine"]),
        [panel(name, workload) for name, workload in report["workloads"].items()]))
    print(f"\nwritten: {results}/compare.json, compare.md, {docs}/compare.svg")


def panel(name, workload):
    """A workload's part of the chart: its title, and a bar for each server, salver's first."""
    title, results = WORKLOADS[name].title, workload["results"]
    own = results.get("salver", {}).get("cpu_us")
    if not own:
        return chart.Panel(title, "salver has no figure", [])
    bars = [(server, result["cpu_us"] / own) for server, result in results.items()]
    return chart.Panel(title, f"salver {own:,.1f} µs", bars)


def document(report):
    """The result as a page of Markdown."""
    yield "# What a request costs"
    yield ""
    yield "Written by `benches/compare.py`, which tells how this is measured; run it on a machine of your own."
    yield ""
    yield f"- Machine: {describe(report['machine'])}; client and servers share the cores."
    yield f"- Medians of {report['rounds']} rounds of {report['seconds']} s; × is relative to salver."
    for name, server in report["servers"].items():
        yield f"- {name} {server['version']}: {server['setup']}."
    for name in report["absent"]:
        yield f"- {name}: not installed, skipped."
    for name, workload in report["workloads"].items():
        yield ""
        yield f"## {name}: {workload['what']}"
        yield ""
        yield "| " + " | ".join(HEADINGS) + " |"
        yield "|---|" + "---:|" * (len(HEADINGS) - 1)
        yield from ("| " + " | ".join(row) + " |" for row in rows(workload))
        reasons = list(notes(workload))
        if reasons:
            yield ""
            yield from (f"- {reason}" for reason in reasons)


if __name__ == "__main__":
    run_main(run)
