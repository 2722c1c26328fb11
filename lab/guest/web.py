# ruff: noqa: INP001, a script
"""The world's web server: tells whoever asks the address they were seen with, on IPv4 and IPv6."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128  # with 5, whoever comes while we are not scheduled waits for a second

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = "web.example.net", 80  # without a look-up


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.client_address[0].removeprefix("::ffff:").encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write who asked for what: lab.internet reads it."""
        address = self.client_address[0].removeprefix("::ffff:")
        print(address, self.headers.get("Host", "-"), self.path, flush=True)


Server(("::", 80), Handler).serve_forever()
