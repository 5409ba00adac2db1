# SPDX-License-Identifier: Apache-2.0
"""What a stranger does: connections that say nothing or do not read, calls that are denied, a log
that nobody empties. Small, bounded, on loopback only, from addresses (127.0.0.x) of its own."""
import contextlib
import fcntl
import os
import select
import socket
import ssl
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


def handshake_from_afar(cluster, member, source, way_s, identity="operator"):
    """Whether somebody with that certificate gets in at the API port from there, if each word takes
    so long to come over."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(cluster.certs, "ca.pem"))
    context.load_cert_chain(os.path.join(cluster.certs, identity + ".pem"),
                            os.path.join(cluster.certs, identity + ".key"))
    context.set_alpn_protocols(["h2"])
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out)
    with contextlib.suppress(OSError), connect(member.api, source) as link:
        while True:
            time.sleep(way_s)
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                link.sendall(out.read())
            data = link.recv(65536)
            if not data:
                return False
            into.write(data)
        link.sendall(out.read())
        return bool(link.recv(1))  # its settings, or a ticket
    return False


def give_way():
    """Said by a thread that attacks: what it asks for may cost others an office, and not that it takes
    a processor from them."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class Flood:
    """Connections that stay as they are: from each source so many to each port, renewed when they
    are closed, at most RENEWALS_S a second. `say` is sent once on each."""

    RENEWALS_S = 4000

    def __init__(self, ports, sources, each, say=b""):
        self.wanted = [(port, source) for port in ports for source in sources
                       for _ in range(each)]
        self.say = say
        self.links = {}
        self.made = 0
        self.ending = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        for at in range(len(self.wanted)):
            self._open(at)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join(10)
        for link in self.links.values():
            link.close()

    def _open(self, at):
        port, source = self.wanted[at]
        link = socket.socket()
        link.setblocking(False)
        try:
            link.bind((source, 0))
            with contextlib.suppress(BlockingIOError):
                link.connect(("127.0.0.1", port))
        except OSError:
            link.close()
            return
        if self.say:
            # On loopback a listening port has accepted before connect returns.
            with contextlib.suppress(OSError):
                link.send(self.say)
        self.links[at] = link
        self.made += 1

    def _run(self):
        give_way()
        while not self.ending:
            poll = select.poll()
            where = {}
            for at in range(len(self.wanted)):
                if at not in self.links:
                    self._open(at)
                if at in self.links:
                    where[self.links[at].fileno()] = at
                    # Nothing is read: only the end is looked for.
                    poll.register(self.links[at], 0 if self.say else select.POLLIN)
            ended = poll.poll(20)
            for file, _ in ended:
                self.links.pop(where[file]).close()
            time.sleep(len(ended) / self.RENEWALS_S)


PAGES = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1700


def pour_pages(ports, seconds, connections=60):
    """For so long: many connections, each with a batch of requests for pages that it does not read,
    closed and made anew."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        links = []
        for number in range(connections):
            with contextlib.suppress(OSError):
                link = connect(ports[number % len(ports)], "127.0.0.2")
                link.setblocking(False)
                links.append(link)
        for link in links:
            with contextlib.suppress(OSError):
                link.send(PAGES)
        time.sleep(0.3)
        for link in links:
            link.close()


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


# --- HTTP/2 by hand, for what no library does ---------------------------------------------------

def _frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + \
        payload


def _header(name, value):
    """A literal that is not indexed, without Huffman (RFC 7541, 6.2.2)."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


class WindowOfZero:
    """A connection with a certificate that asks and lets nothing of the answers come."""

    SETTINGS, HEADERS, DATA, RST_STREAM, GOAWAY = 4, 1, 0, 3, 7

    def __init__(self, cluster, member, identity, source="127.0.0.1"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(os.path.join(cluster.certs, "ca.pem"))
        context.load_cert_chain(os.path.join(cluster.certs, identity + ".pem"),
                                os.path.join(cluster.certs, identity + ".key"))
        context.set_alpn_protocols(["h2"])
        self.link = context.wrap_socket(connect(member.api, source))
        self.stream = 1
        window = (4).to_bytes(2, "big") + (0).to_bytes(4, "big")
        self.link.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                          _frame(self.SETTINGS, 0, 0, window))

    def begin(self, path, more=b""):
        """The headers of a call, with what of HPACK follows them; its stream's number."""
        stream, self.stream = self.stream, self.stream + 2
        headers = b"".join(_header(name, value) for name, value in (
            (b":method", b"POST"), (b":scheme", b"https"), (b":path", path.encode()),
            (b":authority", b"x"), (b"content-type", b"application/grpc"), (b"te", b"trailers")))
        self.link.sendall(_frame(self.HEADERS, 4, stream, headers + more))
        return stream

    def part(self, stream, data):
        """Some of its message, in frames of 16 KiB at most."""
        self.link.sendall(b"".join(_frame(self.DATA, 0, stream, data[at:at + 16384])
                                   for at in range(0, len(data), 16384)))

    def ask(self, path, message):
        """One call; its stream's number."""
        stream = self.begin(path)
        self.part(stream, b"\x00" + len(message).to_bytes(4, "big") + message)
        return stream

    def frames(self, timeout_s):
        """(kind, stream, payload) of what comes, until the end or the time is over."""
        self.link.settimeout(timeout_s)
        data = b""
        with contextlib.suppress(OSError):
            while True:
                more = self.link.recv(65536)
                if not more:
                    return
                data += more
                while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                    size = int.from_bytes(data[:3], "big")
                    yield data[3], int.from_bytes(data[5:9], "big"), data[9:9 + size]
                    data = data[9 + size:]

    def begin_many(self, path, count):
        """The bytes of so many calls with an empty message, of some 28 each: what the first says is
        put into HPACK's table. The connection must have made no such call before."""
        first = b"\x83\x87" + b"".join(
            b"\x40" + _header(name, value)[1:] for name, value in (
                (b":path", path.encode()), (b":authority", b"x"),
                (b"content-type", b"application/grpc")))
        streams = range(self.stream, self.stream + 2 * count, 2)
        said = b"".join(
            _frame(self.HEADERS, 4, stream,
                   first if stream == streams[0] else b"\x83\x87\xc0\xbf\xbe") +
            _frame(self.DATA, 1, stream, bytes(5)) for stream in streams)
        self.stream += 2 * count
        return said

    def close(self):
        self.link.close()
