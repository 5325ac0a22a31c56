"""Clients of the chat.

Usage: chat.py ADDRESS
"""

import sys
import threading
import time

from common import PATIENCE, connect, read_to_end

ADDRESS = sys.argv[1]
PROMPT = "* a name that nobody has, please"


class Client:
    def __init__(self, name=None, **options):
        self.socket = connect(ADDRESS, **options)
        self.lines = self.socket.makefile("r", encoding="utf-8", newline="\n")
        self.expect(PROMPT)
        if name:
            self.say(name)
            self.expect(f"* {name} is here")

    def say(self, *lines):
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def hear(self):
        line = self.lines.readline()
        assert line.endswith("\n"), f"the stream ended: {line!r}"
        return line[:-1]

    def expect(self, expected):
        line = self.hear()
        assert line == expected, f"{line!r} came, not {expected!r}"

    def leave(self):
        self.lines.close()
        self.socket.close()


def names(ann):
    """Who has no name yet is told nothing but that, and nobody is told of it."""
    nobody = Client()
    for name in ["ann", "", "two words", "ann:", "* bob is here", "\x1b"]:
        nobody.say(name)
        nobody.expect(PROMPT)
    ann.say("hello")
    ann.expect("ann: hello")
    nobody.leave()


def all_hear_the_same(members):
    """All talk at once, and each hears all of it in the same order."""
    count = 200
    heard = {}

    def talk(name, client):
        client.say(*(f"{number}" for number in range(count)))
        heard[name] = [client.hear() for _ in range(count * len(members))]

    threads = [threading.Thread(target=talk, args=member) for member in members.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard.keys() == members.keys(), "one of them heard too little"
    first, *others = heard.values()
    assert all(other == first for other in others), "there were several orders"
    for name in members:
        own = [line for line in first if line.startswith(f"{name}: ")]
        assert own == [f"{name}: {number}" for number in range(count)], own


def one_does_not_read(ann, bob):
    """It is dropped, once its outbox is full. Nobody waits for it."""
    deaf = Client("deaf", receive_buffer_bytes=4096)
    for client in [ann, bob]:
        client.expect("* deaf is here")
    gone = False
    line = "x" * 900
    rounds, slowest = 0, 0
    while not gone:
        assert rounds < 10_000, "it is still there"
        begin = time.monotonic()
        ann.say(*[line] * 10, f"{rounds}")
        for client in [ann, bob]:
            while (heard := client.hear()) != f"ann: {rounds}":
                assert heard in [f"ann: {line}", "* deaf has left"], heard
                gone = gone or heard == "* deaf has left"
        rounds += 1
        slowest = max(slowest, time.monotonic() - begin)
    # A server that waited for it would do so for a minute, or an hour.
    assert slowest < PATIENCE / 2, slowest
    until_end(deaf)


def until_end(client):
    try:
        read_to_end(client.socket)
    except ConnectionResetError:
        pass


ann = Client("ann")
names(ann)
bob = Client("bob")
ann.expect("* bob is here")
carol = Client("carol")
for client in [ann, bob]:
    client.expect("* carol is here")
all_hear_the_same({"ann": ann, "bob": bob, "carol": carol})

carol.say("\x1b[31mred\x07\r")
for client in [ann, bob, carol]:
    client.expect("carol: [31mred")
# A line without an end is too long at some point.
carol.socket.sendall(b"x" * 2000)
for client in [ann, bob]:
    client.expect("* carol has left")
until_end(carol)

one_does_not_read(ann, bob)
bob.leave()
ann.expect("* bob has left")
print("all is well")
