"""A client of the time over UDP.

Usage: time_udp.py ADDRESS
"""

import datetime
import re
import socket
import sys

from common import PATIENCE

host, port = sys.argv[1].rsplit(":", 1)
with socket.socket(type=socket.SOCK_DGRAM) as client:
    client.settimeout(PATIENCE)
    client.connect((host, int(port)))
    for datagram in [b"", b"what time is it?", bytes(65_000)]:
        client.send(datagram)
        answer = client.recv(100).decode()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n", answer), answer
        told = datetime.datetime.fromisoformat(answer.strip().replace("Z", "+00:00"))
        now = datetime.datetime.now(datetime.timezone.utc)
        assert abs((now - told).total_seconds()) < PATIENCE + 2, f"{told}, when it is {now}"
print("all is well")
