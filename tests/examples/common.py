"""What the clients of the examples have in common."""

import socket
import sys

PATIENCE = 20


def connect(address, receive_buffer_bytes=None):
    """A connection to 127.0.0.1:9000 or unix:/tmp/echo.sock."""
    family, target = socket.AF_UNIX, address.removeprefix("unix:")
    if target == address:
        host, port = address.rsplit(":", 1)
        family, target = socket.AF_INET, (host, int(port))
    connection = socket.socket(family)
    connection.settimeout(PATIENCE)
    if receive_buffer_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    connection.connect(target)
    return connection


def read(connection, count):
    """So many bytes, or fewer when the stream ends before."""
    pieces = []
    while count > 0 and (piece := connection.recv(min(count, 1 << 16))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_to_end(connection):
    return read(connection, sys.maxsize)
