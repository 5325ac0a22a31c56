#!/usr/bin/env python3
"""Writes warm.ld: which functions the linker shall put together.

The system maps a program's code in pieces of 64 KiB. What a start and common requests run, spread as the compiler leaves it,
lies in two thirds of all those pieces, and beside each other in one. ARCHITECTURE.md has the figures.

This runs a release build under callgrind (of valgrind), asks it what is often asked, and lists what has run. The list names
functions without what differs from one compiler to the next; what it doesn't know anything of stays where it is, and what isn't
there any more is passed over. So it may be old: .ci/run looks at what the program takes.

    python3 layout/make.py
"""

import http.client
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "layout"
PATIENCE = 120

FILES = {"index.html": b"<p>", "404.html": b"<p>", "a.css": b"p {}" * 300, "large.bin": bytes(1 << 20), "sub/index.html": b"<p>"}

# Method, target, field lines, status.
REQUESTS = [
    ("GET", "/", {}, 200),
    ("GET", "/", {"Accept-Encoding": "gzip, br"}, 200),
    ("GET", "/", {"If-Modified-Since": "Fri, 01 Jan 2021 00:00:00 GMT"}, 304),
    ("HEAD", "/a.css", {}, 200),
    ("GET", "/a.css?v=1", {"Range": "bytes=0-9"}, 206),
    ("GET", "/nope", {}, 404),
    ("GET", "/sub", {}, 301),
    ("GET", "/sub/", {}, 200),
    ("GET", "/large.bin", {}, 200),
    ("GET", "/a.css", {"Connection": "close"}, 200),
]


def main():
    environment = os.environ | {"CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_TARGET_DIR": str(TARGET)}
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=HERE.parent, env=environment, check=True)
    program = TARGET / "release/salver"
    in_program = {symbol(of) for of in nm(program)}
    start, life = (
        {pattern(function) for options in ([], ["--quiet"]) for function in run(program, options, use) & in_program}
        for use in (connect, ask)
    )
    parts = [
        "/* Written by make.py, which tells why. */\nSECTIONS {\n  .text.warm : {\n    /* A start. */\n",
        *map(line, sorted(start)),
        "    /* Requests. */\n",
        *map(line, sorted(life - start)),
        "  }\n} INSERT BEFORE .text;\n",
    ]
    (HERE / "warm.ld").write_text("".join(parts))
    print(f"{len(start)} functions of a start, {len(life - start)} of requests")


def line(name):
    return f"    *(.text.{name} .text.unlikely.{name})\n"


def run(program, options, use):
    """The functions that run in the life of a server that is used so."""
    with tempfile.TemporaryDirectory() as directory:
        site = pathlib.Path(directory, "site")
        for name, content in FILES.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (1_500_000_000, 1_500_000_000))
        profile = pathlib.Path(directory, "profile")
        command = ["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={profile}"]
        command += [program, *options, "--bind", "127.0.0.1", "--port", "0", site]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = int(re.search(r":(\d+)$", server.stdout.readline())[1])
            threading.Thread(target=server.stdout.read, daemon=True).start()
            use(port)
            use(port)
        finally:
            server.terminate()
            server.wait(PATIENCE)
        return set(re.findall(r"^c?fn=\(\d+\) ([^'\s]+)", profile.read_text(), re.MULTILINE))


def ask(port):
    connection = connect(port)
    for method, target, fields, status in REQUESTS:
        connection.request(method, target, headers=fields)
        response = connection.getresponse()
        response.read()
        if response.status != status:
            sys.exit(f"{method} {target}: {response.status}, not {status}")
    connection.close()


def connect(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.connect()
    return connection


def nm(program):
    return subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout.splitlines()


def symbol(line):
    """Of one that is code; none of all others."""
    *_, kind, name = line.split()
    return name if kind in "tTwW" else None


def pattern(function):
    """Without the hashes of compiler and crates."""
    function = re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", function)
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", function)


main()
