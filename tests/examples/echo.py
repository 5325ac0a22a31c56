"""Clients of an echo.

Usage: echo.py ADDRESS transcript|crowd|deaf
"""

import hashlib
import random
import select
import socket
import sys
import threading

from common import PATIENCE, connect, read, read_to_end

ADDRESS, PART = sys.argv[1:]


def transcript():
    """Prints what comes back, for it to be compared with what another server sends."""

    def told(name, content):
        print(f"{name}: {len(content)} bytes, {hashlib.sha256(content).hexdigest()}")

    with connect(ADDRESS) as connection:
        for line in [b"one\n", b"\n", "zwölf\r\n".encode(), b"no end"]:
            connection.sendall(line)
            told("a line", read(connection, len(line)))
        connection.shutdown(socket.SHUT_WR)
        told("after the end", read_to_end(connection))
    with connect(ADDRESS) as connection:
        connection.shutdown(socket.SHUT_WR)
        told("nothing", read_to_end(connection))
    with connect(ADDRESS) as connection:
        connection.sendall(bytes(range(256)) * 64)
        connection.shutdown(socket.SHUT_WR)
        told("every byte, and the end at once", read_to_end(connection))
    with connect(ADDRESS) as connection:
        sender = threading.Thread(target=send_pieces, args=(connection, random.Random(1), 3_000_000))
        sender.start()
        told("pieces", read_to_end(connection))
        sender.join(PATIENCE)
    with connect(ADDRESS) as connection:
        connection.sendall(b"whose answer nobody reads")
    with connect(ADDRESS) as connection:
        connection.sendall(b"after that")
        told("the next one", read(connection, 10))


def send_pieces(connection, chance, count):
    content = chance.randbytes(count)
    while content:
        size = chance.choice([1, 10, 1_000, 100_000])
        connection.sendall(content[:size])
        content = content[size:]
    connection.shutdown(socket.SHUT_WR)


def crowd():
    """Fifty at once: none sends before all are connected, and none leaves before all have been answered."""
    count = 50
    barrier = threading.Barrier(count, timeout=PATIENCE)
    failures = []

    def one(number):
        try:
            chance = random.Random(number)
            with connect(ADDRESS) as connection:
                barrier.wait()
                for _ in range(20):
                    content = chance.randbytes(chance.randrange(1, 20_000))
                    connection.sendall(content)
                    assert read(connection, len(content)) == content, "other bytes came back"
                barrier.wait()
        except Exception as error:
            failures.append(f"client {number}: {error!r}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def deaf():
    """One sends and doesn't read, until the server takes no more; it reads late, and nothing was lost."""
    taken_max = 100_000_000
    piece = random.Random(1).randbytes(100_003)
    with connect(ADDRESS) as connection:
        sent = 0
        connection.setblocking(False)
        # No room for a second: it waits for this client.
        while select.select([], [connection], [], 1)[1]:
            at = sent % len(piece)
            try:
                sent += connection.send(piece[at:])
            except BlockingIOError:
                pass
            assert sent < taken_max, "it takes whatever comes"
        # It waits for nobody else.
        with connect(ADDRESS) as another:
            another.sendall(b"hello")
            assert read(another, 5) == b"hello"
        connection.settimeout(PATIENCE)
        connection.shutdown(socket.SHUT_WR)
        received = read_to_end(connection)
        assert received == (piece * (sent // len(piece) + 1))[:sent], f"{len(received)} of {sent} came back"


{"transcript": transcript, "crowd": crowd, "deaf": deaf}[PART]()
print("all is well")
