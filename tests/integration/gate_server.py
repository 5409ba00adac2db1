# SPDX-License-Identifier: Apache-2.0
"""One PostgreSQL under a real guardian, and nobody else: the test speaks to the guardian as a sidecar
does. So a deadline can pass while the guardian stands still, and what is left is the gate alone."""
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import members
import pq
import world

BIN = "/usr/lib/postgresql/15/bin"
LIBRARY = os.path.join(os.environ.get("B", "build"), "gate", "indaba_gate.so")
# guard_protocol.h
VERSION, START, ARM, WRITABLE, MEMBERS = 2, 2, 3, 4, 8
REQUEST = "=IIQQQQQQQQ"
ANSWER = "=IIQIIIIiiQ"
NS = 10 ** 9


class Server:
    def __init__(self, gate=True, settings=""):
        self.dir = tempfile.mkdtemp(prefix="indaba-gate-", dir="/var/tmp")
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, "pgdata")
        self.port = members.free_ports(1)[0]
        self.as_user = ["setpriv", f"--reuid={world.database_user()}", "--regid=postgres",
                        "--clear-groups"] if os.geteuid() == 0 else []
        self.sequence = 0
        for name in ("run", "state"):
            os.mkdir(os.path.join(self.dir, name))
        os.mkdir(self.data, 0o700)
        if os.geteuid() == 0:
            shutil.chown(self.data, world.database_user())
        self.program("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync",
                     "--locale=C", "-E", "UTF8")
        library = os.path.join(self.dir, "indaba_gate.so")
        shutil.copy(LIBRARY, library)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
            conf.write(f"port = {self.port}\nunix_socket_directories = '/tmp'\n"
                       f"max_prepared_transactions = 10\nrestart_after_crash = off\n{settings}\n"
                       + (f"shared_preload_libraries = '{library}'\n" if gate else ""))
        self.guardian = subprocess.Popen(
            [members.INDABA, "guardian", "--run", f"{self.dir}/run", "--state", f"{self.dir}/state",
             "--data", self.data, "--output", f"{self.dir}/postgres.log", "--user",
             world.database_user() if os.geteuid() == 0 else "", "--", f"{BIN}/postgres", "-D",
             self.data], stdin=subprocess.DEVNULL)
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        members.wait_until("the guardian listens", self.connects)
        self.request(START)
        members.wait_until("the database answers", self.answers)

    def program(self, name, *words, **options):
        return subprocess.run([*self.as_user, f"{BIN}/{name}", *words], check=True, cwd="/",
                              stdout=subprocess.DEVNULL, **options)

    def connects(self):
        with contextlib.suppress(OSError):
            self.line.connect(f"{self.dir}/run/guardian.sock")
            return True
        return False

    def answers(self):
        with contextlib.suppress(pq.Failed, pq.Silent):
            return pq.ask(self.port, "SELECT 1") == "1"
        return False

    def request(self, kind, epoch=0, deadline_ns=0, more=b""):
        """Sends it, and waits for its answer."""
        self.sequence += 1
        self.line.send(struct.pack(REQUEST, VERSION, kind, self.sequence, epoch, deadline_ns, 0, 0,
                                   0, 0, 0) + more)
        self.line.settimeout(10)
        while True:
            answer = struct.unpack(ANSWER, self.line.recv(4096)[:struct.calcsize(ANSWER)])
            if answer[2] == self.sequence:
                assert answer[3] == 0, f"the guardian refuses {kind}: {answer}"
                return

    def members(self, epoch, sync, required, *names):
        padded = b"".join(name.encode().ljust(64, b"\0") for name in names)
        self.request(MEMBERS, epoch, more=struct.pack("=IIII", sync, required, len(names), 0)
                     + padded.ljust(8 * 64, b"\0"))

    def open(self, epoch=1, seconds=60.0):
        """It may be written for so long."""
        self.deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        self.request(ARM, epoch, int(self.deadline * NS))
        self.request(WRITABLE, epoch)

    def set(self, lines):
        """… in its configuration, as somebody with an editor does."""
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
            conf.write(lines + "\n")
        self.ask("SELECT pg_reload_conf()")

    def freeze_guardian(self):
        """From now on only the gate knows the deadline."""
        self.guardian.send_signal(signal.SIGSTOP)

    def ask(self, statement):
        return pq.ask(self.port, statement)

    def connection(self, options=""):
        return pq.Connection(self.port, 5, options)

    def processes(self):
        """Of the database."""
        return [pid for pid in world.processes_of(self.dir) if pid != self.guardian.pid]

    def log(self):
        with open(f"{self.dir}/postgres.log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        self.line.close()
        if self.guardian.poll() is None:
            self.guardian.kill()
        self.guardian.wait(10)
        members.wait_until("nothing is left", lambda: not [
            os.kill(pid, signal.SIGKILL) for pid in world.processes_of(self.dir)])
        shutil.rmtree(self.dir)


@contextlib.contextmanager
def server(**options):
    ctypes.CDLL(None).prctl(world.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    made = Server(**options)
    try:
        yield made
    except BaseException:
        world.tail(f"{made.dir}/postgres.log")
        raise
    finally:
        made.stop()


def is_over(connection, timeout_s):
    """True if it ended without a success, False if it is still silent. A success is raised."""
    try:
        raise AssertionError(f"answered: {connection.end(timeout_s)}")
    except pq.Failed:
        return True
    except pq.Silent:
        return False
