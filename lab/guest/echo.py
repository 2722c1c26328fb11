# ruff: noqa: INP001, a script
"""The world's echo server, RFC 862: sends back what it gets, by TCP and UDP, on IPv4 and IPv6.

Its arguments are its addresses: bound to none, it would answer a datagram from another one.
"""

import socket
import socketserver
import sys
import threading

PORT = 7


class ByStream(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while received := self.request.recv(65536):
                self.request.sendall(received)
        except OSError:
            return  # whoever asked is gone


class ByDatagram(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        received, server = self.request
        server.sendto(received, self.client_address)


class StreamServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def serve(server: type[socketserver.BaseServer], address: str, handler: type) -> None:
    kind = type(server.__name__, (server,), {"address_family": family(address)})
    threading.Thread(target=kind((address, PORT), handler).serve_forever).start()


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


for address in sys.argv[1:]:
    serve(StreamServer, address, ByStream)
    serve(socketserver.UDPServer, address, ByDatagram)
