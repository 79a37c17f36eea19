#!/usr/bin/python3
"""Stands in for the server of a run: answers every request with what its sandbox lets it see and do, as JSON."""

import errno
import json
import mmap
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def attempt(action):
    """`yes`, or the name of the error."""
    try:
        action()
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode[error.errno]
    return "yes"


def connect(address):
    with socket.socket() as connection:
        connection.settimeout(1)
        connection.connect(address)


def send(address):
    with socket.socket(type=socket.SOCK_DGRAM) as connection:
        connection.sendto(b"hello", address)


def listen(port):
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", port))


def write(path):
    Path(path).write_bytes(b"hello")


def names(path):
    return sorted(found.name for found in Path(path).iterdir())


def findings():
    model = Path(os.environ["SLMC_MODEL"])
    processors = Path("/proc/cpuinfo").read_text().count("processor\t")
    return {
        "arguments": sys.argv[1:],
        "environment": {os.fsdecode(name): os.fsdecode(value) for name, value in os.environb.items()},
        "user": os.getuid(),
        "may": {
            "connect to itself": attempt(lambda: connect(("127.0.0.1", int(os.environ["SLMC_PORT"])))),
            "connect to far": attempt(lambda: connect(("192.0.2.2", 8000))),
            "send to far": attempt(lambda: send(("192.0.2.2", 53))),
            "use IPv6": attempt(lambda: socket.socket(socket.AF_INET6).close()),
            "use netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
            "listen elsewhere": attempt(lambda: listen(9999)),
            "write to its artifact": attempt(lambda: write(model / "other")),
            "write to /var/lib": attempt(lambda: write("/var/lib/other")),
            "write to /etc": attempt(lambda: write("/etc/other")),
            "write to /tmp": attempt(lambda: write("/tmp/other")),
            "write code and run it": attempt(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
            "pin its threads": attempt(lambda: os.sched_setaffinity(0, {0})),
            "become root": attempt(lambda: os.setuid(0)),
        },
        "sees": {
            "artifacts": names(model.parent),
            "model": (model / "model.onnx").read_text(),
            "state of others": names("/var/lib"),
            "homes": attempt(lambda: names("/root")),
            "processors": processors == os.sysconf("SC_NPROCESSORS_CONF"),
        },
    }


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(findings()).encode())


if __name__ == "__main__":
    # Threads, because one of the findings is whether it can connect to itself.
    ThreadingHTTPServer((os.environ["SLMC_HOST"], int(os.environ["SLMC_PORT"])), Handler).serve_forever()
