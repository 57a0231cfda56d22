"""A target for scenarios: a small HTTP server that says who it is, and behaves as it is told to.

    python target.py NAME PORT

    GET /control?health=500     from now on health checks get this status
    GET /…/slow?seconds=2       answers late
    GET /…/reset                resets the connection in place of an answer
    anything else               200, its name in the body, the request's headers as X-Got-…
"""

import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

health = 200


class Target(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        global health
        asked = urlsplit(self.path)
        given = parse_qs(asked.query)
        status = 200
        if asked.path == "/control":
            health = int(given["health"][0])
        elif asked.path == "/health":
            status = health
        elif asked.path.endswith("/slow"):
            time.sleep(float(given["seconds"][0]))
        elif asked.path.endswith("/reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by RST
            self.close_connection = True
            return
        body = sys.argv[1].encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.headers.items():
            if name.lower().startswith(("x-amzn-", "x-forwarded-", "host")):
                self.send_header(f"X-Got-{name}", value[:400])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """The balancer's log says it all."""


ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Target).serve_forever()
