"""An echo as Python's socketserver has it, to be compared with ours.

Usage: echo_server.py tcp | echo_server.py unix:PATH
"""

import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while content := self.request.recv(65536):
                self.request.sendall(content)
        except (BrokenPipeError, ConnectionResetError):
            pass


if sys.argv[1] == "tcp":
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    print("{}:{}".format(*server.server_address), flush=True)
else:
    server = socketserver.ThreadingUnixStreamServer(sys.argv[1].removeprefix("unix:"), Echo)
    print(sys.argv[1], flush=True)
server.serve_forever()
