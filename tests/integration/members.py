# SPDX-License-Identifier: Apache-2.0
"""A cluster of real members on loopback for integration tests: own folder, free ports, certificates
of its own authority; nothing is left running."""
import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INDABA = os.environ.get("INDABA", os.path.join(ROOT, "build", "indaba"))
PORT_LOCKS = "/var/tmp/indaba-ports"
LOOPBACK = "127.0.0.1"
POLL_S = 0.02
POLL_MAX_S = 0.2


def free_ports(count):
    """Ports that nobody listens on and no other test gets before this process ends, below those that
    `indaba demo` takes and the ephemeral range, so that nothing else takes them."""
    ports = []
    while len(ports) < count:
        port = random.randint(12000, 20999)
        if lock_port(port) and is_free(port):
            ports.append(port)
    return ports


def lock_port(port):
    """As tests/support/support_port.c does: a member that is down for a moment keeps its ports."""
    os.makedirs(PORT_LOCKS, exist_ok=True)
    with contextlib.suppress(OSError):
        os.chmod(PORT_LOCKS, 0o777)
    try:
        lock = os.open(os.path.join(PORT_LOCKS, str(port)), os.O_CREAT | os.O_RDONLY, 0o666)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    return True  # the lock ends with the process


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(what, condition, timeout_s=15.0):
    """The condition's first true value. Fails loudly when the time is over. Looks again after a
    twentieth of what it has waited: what asks takes the cores from what it waits for."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited_s = time.monotonic() - began
        if waited_s > timeout_s:
            raise AssertionError(f"after {timeout_s} s still not: {what}")
        time.sleep(min(max(POLL_S, waited_s / 20), POLL_MAX_S))


def http_get(port, path, host=LOOPBACK):
    """(status, body) of a page; (0, reason) when nobody answers. What is not on loopback speaks TLS;
    whose certificate it is does not matter here."""
    scheme = "http" if host == LOOPBACK else "https"
    whoever = None if host == LOOPBACK else ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(f"{scheme}://{host}:{port}{path}", timeout=2,
                                    context=whoever) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def plain_numbers(shown):
    """64-bit integers are decimal strings in --json; here they are numbers again."""
    def plain(value):
        short = isinstance(value, str) and len(value) <= 20
        return int(value) if short and value.isdecimal() else value

    return {key: plain(value) for key, value in shown.items()}


class Member:
    def __init__(self, cluster, number):
        self.cluster = cluster
        self.name = f"n{number + 1}"
        self.region = f"r{number % cluster.founders + 1}"
        self.api, self.peer, self.ops = cluster.ports[3 * number:3 * number + 3]
        self.id = f"{random.getrandbits(128) | 1:032x}"
        self.dir = os.path.join(cluster.dir, self.name)
        self.config = os.path.join(cluster.dir, self.name + ".yaml")
        self.log = os.path.join(cluster.dir, self.name + ".log")
        self.process = None
        self.host = LOOPBACK  # its address, and what its process is started through
        self.launcher = []
        self.binary = None  # if it is not the one that everybody has

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.launcher, self.binary or INDABA, "serve",
                                             "--config", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment())

    def environment(self):
        """What its process finds there; kinds of members that add to it override this."""
        return dict(os.environ)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(20)

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def get(self, path):
        """(status, body) of the ops port; (0, reason) when it does not answer."""
        return http_get(self.ops, path, self.host)

    def status(self):
        code, body = self.get("/status.json")
        return json.loads(body) if code == 200 else None

    def ready(self):
        return self.get("/readyz")[0] == 200


class Cluster:
    member_type = Member

    def __init__(self, count=3):
        self.dir = tempfile.mkdtemp(prefix="indaba-members-", dir="/var/tmp")
        self.id = f"{random.getrandbits(128) | 1:032x}"
        self.founders = count
        self.made = count  # members ever: names are not used twice
        self.ports = free_ports(3 * count)
        self.members = [self.member_type(self, number) for number in range(count)]
        self.certs = os.path.join(self.dir, "certs")

    def prepare(self):
        self.run("cert", "init", "--dir", self.certs)
        self.issue("operator", "/operator/test")
        for member in self.members:
            self.issue(member.name, f"/member/{member.name}", member.host)
            self.write_config(member)
            self.run("member", "init", "--config", member.config)

    def write_config(self, member):
        with open(member.config, "w", encoding="utf-8") as file:
            file.write(self.config_of(member))

    def grow(self, *options, known=None):
        """A new member, added by command and started with an empty folder; its configuration names
        the members `known` to it (all)."""
        while True:
            ports = free_ports(3)
            if not set(ports) & set(self.ports):
                break
        self.ports += ports
        member = self.member_type(self, self.made)
        self.made += 1
        self.issue(member.name, f"/member/{member.name}")
        self.client("member", "add", member.name, "--region", member.region, "--id", member.id,
                    "--peer", f"{member.host}:{member.peer}", "--api", f"{member.host}:{member.api}",
                    "--ops", f"{member.host}:{member.ops}", *options)
        others, self.members = self.members, (known or self.members) + [member]
        self.write_config(member)
        self.members = others + [member]
        self.run("member", "init", "--config", member.config, "--join")
        member.start()
        return member

    def issue(self, name, spiffe, host=LOOPBACK):
        self.run("cert", "issue", "--dir", self.certs, "--name", name, "--spiffe", spiffe, "--host",
                 host)

    def config_of(self, member):
        members = "".join(
            f"  - {{id: {other.id}, name: {other.name}, region: {other.region}, "
            f"peer: '{other.host}:{other.peer}', api: '{other.host}:{other.api}', "
            f"ops: '{other.host}:{other.ops}'}}\n" for other in self.members)
        regions = "".join(f"  - {{name: r{rank + 1}, jurisdiction: eu, rank: {rank}}}\n"
                          for rank in range(self.founders))
        return (f"cluster: {{id: {self.id}, name: test, lease_ms: 3000}}\n"
                f"member: {{name: {member.name}, dir: {member.dir}}}\n"
                f"members:\n{members}regions:\n{regions}"
                f"tls:\n  ca: {self.certs}/ca.pem\n  cert: {self.certs}/{member.name}.pem\n"
                f"  key: {self.certs}/{member.name}.key\n")

    def run(self, *words):
        """A command of the binary that must succeed."""
        done = subprocess.run([INDABA, *words], capture_output=True, text=True, timeout=30,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"indaba {' '.join(words)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def client(self, *words, member=None, identity="operator", check=True):
        """A command that talks to one member (or all): (exit code, stdout, stderr)."""
        asked = [member] if member else self.members
        environment = dict(os.environ, INDABA_CERTS=self.certs, INDABA_IDENTITY=identity,
                           INDABA_MEMBERS=",".join(f"{one.host}:{one.api}" for one in asked))
        done = subprocess.run([INDABA, *words], capture_output=True, text=True, timeout=30,
                              env=environment, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"indaba {' '.join(words)}: {done.returncode}: {done.stdout}"
                                 f"{done.stderr}")
        return done.returncode, done.stdout, done.stderr

    def json(self, *words, member=None):
        return json.loads(self.client(*words, "--json", member=member)[1], object_hook=plain_numbers)

    def start(self):
        for member in self.members:
            member.start()

    def leader(self):
        """The member that leads in the highest term, if the living agree on it."""
        statuses = [one.status() for one in self.members if one.alive]
        known = [status for status in statuses if status]
        if not known:
            return None
        top = max(known, key=lambda status: status["term"])
        leads = [one for one in self.members if one.name == top["leader"] and one.alive]
        agreed = [status for status in known if status["leader"] == top["leader"]
                  and status["term"] == top["term"]]
        return leads[0] if leads and len(agreed) == len(known) else None

    def wait_ready(self, timeout_s=15.0):
        alive = [one for one in self.members if one.alive]
        wait_until("all living members are ready", lambda: all(one.ready() for one in alive),
                   timeout_s)
        return wait_until("one leader for all", self.leader, timeout_s)

    def stop(self, failed):
        for member in self.members:
            if member.alive:
                member.kill()
        if failed:
            for member in self.members:
                with contextlib.suppress(OSError), open(member.log, encoding="utf-8",
                                                        errors="replace") as file:
                    sys.stderr.write(f"--- {member.name}\n" + "".join(file.readlines()[-25:]))
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.dir, ignore_errors=True)


@contextlib.contextmanager
def cluster(count=3, kind=Cluster):
    made = kind(count)
    failed = True
    try:
        made.prepare()
        made.start()
        yield made
        failed = False
    finally:
        made.stop(failed)


def run_tests(tests):
    """Runs each function, says which passed, exits with 1 if one failed."""
    failures = 0
    for test in tests:
        started = time.monotonic()
        try:
            test()
            print(f"ok {test.__name__} {time.monotonic() - started:.1f} s", flush=True)
        except Exception as error:  # every failure counts, whatever it is
            failures += 1
            traceback.print_exc()
            print(f"FAILED {test.__name__}: {error!r}", flush=True)
    print(f"{len(tests) - failures} passed, {failures} failed", flush=True)
    sys.exit(1 if failures else 0)
