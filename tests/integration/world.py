# SPDX-License-Identifier: Apache-2.0
"""A whole world on loopback: regions, each with a real member, a real sidecar and its guardian, and a
real PostgreSQL. Anything of it can be killed, frozen and started again; nothing is left running."""
import contextlib
import ctypes
import functools
import os
import pwd
import signal
import subprocess
import sys
import threading
import time

import members
import pq
import writers

PR_SET_CHILD_SUBREAPER = 36
UP_S = 120.0
PASSWORD = "only-for-tests"


def database_user():
    """PostgreSQL refuses root."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def processes_of(folder):
    """Pids of everything that works in the folder or was started with a path below it."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read()
            if folder.encode() + b"/" in words or (
                    words and (os.readlink(f"/proc/{entry}/cwd") + "/").startswith(folder + "/")):
                found.append(int(entry))
    return found


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class WatchedMember(members.Member):
    """A member whose log is read as it is written: `on_line(member, line)` is called for each line,
    in a thread, within a fraction of a millisecond. Knows from it whether it leads."""

    def __init__(self, cluster, number):
        super().__init__(cluster, number)
        self.on_line = None
        self.leads = False
        self.reader = None

    def start(self):
        self.leads = False
        self.process = subprocess.Popen([*self.launcher, self.binary or members.INDABA, "serve",
                                         "--config", self.config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=self.environment())
        self.reader = threading.Thread(target=self.follow, args=(self.process,), daemon=True)
        self.reader.start()

    def follow(self, process):
        with open(self.log, "ab") as log:
            for line in process.stdout:
                self.before_line()
                text = line.decode(errors="replace")
                if " event=raft.role " in text:
                    self.leads = " role=leader " in text
                if self.on_line:
                    self.on_line(self, text)
                log.write(line)
                log.flush()
        process.stdout.close()

    def before_line(self):
        """Of the log; whoever waits here reads no further."""


class Instance:
    """A sidecar and what runs under it."""

    def __init__(self, world, number):
        self.world = world
        self.name = f"pg{number + 1}"
        self.region = world.members[number].region
        self.dir = os.path.join(world.dir, self.name)
        self.config = os.path.join(world.dir, self.name + ".yaml")
        self.log = os.path.join(world.dir, self.name + ".log")
        self.port, self.http = members.free_ports(2)
        self.process = None
        self.host = members.LOOPBACK  # its address, and what its process is started through
        self.launcher = []
        self.binary = None  # if it is not the one that everybody has
        self.clients = "127.0.0.1/32"  # whom pg_hba.conf trusts
        self.gate = None  # of its configuration, which says nothing of it

    def config_text(self, **changed):
        """The configuration; `changed` replaces name, region, dir, port, http or cert."""
        value = {"name": self.name, "region": self.region, "dir": self.dir, "port": self.port,
                 "http": self.http, "cert": self.name, **changed}
        certs = self.world.certs
        asked = ", ".join(f'"{one.host}:{one.api}"' for one in self.world.members)
        return (f"cluster: {{members: [{asked}]}}\n"
                f"instance: {{shard: main, name: {value['name']}, region: {value['region']}, "
                f"dir: {value['dir']}, address: \"{self.host}:{value['port']}\", "
                f"http: \"{self.host}:{value['http']}\"}}\n"
                f"postgres: {{user: {database_user()}, replication_password: {PASSWORD}, "
                f"hba: \"host all all {self.clients} trust\""
                f"{', gate: ' + self.gate if self.gate else ''}}}\n"
                f"tls: {{ca: {certs}/ca.pem, cert: {certs}/{value['cert']}.pem, "
                f"key: {certs}/{value['cert']}.key}}\n")

    def prepare(self):
        self.world.issue(self.name, f"/sidecar/main/{self.name}", self.host)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.config_text())

    def start(self):
        with open(self.log, "ab") as log:
            self.process = self.start_writing_to(log)

    def start_writing_to(self, log):
        return subprocess.Popen([*self.launcher, self.binary or members.INDABA, "sidecar", "--config",
                                 self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                env=self.environment())

    def environment(self):
        """What its processes find there; kinds of instances that add to it override this."""
        return dict(os.environ)

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end_sidecar(self, number):
        """Ends the sidecar alone."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def postmaster(self):
        """Its pid; 0 if there is none."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(os.path.join(self.dir, "pgdata", "postmaster.pid"), encoding="utf-8") as file:
                return int(file.readline())
        return 0

    def guardian(self):
        """Its pid; 0 if there is none."""
        for pid in processes_of(self.dir):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if file.read().split(b"\0")[1:2] == [b"guardian"]:
                        return pid
        return 0

    def kill(self):
        """SIGKILL for sidecar, guardian and database, until none is left."""
        def none_left():
            pids = processes_of(self.dir) + ([self.process.pid] if self.alive else [])
            send(pids, signal.SIGKILL)
            return not pids

        members.wait_until(f"{self.name} is dead", none_left)
        if self.process:
            self.process.wait(20)

    def ask(self, statement):
        return pq.ask(self.port, statement, host=self.host)

    def receivers(self):
        """Pids of what receives WAL there."""
        found = []
        for pid in processes_of(self.dir):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"walreceiver" in file.read():
                    found.append(pid)
        return found

    def is_writable(self):
        """True if it answers and is no standby."""
        with contextlib.suppress(pq.Failed, pq.Silent):
            return self.ask("SELECT pg_is_in_recovery()") == "f"
        return False

    def serves(self, as_primary):
        """It answers, and is what it should be: the primary, or a standby to which WAL streams."""
        if as_primary:
            return self.is_writable()
        with contextlib.suppress(pq.Failed, pq.Silent):
            return self.ask("SELECT count(*) FROM pg_stat_wal_receiver"
                            " WHERE status = 'streaming'") == "1"
        return False

    def get(self, path):
        """(status, body) of its role endpoint; (0, reason) when it does not answer."""
        return members.http_get(self.http, path, self.host)


class World(members.Cluster):
    """Members n1… in regions r1…, and instances pg1… of shard `main`, one a region."""

    member_type = WatchedMember
    instance_type = Instance

    def __init__(self, count, mode):
        super().__init__(count)
        self.mode = mode
        os.chmod(self.dir, 0o755)  # the database's user passes through
        self.instances = [self.instance_type(self, number) for number in range(count)]
        self.writers = None

    def prepare(self):
        super().prepare()
        for one in self.instances:
            one.prepare()

    def up(self, more=()):
        """Everything runs, every standby is in the sync set, and writers write."""
        self.start()
        self.wait_ready()
        self.client("shard", "create", "main", "--mode", self.mode, "--preferred", "r1", *more)
        for one in self.instances:
            one.start()
        self.wait_whole()
        self.primary().ask("CREATE TABLE rows (id bigint PRIMARY KEY)")
        self.writers = writers.Writers(self.instances)
        self.wait_writes()

    def shard(self):
        """As the leader shows it; None when nobody answers."""
        with contextlib.suppress(AssertionError):
            return self.json("shard", "show", "main")["shard"]
        return None

    def instance(self, name):
        return next((one for one in self.instances if one.name == name), None)

    def primary(self):
        shard = members.wait_until("a leader that shows the shard", self.shard)
        return self.instance(shard["primary"])

    def is_whole(self):
        """Open, and every instance that should be is connected, streams and is in the sync set. By
        what the databases themselves say, too: what the leader shows of one whose sidecar has just
        come back is of its last report."""
        shard = self.shard()
        if not shard or not shard["opened"] or len(shard["instances"]) != len(self.instances):
            return False
        for one in shard["instances"]:
            primary = one["name"] == shard["primary"]
            if not one["connected"] or one["state"] != ("primary" if primary else "standby"):
                return False
            if not primary and self.mode == "sync" and not one["in_sync_set"]:
                return False
        return len(shard["sync"]) <= 1 and all(
            one.serves(one.name == shard["primary"]) for one in self.instances)

    def wait_whole(self):
        members.wait_until("the shard is whole", self.is_whole, UP_S)

    def wait_writes(self, instance=None, since=None, timeout_s=60.0):
        """Waits for a row that was acknowledged after `since` (now)."""
        since = time.monotonic() if since is None else since
        members.wait_until("a row is acknowledged",
                           lambda: self.writers.last_sent(instance) > since, timeout_s)

    def failovers(self):
        """Newest first."""
        return self.json("failover", "ls", "--shard", "main")["failovers"]

    def kill_region(self, instance):
        """SIGKILL of everything in the instance's region at once."""
        member = self.member_of(instance)
        pids = processes_of(instance.dir) + [instance.process.pid, member.process.pid]
        send(pids, signal.SIGKILL)
        member.process.wait(20)
        instance.kill()

    def member_of(self, instance):
        return next(one for one in self.members if one.region == instance.region)

    def revive(self):
        """Starts whatever is dead, and waits until the shard is whole."""
        for one in self.members + self.instances:
            if not one.alive:
                one.start()
        self.wait_ready(60)
        self.wait_whole()

    def check(self):
        """Ends the writing and judges: no row is missing, one primary at a time, ledgers agree."""
        self.writers.stop()
        self.check_offices()
        writable = [one.name for one in self.instances if one.is_writable()]
        primary = self.primary()
        assert writable == [primary.name], (writable, primary.name)
        missing = self.writers.missing(primary.port)
        assert self.mode == "async" or not missing, f"acknowledged rows are missing: {missing}"
        members.wait_until("all ledgers are equal",
                           lambda: self.client("ledger", "verify", check=False)[0] == 0)
        return missing

    def check_offices(self):
        """Acknowledgements, in the order of sending, come from one primary after the other: as many
        changes as there were failovers to another instance."""
        offices = self.writers.offices()
        moves = sum(1 for one in self.failovers()
                    if one["old_primary"] and one["candidate"] not in ("", one["old_primary"]))
        assert len(offices) - 1 <= moves, f"{moves} failovers, but {offices}"

    def stop(self, failed):
        if self.writers:
            for one in self.writers.all:
                one.stopping.set()
        for one in self.instances:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                one.kill()
            if failed:
                for path in (one.log, os.path.join(one.dir, "log", "postgres.log")):
                    tail(path)
        super().stop(failed)


def tail(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        sys.stderr.write(f"--- {path}\n" + "".join(file.readlines()[-25:]))


def sharing(*tests, **options):
    """Those tests, each of which takes a world, one after the other in the same one: it is checked
    after the last. The logs of one in which a test failed are shown, and the next gets a new one."""
    stack = contextlib.ExitStack()
    opened = []

    def shared(test):
        @functools.wraps(test)
        def run():
            with contextlib.ExitStack() as failed:
                failed.push(lambda *error: opened.clear() or stack.__exit__(*error))
                if not opened:
                    opened.append(stack.enter_context(world(**options)))
                test(opened[0])
                if test is tests[-1]:
                    opened[0].check()
                    return
                failed.pop_all()
        return run

    return [shared(test) for test in tests]


@contextlib.contextmanager
def world(count=3, mode="sync", up=True, kind=World):
    """A world that is up and written to. Whoever's parents die becomes a child of ours, so that
    nothing of it stays behind as a zombie of somebody else."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    made = kind(count, mode)
    failed = True
    try:
        made.prepare()
        if up:
            made.up()
        yield made
        failed = False
    finally:
        made.stop(failed)
