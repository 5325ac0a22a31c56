"""The servers that are measured: how each is found, configured, started on a loopback port, and stopped."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
BUILT = {"salver": REPOSITORY / "target/release/salver", "bare": REPOSITORY / "target/release/examples/bare"}
START_S = 10.0
STOP_S = 5.0
ANSWER_S = 5.0
DESCRIPTORS = 20_000

NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 15000; }}
worker_processes {workers};
worker_rlimit_nofile {descriptors};
http {{
    types {{ text/html html; application/octet-stream bin; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    tcp_nopush on;
    %s
    server {{ listen 127.0.0.1:{port} backlog=1024; root {root}; }}
}}
"""
NGINX_TUNED = NGINX % """
    access_log off;
    keepalive_requests 1000000000;
    open_file_cache max=10000 inactive=60s;
    open_file_cache_valid 1s;
"""
NGINX_DEFAULT = NGINX % "access_log {folder}/access.log;"

LIGHTTPD = """
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{root}"
server.errorlog = "{folder}/lighttpd.log"
server.upload-dirs = ("{folder}")
server.max-fds = {descriptors}
server.max-connections = 15000
server.max-keep-alive-requests = 1000000000
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", ".bin" => "application/octet-stream")
"""

H2O = """
listen: {{ host: 127.0.0.1, port: {port} }}
{h2o_user}
num-threads: {workers}
max-connections: 15000
hosts:
  default:
    paths:
      /: {{ file.dir: {root} }}
"""


class Kind(NamedTuple):
    """A server and a configuration of it. `{}` in the command and the configuration are filled in at the start."""

    program: str
    version: str
    command: str
    setup: str
    config: str = ""


KINDS = {
    "salver": Kind("salver", "--version", "--quiet --bind 127.0.0.1 --port {port} {root}",
                   "defaults, no access log; Reno on loopback where the others have the system's congestion control"),
    "bare": Kind("bare", "", "{port}", "benches/bare.rs"),
    "nginx": Kind("nginx", "-v", "-e stderr -p {folder} -c {config}",
                  "tuned: open_file_cache, no access log, a worker a core, endless keep-alive", NGINX_TUNED),
    "nginx-default": Kind("nginx", "-v", "-e stderr -p {folder} -c {config}",
                          "as Debian sets it up, without gzip: access log, no open_file_cache", NGINX_DEFAULT),
    "lighttpd": Kind("lighttpd", "-v", "-D -f {config}", "no access log, endless keep-alive", LIGHTTPD),
    "h2o": Kind("h2o", "--version", "-c {config}", "no access log, a thread a core", H2O),
    "caddy": Kind("caddy", "version", "file-server --listen 127.0.0.1:{port} --root {root}", "defaults"),
    "static-web-server": Kind(
        "static-web-server", "--version",
        "--host 127.0.0.1 --port {port} --root {root} --log-level error --compression false",
        "no access log, no compression"),
    "miniserve": Kind("miniserve", "--version", "-i 127.0.0.1 -p {port} --index index.html {root}", "defaults"),
    "python": Kind(sys.executable, "--version", "-m http.server -b 127.0.0.1 -d {root} {port}", "http.server"),
}


# Those that serve files, and so can be compared.
FILE_SERVERS = [name for name in KINDS if name != "bare"]


def find_program(name):
    """The program of a kind: what the environment variable of its name says, else what was built here or PATH has."""
    kind = KINDS[name]
    default = str(BUILT.get(name, kind.program))
    variable = re.sub(r"\W", "_", Path(kind.program).name.upper())
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(os.environ.get(variable, default), path=path)
    return found and os.path.abspath(found)


def version_of(name):
    """The number in what the program says of its version; the server has its own, so that no path is told."""
    told = subprocess.run([find_program(name), KINDS[name].version], capture_output=True, text=True, timeout=ANSWER_S)
    number = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
    return number[0] if number else "unknown"


class Failure(Exception):
    """A server didn't start, or went away."""


class Server:
    """A server that runs from `with` to its end, in a process group of its own, its files in `folder`."""

    def __init__(self, name, root, folder):
        self.name, self.port, self.folder = name, free_port(), folder / name
        self.folder.mkdir(exist_ok=True)
        is_root = os.geteuid() == 0
        values = {
            "port": self.port, "root": root, "folder": self.folder, "config": self.folder / "config",
            "workers": len(os.sched_getaffinity(0)), "descriptors": DESCRIPTORS,
            "user": "user root;" if is_root else "", "h2o_user": "user: root" if is_root else "",
        }
        kind = KINDS[name]
        values["config"].write_text(kind.config.format_map(values))
        words = [word.format_map(values) for word in kind.command.split()]
        self.command = [find_program(name), *words]

    def __enter__(self):
        kept = {key: value for key, value in os.environ.items() if not re.match("SALVER_|PORT$|NGINX|RUST_LOG", key)}
        with open(self.folder / "out", "wb") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                env=kept | {"HOME": str(self.folder)}, start_new_session=True)
        try:
            self.wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # What is left of the group: all of it is ours, and its number is taken as long as one of it lives.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def wait_until_up(self):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.ask("/")
                return
            except OSError:
                time.sleep(0.02)
        said = (self.folder / "out").read_text(errors="replace")[-500:]
        raise Failure(f"doesn't start: {said.strip()}")

    def ask(self, target, fields=()):
        """One GET on a connection of its own: the status, the fields and the length of the content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request("GET", target, headers=dict(fields))
            reply = connection.getresponse()
            length = 0
            while piece := reply.read(1 << 20):
                length += len(piece)
            return reply.status, reply.headers, length
        except http.client.HTTPException as error:
            raise Failure(f"doesn't answer with HTTP: {error!r}") from error
        finally:
            connection.close()

    def cpu_seconds(self):
        """User and system time of the process and all below it, so far."""
        ticks = 0
        for process in tree(self.process.pid):
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self):
        """Proportional set size of the process and all below it; none where the system doesn't tell."""
        total = 0
        for process in tree(self.process.pid):
            try:
                told = Path(f"/proc/{process}/smaps_rollup").read_text()
            except OSError:
                return None
            total += int(re.search(r"(?m)^Pss:\s+(\d+)", told)[1]) * 1024
        return total


def tree(process):
    """The numbers of a process and of all below it."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:
            continue  # the thread has just ended
        for child in below:
            yield from tree(int(child))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
