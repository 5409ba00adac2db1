#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A second kind of database behind the same engine: a key-value server of the tests, driven through
bootstrap, failover, fence and rejoin by real members, sidecars and guardians."""
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

PROGRAM = os.environ.get("INDABA_KEYVALUE", os.path.join(members.ROOT, "build", "tests", "keyvalue",
                                                         "indaba-keyvalue"))
SERVER = os.path.join(members.ROOT, "tests", "keyvalue", "keyvalue_server.py")
OVER_S = 30.0


class Instance(world.Instance):
    def config_text(self, shard="main", kind="keyvalue", **changed):
        text = super().config_text(**changed)
        lines = [line for line in text.splitlines() if not line.startswith("postgres:")]
        return "\n".join(lines).replace("shard: main,", f"shard: {shard}, kind: {kind},") + "\n"

    def start(self, config=None, log=None):
        with open(log or self.log, "ab") as file:
            self.process = subprocess.Popen([PROGRAM, "sidecar", "--config", config or self.config],
                                            stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                            env=dict(os.environ, KEYVALUE_SERVER=SERVER))

    def ask(self, statement):
        """The answer; "" if there is none."""
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as peer:
                peer.sendall(statement.encode() + b"\n")
                return peer.makefile("r").readline().strip()
        return ""

    def info(self):
        return dict(word.split("=", 1) for word in self.ask("INFO").split() if "=" in word)

    def is_writable(self):
        return self.info().get("writable") == "1"

    def serves(self, as_primary):
        return self.is_writable() if as_primary else self.info().get("streaming") == "1"

    def servers(self):
        """Pids of its database."""
        found = []
        for pid in world.processes_of(self.dir):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                if SERVER.encode() in file.read().split(b"\0")[:2]:
                    found.append(pid)
        return found


class Earth(world.World):
    def __init__(self, count, mode):
        super().__init__(count, mode)
        self.instances = [Instance(self, number) for number in range(count)]
        self.rows = 0

    def up(self, more=()):
        self.start()
        self.wait_ready()
        self.client("shard", "create", "main", "--kind", "keyvalue", "--mode", "async",
                    "--preferred", "r1", *more)
        for one in self.instances:
            one.start()
        self.wait_whole()

    def put(self, instance):
        """Another row, acknowledged."""
        self.rows += 1
        return instance.ask(f"SET k{self.rows} v{self.rows}") == "OK"

    def wait_put(self):
        """Until somebody takes a row; who."""
        def taken():
            return next((one for one in self.instances if self.put(one)), None)

        return members.wait_until("a row is acknowledged", taken, OVER_S)

    def wait_copied(self):
        def copied():
            ends = {one.info().get("end") for one in self.instances}
            return len(ends) == 1 and None not in ends

        members.wait_until("all copies are equal", copied, OVER_S)


def test_a_shard_of_it_can_only_be_async(earth):
    code, _, words = earth.client("shard", "create", "other", "--kind", "keyvalue", check=False)
    assert code != 0 and "can only be async" in words, (code, words)


def test_a_sidecar_of_another_kind_than_its_shard_is_refused_and_told_why(earth):
    stranger = Instance(earth, 1)
    stranger.dir, stranger.name = stranger.dir + "-stranger", "stranger"
    stranger.config, stranger.log = stranger.dir + ".yaml", stranger.dir + ".log"
    earth.client("shard", "create", "pages", "--mode", "async")
    earth.issue("stranger", "/sidecar/pages/stranger")
    with open(stranger.config, "w", encoding="utf-8") as file:
        file.write(stranger.config_text(shard="pages"))
    stranger.start()

    def told():
        with open(stranger.log, encoding="utf-8") as log:
            return "is of kind postgres" in log.read()

    members.wait_until("it is told", told, OVER_S)
    assert not earth.json("shard", "show", "pages")["shard"].get("instances")
    stranger.kill()


def test_a_primary_that_is_killed_is_replaced_and_nothing_copied_is_lost(earth):
    old = earth.wait_put()
    for _ in range(50):
        assert earth.put(old)
    earth.wait_copied()
    rows = earth.rows
    old.kill()
    new = earth.wait_put()
    assert new is not old
    assert new.ask("GET k1") == "OK v1" and new.ask(f"GET k{rows}") == f"OK v{rows}"
    old.start()
    earth.wait_whole()
    assert not old.is_writable()
    earth.wait_copied()


def test_a_primary_without_a_lease_is_fenced_before_another_is_made(earth):
    old = earth.wait_put()
    before = old.servers()
    old.process.send_signal(signal.SIGSTOP)
    try:
        def replaced():
            writable = [one for one in earth.instances if one.is_writable()]
            assert len(writable) <= 1, [one.name for one in writable]
            return writable and writable[0] is not old

        members.wait_until("another leads", replaced, OVER_S)
        assert not set(before) & set(old.servers()), "its guardian let it live"
    finally:
        old.process.send_signal(signal.SIGCONT)
    earth.wait_put()
    earth.wait_whole()


def test_what_nobody_else_holds_is_kept_aside_and_the_folder_is_built_anew(earth):
    old = earth.wait_put()
    earth.wait_copied()
    others = [one for one in earth.instances if one is not old]
    still = [pid for one in others for pid in one.servers()]
    world.send(still, signal.SIGSTOP)
    lost = [earth.put(old) for _ in range(3)]
    old.kill()
    world.send(still, signal.SIGCONT)
    assert all(lost)
    new = earth.wait_put()
    old.start()
    earth.wait_whole()
    earth.wait_copied()
    aside = os.listdir(os.path.join(old.dir, "stranded"))
    assert len(aside) == 1, aside
    assert old.info()["timeline"] == new.info()["timeline"]


TESTS = (
    test_a_shard_of_it_can_only_be_async,
    test_a_sidecar_of_another_kind_than_its_shard_is_refused_and_told_why,
    test_a_primary_that_is_killed_is_replaced_and_nothing_copied_is_lost,
    test_a_primary_without_a_lease_is_fenced_before_another_is_made,
    test_what_nobody_else_holds_is_kept_aside_and_the_folder_is_built_anew,
)


def main():
    with world.world(kind=Earth, mode="async") as earth:
        for test in TESTS:
            began = time.monotonic()
            test(earth)
            print(f"ok {test.__name__} {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
