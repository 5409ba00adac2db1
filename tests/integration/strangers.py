# SPDX-License-Identifier: Apache-2.0
"""What a stranger does: connections that say nothing or do not read, calls that are denied, a log
that nobody empties. Small, bounded, on loopback only, from addresses (127.0.0.x) of its own."""
import contextlib
import fcntl
import os
import socket
import subprocess
import threading
import time

import grpc

import members
import members_grpc

DENIED = "/indaba.v1.Cluster/GetStatus"
F_SETPIPE_SZ = 1031
PIPE_BYTES = 4096


class Pipe:
    """A log that is a small pipe: read into a file, or left full."""

    def __init__(self, path):
        self.path = path
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.reader, F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.reader, False)
        self.reading = True
        self.closed = False
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        with open(self.path, "ab") as log:
            while not self.closed:
                data = b""
                with contextlib.suppress(BlockingIOError):
                    data = os.read(self.reader, 65536) if self.reading else b""
                log.write(data)
                log.flush()
                if not data:
                    time.sleep(0.005)

    def fill(self):
        """Nobody reads from now on, and nothing more fits."""
        self.reading = False
        # A description of our own: a flag on the shared one would be the process's, too.
        own = os.open(f"/proc/self/fd/{self.writer}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(own, b"the test fills this pipe\n" * 100)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(own, b"\n")
        os.close(own)

    def drain(self):
        self.reading = True

    def close(self):
        self.closed = True
        self.thread.join(5)
        for file in (self.reader, self.writer):
            os.close(file)

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read()


class PipedMember(members.Member):
    """A member whose log is such a pipe."""

    def __init__(self, cluster, number):
        super().__init__(cluster, number)
        self.pipe = None

    def start(self):
        self.pipe = self.pipe or Pipe(self.log)
        self.process = subprocess.Popen([members.INDABA, "serve", "--config", self.config],
                                        stdin=subprocess.DEVNULL, stdout=self.pipe.writer,
                                        stderr=self.pipe.writer, env=self.environment())


def denied_calls(cluster, member, identity, count, threads=4):
    """So many calls of somebody without a role; each must be denied within 5 s."""
    wrong = []

    def pour(share):
        link = members_grpc.channel(cluster, member, identity)
        method = link.unary_unary(DENIED)
        for _ in range(share):
            try:
                method(b"", timeout=5)
                wrong.append("answered")
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.PERMISSION_DENIED:
                    wrong.append(error.code())
                    break
        link.close()

    pourers = [threading.Thread(target=pour, args=(count // threads,)) for _ in range(threads)]
    for one in pourers:
        one.start()
    for one in pourers:
        one.join()
    assert not wrong, wrong


def metric(member, name):
    """The sum of a metric over its labels; 0 if it is not there."""
    code, page = member.get("/metrics")
    assert code == 200, (code, page)
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines()
               if line.split("{")[0].split(" ")[0] == name)


def connect(port, source, timeout_s=5):
    """A connection from that loopback address."""
    link = socket.socket()
    link.settimeout(timeout_s)
    link.bind((source, 0))
    link.connect(("127.0.0.1", port))
    return link
