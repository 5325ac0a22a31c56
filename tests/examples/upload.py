"""A client that uploads files, as courses on sockets write it: struct.pack("i", ...) + JSON + the file.

Usage: upload.py ADDRESS FOLDER PROCESS, where the server puts the files, and its number. It is told to stop at the end.
"""

import json
import os
import random
import signal
import socket
import struct
import sys
import time

from common import PATIENCE, connect

ADDRESS, FOLDER, PROCESS = sys.argv[1], sys.argv[2], int(sys.argv[3])


def frame(header, content=b""):
    header = json.dumps(header).encode()
    return struct.pack("i", len(header)) + header + content


class Client:
    def __init__(self):
        self.socket = connect(ADDRESS)
        self.answers = self.socket.makefile("r", encoding="utf-8")

    def send(self, header, content=b""):
        self.socket.sendall(frame(header, content))

    def answer(self):
        return json.loads(self.answers.readline())

    def expect_saved(self, name, content):
        answer = self.answer()
        assert answer == {"saved": name, "size": len(content)}, answer
        assert saved(name) == content, f"{name!r} isn't what was sent"

    def expect_error(self, part):
        answer = self.answer()
        assert part in answer.get("error", ""), f"{answer} came, not {part!r}"

    def expect_end(self):
        assert self.answers.read() == ""

    def reset(self):
        """Goes away as a program does that is killed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.answers.close()
        self.socket.close()


def saved(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


def until(holds, what):
    """Waits for what nobody tells."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}: {os.listdir(FOLDER)}"
        os.sched_yield()


def unfinished():
    return [name for name in os.listdir(FOLDER) if name.startswith(".")]


def several_on_one_connection():
    client, chance = Client(), random.Random(1)
    for name, size in [("large.bin", 3_000_017), ("empty", 0), ("zwölf Wörter.txt", 12), ("a..b", 70_000)]:
        content = chance.randbytes(size)
        client.send({"name": name, "size": size}, content)
        client.expect_saved(name, content)
    # Byte by byte, and two at once.
    for byte in frame({"name": "slow", "size": 5}, b"hello"):
        client.socket.sendall(bytes([byte]))
    client.expect_saved("slow", b"hello")
    client.socket.sendall(frame({"name": "one", "size": 1}, b"1") + frame({"name": "two", "size": 1}, b"2"))
    client.expect_saved("one", b"1")
    client.expect_saved("two", b"2")
    client.socket.shutdown(socket.SHUT_WR)
    client.expect_end()


def names_that_are_none():
    """They are refused, and the next file is taken all the same."""
    before, client = sorted(os.listdir(FOLDER)), Client()
    # Not of /etc, for the day on which this fails.
    absolute = os.path.join(os.path.dirname(FOLDER), "x")
    for name in ["../x", absolute, ".hidden", "a/b", "", "..", ".", "a\\b", "a\0b", "a\nb", "/", "x/", None, 5]:
        client.send({"name": name, "size": 5}, b"hello")
        client.expect_error("no name for a file")
    client.send({"size": 5}, b"hello")
    client.expect_error("no name for a file")
    client.send({"name": "x" * 1000, "size": 5}, b"hello")
    client.expect_error("can't save it")
    assert sorted(os.listdir(FOLDER)) == before
    assert not os.path.exists(absolute)
    client.send({"name": "good", "size": 5}, b"hello")
    client.expect_saved("good", b"hello")


def a_name_is_given_once():
    client = Client()
    client.send({"name": "taken", "size": 5}, b"first")
    client.expect_saved("taken", b"first")
    client.send({"name": "taken", "size": 6}, b"second")
    client.expect_error("of that name already")
    assert saved("taken") == b"first"

    # Two at once, of which neither is complete before both are under way.
    clients, contents = [Client(), Client()], [b"a" * 100_000, b"b" * 100_000]
    for client, content in zip(clients, contents):
        client.send({"name": "both", "size": len(content)}, content[:-1])
    until(lambda: len(unfinished()) == 2, "two are under way")
    for client, content in zip(clients, contents):
        client.socket.sendall(content[-1:])
    answers = [client.answer() for client in clients]
    winners = [number for number, answer in enumerate(answers) if answer.get("saved") == "both"]
    assert len(winners) == 1 and "of that name already" in answers[1 - winners[0]]["error"], answers
    assert saved("both") == contents[winners[0]]


def what_is_no_upload():
    """It is refused before its body, which isn't sent here at all, and the server has no more to say then."""
    for header, reason in [
        ({"name": "huge", "size": 1 << 40}, "are taken at most"),
        ({"name": "negative", "size": -1}, "a frame of -1 bytes"),
        ({"name": "no size"}, 'has no "size"'),
        (["name", "size"], "no dictionary"),
        ({"name": "x" * 5_000, "size": 1}, "4096 are taken at most"),
    ]:
        client = Client()
        client.send(header)
        client.expect_error(reason)
        client.expect_end()
        client.socket.close()
    client = Client()
    client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    client.expect_error("are taken at most")
    assert not os.path.exists(os.path.join(FOLDER, "huge"))


def who_goes_away_leaves_nothing():
    # Half a file, and the end of the stream: that can still be answered.
    client = Client()
    client.send({"name": "half", "size": 10}, b"hello")
    client.socket.shutdown(socket.SHUT_WR)
    client.expect_error("the stream ended after 5 bytes")
    client.expect_end()
    assert not unfinished(), unfinished()
    # Half a file, and nobody is there any more.
    client = Client()
    client.send({"name": "half", "size": 1_000_000}, b"x" * 500_000)
    until(unfinished, "it has begun")
    client.reset()
    until(lambda: not unfinished(), "it is removed")
    assert "half" not in os.listdir(FOLDER)


def a_stop_leaves_nothing():
    client = Client()
    client.send({"name": "half", "size": 1_000_000}, b"x" * 500_000)
    until(unfinished, "it has begun")
    os.kill(PROCESS, signal.SIGINT)
    client.expect_error("stopping")


several_on_one_connection()
names_that_are_none()
a_name_is_given_once()
what_is_no_upload()
who_goes_away_leaves_nothing()
a_stop_leaves_nothing()
print("all is well")
