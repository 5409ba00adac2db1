#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Python's grpcio (the C core of gRPC) as a stock client of our server.

Messages are plain bytes, so nothing is generated. Takes the server from ECHO_SERVER, else builds it
with make and cc, from the archives in $B (default build/).
Run: tests/interop/test_grpc_python.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import grpc
except ImportError:
    print("grpcio is missing: apt-get install python3-grpcio", file=sys.stderr)
    sys.exit(1)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEALTH = "/grpc.health.v1.Health/"
ECHO = "/test.Echo/"


def build_server(folder):
    """The path of the echo server in that folder, compiled against the archives of the build folder."""
    given = os.environ.get("ECHO_SERVER")
    if given:
        return given
    build = os.environ.get("B", "build")
    archives = [f"{build}/lib/librpc.a", f"{build}/lib/libbase.a"]
    subprocess.run(["make", "-s", f"B={build}", *archives], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    output = os.path.join(folder, "echo_server")
    libraries = subprocess.run(["pkg-config", "--cflags", "--libs", "libuv", "openssl",
                                "libnghttp2", "libxxhash"],
                               check=True, capture_output=True, text=True).stdout.split()
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-g",
                    "-Isrc", "-I.", "-o", output, "tests/interop/echo_server.c",
                    "tests/unit/rpc/rpc_echo.c", *archives, *libraries, "-lhttp_parser",
                    "-pthread", "-rdynamic"], cwd=ROOT, check=True)
    return output


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_certificates(folder):
    """An authority and two identities, made by openssl: not by our own code."""
    def path(name):
        return os.path.join(folder, name)
    for authority in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-subj", f"/CN={authority}", "-keyout", path(f"{authority}.key"),
                "-out", path(f"{authority}.pem"))
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        with open(path(f"{name}.ext"), "w", encoding="utf-8") as ext:
            ext.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                      f"subjectAltName=URI:spiffe://indaba.test/member/{name},IP:127.0.0.1\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={name}", "-keyout", path(f"{name}.key"), "-out", path(f"{name}.csr"))
        openssl("x509", "-req", "-in", path(f"{name}.csr"), "-CA", path(f"{authority}.pem"),
                "-CAkey", path(f"{authority}.key"), "-CAcreateserial", "-days", "2",
                "-extfile", path(f"{name}.ext"), "-out", path(f"{name}.pem"))
        os.chmod(path(f"{name}.key"), 0o600)
    return path


class Server:
    """One process of the echo server."""

    def __init__(self):
        self.process = subprocess.Popen(
            [Server.binary, Server.path("ca.pem"), Server.path("server.pem"),
             Server.path("server.key")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = dict(self.process.stdout.readline().split() for _ in range(2))

    def plain(self):
        return grpc.insecure_channel(f"127.0.0.1:{self.ports['plain']}",
                                     options=[("grpc.use_local_subchannel_pool", 1)])

    def secure(self, name, authority="ca"):
        def read(file):
            with open(Server.path(file), "rb") as stream:
                return stream.read()
        key = read(f"{name}.key") if name else None
        chain = read(f"{name}.pem") if name else None
        credentials = grpc.ssl_channel_credentials(read(f"{authority}.pem"), key, chain)
        return grpc.secure_channel(f"127.0.0.1:{self.ports['tls']}", credentials,
                                   options=[("grpc.use_local_subchannel_pool", 1)])

    def stop(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=20)
        self.process.stdout.close()
        return status


class StockClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="indaba-interop-", dir="/var/tmp")
        Server.path = staticmethod(make_certificates(cls.folder))
        Server.binary = build_server(cls.folder)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        self.server = Server()
        self.channel = self.server.plain()

    def tearDown(self):
        self.channel.close()
        self.assertEqual(self.server.stop(), 0, "the server must stop cleanly")

    def unary(self, method, message=b"", channel=None, **more):
        call = (channel or self.channel).unary_unary(method)
        return call(message, timeout=more.pop("timeout", 10), **more)

    def test_unary_echo_of_all_sizes(self):
        for size in (0, 1, 100, 16384, 70000, 3 * 1024 * 1024):
            message = os.urandom(size)
            self.assertEqual(self.unary(ECHO + "Unary", message), message)

    def test_many_threads_share_a_connection(self):
        failures = []

        def work(number):
            try:
                for i in range(100):
                    text = f"{number}-{i}".encode()
                    assert self.unary(ECHO + "Unary", text) == text
            except Exception as error:  # noqa: the main thread reports it
                failures.append(error)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_health_check_and_watch(self):
        self.assertEqual(self.unary(HEALTH + "Check"), b"\x08\x01")
        self.assertEqual(self.unary(HEALTH + "Check", b"\x0a\x06leader"), b"\x08\x02")
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary(HEALTH + "Check", b"\x0a\x04none")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        watch = self.channel.unary_stream(HEALTH + "Watch")(b"", timeout=10)
        self.assertEqual(next(watch), b"\x08\x01")
        self.server.process.stdin.write("drain\n")
        self.server.process.stdin.flush()
        self.assertEqual(next(watch), b"\x08\x02")
        watch.cancel()

    def test_errors_carry_message_details_and_trailers(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary(ECHO + "Fail")
        error = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertEqual(error.details(), "é frozen 100%\n")
        trailers = dict(error.trailing_metadata())
        self.assertEqual(trailers["x-trailer"], "yes")
        self.assertIn(b"FROZEN", trailers["grpc-status-details-bin"])

    def test_unknown_methods_are_unimplemented(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary("/test.Echo/Nothing")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_oversized_messages_are_refused_and_the_connection_lives(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary(ECHO + "Unary", bytes(5 * 1024 * 1024))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(self.unary(ECHO + "Unary", b"still here"), b"still here")

    def test_compressed_messages_are_refused_with_unimplemented(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary(ECHO + "Unary", b"a" * 1000, compression=grpc.Compression.Gzip)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_server_stream_of_200000_messages(self):
        stream = self.channel.unary_stream(ECHO + "Count")(b"200000", timeout=60)
        last = None
        count = 0
        for message in stream:
            count += 1
            last = message
        self.assertEqual(count, 200000)
        self.assertTrue(last.startswith(b"message 199999 "))

    def test_bidi_echo(self):
        messages = [os.urandom(n * 37 % 5000) for n in range(300)]
        replies = list(self.channel.stream_stream(ECHO + "Chat")(iter(messages), timeout=30))
        self.assertEqual(replies, messages)

    def test_bidi_ended_early_by_the_server(self):
        def endless():
            while True:
                yield b"x"
                time.sleep(0.005)
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.channel.stream_stream(ECHO + "Early")(endless(), timeout=10))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.ABORTED)
        self.assertEqual(caught.exception.details(), "enough")

    def test_deadline_of_a_silent_call(self):
        started = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            self.unary(ECHO + "Silent", timeout=0.3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertLess(time.monotonic() - started, 5)

    def test_cancel(self):
        call = self.channel.unary_unary(ECHO + "Silent").future(b"", timeout=10)
        time.sleep(0.05)
        call.cancel()
        self.assertTrue(call.cancelled())
        stream = self.channel.unary_stream(ECHO + "Count")(b"1000000", timeout=30)
        next(stream)
        stream.cancel()
        self.assertEqual(self.unary(ECHO + "Unary", b"after"), b"after")

    def test_drain_lets_an_open_stream_finish(self):
        go_on = threading.Event()

        def messages():
            yield b"one"
            go_on.wait(10)
            yield b"two"
        chat = self.channel.stream_stream(ECHO + "Chat")(messages(), timeout=20)
        self.assertEqual(next(chat), b"one")
        self.server.process.stdin.write("drain\n")
        self.server.process.stdin.flush()
        time.sleep(0.3)
        go_on.set()
        self.assertEqual(list(chat), [b"two"])
        self.assertEqual(self.server.process.stdout.readline(), "drained\n")

    def test_mutual_tls_tells_the_handler_who_calls(self):
        with self.server.secure("client") as channel:
            reply = self.unary(ECHO + "Peer", channel=channel, metadata=[("x-test", "v")])
        self.assertEqual(reply, b"spiffe://indaba.test/member/client v")

    def test_tls_without_or_with_a_foreign_certificate_fails(self):
        for name, authority in ((None, "ca"), ("stranger", "ca"), ("client", "other")):
            with self.server.secure(name, authority) as channel:
                with self.assertRaises(grpc.RpcError) as caught:
                    self.unary(ECHO + "Unary", b"x", channel=channel, timeout=5)
                self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_keepalive_pings_are_answered(self):
        options = [("grpc.keepalive_time_ms", 1000), ("grpc.keepalive_timeout_ms", 1000),
                   ("grpc.keepalive_permit_without_calls", 1),
                   ("grpc.http2.max_pings_without_data", 0)]
        address = f"127.0.0.1:{self.server.ports['plain']}"
        with grpc.insecure_channel(address, options=options) as channel:
            with self.assertRaises(grpc.RpcError) as caught:
                self.unary(ECHO + "Silent", channel=channel, timeout=3.5)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


if __name__ == "__main__":
    unittest.main(verbosity=2)
