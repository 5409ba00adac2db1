#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The disk of a sidecar's state folder stands still, or refuses: what has to be durable first waits for
it, and nothing else does. A healthy primary goes on being one, with its lease renewed."""
import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

PRELOADED = os.environ.get("DISK_FAULTS", os.path.join(members.ROOT, "build", "tests", "preload",
                                                       "disk_faults.so"))
AS_ALWAYS, FAIL, WAIT = 0, 1, 2
STILL_S = 10.0
OVER_S = 30.0
ENDS_S = 5.0  # a second, and whatever a busy machine adds
STUCK_S = 1.5  # a start is prepared in a tenth of that


class Instance(world.Instance):
    """With a state folder whose disk can be told what to do with syncs."""

    def __init__(self, earth, number):
        super().__init__(earth, number)
        self.control = os.path.join(earth.dir, self.name + ".faults")
        with open(self.control, "wb") as file:
            file.write(bytes(4))
        os.chmod(self.control, 0o666)

    def start(self):
        preloaded = {"LD_PRELOAD": PRELOADED, "DISK_FAULTS_CONTROL": self.control,
                     "DISK_FAULTS_PATH": os.path.join(self.dir, "state") + "/"}
        os.environ.update(preloaded)
        try:
            super().start()
        finally:
            for name in preloaded:
                del os.environ[name]

    def syncs(self, what):
        with open(self.control, "r+b") as file:
            file.write(bytes([what, 0, 0]))


    @contextlib.contextmanager
    def syncs_that(self, what):
        self.syncs(what)
        try:
            yield
        finally:
            self.syncs(AS_ALWAYS)


class Earth(world.World):
    def __init__(self, count, mode):
        super().__init__(count, mode)
        self.instances = [Instance(self, number) for number in range(count)]

    def told(self, instance):
        """What the leader says of it, and why."""
        one = next(one for one in self.shard()["instances"] if one["name"] == instance.name)
        return one.get("concern", "") + " / " + one.get("detail", "")

    def change_the_sync_set(self):
        """A standby goes: the primary gets another goal."""
        primary = self.primary()
        gone = next(one for one in self.instances if one is not primary)
        gone.kill()
        return gone


def test_a_state_disk_that_hangs_costs_a_healthy_primary_nothing(earth):
    primary, before = earth.primary(), earth.failovers()[0]["id"]
    with primary.syncs_that(WAIT):
        gone = earth.change_the_sync_set()
        members.wait_until("the primary is to promise something, or is none any more",
                           lambda: "persist" in earth.told(primary) or
                           not primary.is_writable(), OVER_S)
        assert primary.is_writable(), "its lease was not renewed, and it was fenced"
        since = time.monotonic()
        while time.monotonic() < since + STILL_S:
            earth.wait_writes(primary.name, timeout_s=2)
        assert "disk hangs" in earth.told(primary), earth.told(primary)
    assert earth.failovers()[0]["id"] == before, earth.failovers()[0]
    gone.start()
    earth.wait_whole()


def test_a_state_disk_that_refuses_costs_a_healthy_primary_nothing(earth):
    primary, before = earth.primary(), earth.failovers()[0]["id"]
    with primary.syncs_that(FAIL):
        gone = earth.change_the_sync_set()
        members.wait_until("it is told", lambda: "keeper.state" in earth.told(primary), OVER_S)
        earth.wait_writes(primary.name, timeout_s=2)
    members.wait_until("it was written in the end",
                       lambda: "keeper.state" not in earth.told(primary), OVER_S)
    assert earth.failovers()[0]["id"] == before, earth.failovers()[0]
    gone.start()
    earth.wait_whole()


def test_a_standby_that_can_promise_nothing_confirms_no_cut(earth):
    """Each standby may hold what was acknowledged: without the word of both there is no primary."""
    old = earth.primary()
    first, second = (one for one in earth.instances if one is not old)
    with first.syncs_that(WAIT):
        killed = time.monotonic()
        old.kill()
        members.wait_until("it is to promise its cut",
                           lambda: "persist" in earth.told(first), OVER_S)
        members.wait_until("the other one has", lambda: "cut" in earth.told(second), OVER_S)
        assert not first.is_writable() and not second.is_writable()
    earth.wait_writes(since=killed, timeout_s=OVER_S)
    old.start()
    earth.wait_whole()


def starts(instance, what):
    with open(instance.log, encoding="utf-8") as file:
        return file.read().count(f"event={what} action=start ")


def test_a_sidecar_that_waits_for_its_disk_ends_when_it_is_told_to(earth):
    """It is about to start its database, and a start is noted in its state folder first."""
    standby = next(one for one in earth.instances if one is not earth.primary())
    begun, done = starts(standby, "action.started"), starts(standby, "driver.done")
    with standby.syncs_that(WAIT):
        os.kill(standby.postmaster(), signal.SIGKILL)
        members.wait_until("it begins to start it",
                           lambda: starts(standby, "action.started") > begun, OVER_S)
        seen = time.monotonic()
        members.wait_until("that comes to no end", lambda: time.monotonic() - seen > STUCK_S)
        assert starts(standby, "driver.done") == done, "it did not wait for its disk"
        told = time.monotonic()
        code = standby.end_sidecar(signal.SIGTERM)
        took_s = time.monotonic() - told
        assert code == 0 and took_s < ENDS_S, f"it ended with {code} after {took_s:.1f} s"
        print(f"  told to end: ended after {took_s:.1f} s", flush=True)
    standby.start()
    earth.wait_whole()


TESTS = (
    test_a_state_disk_that_hangs_costs_a_healthy_primary_nothing,
    test_a_state_disk_that_refuses_costs_a_healthy_primary_nothing,
    test_a_standby_that_can_promise_nothing_confirms_no_cut,
    test_a_sidecar_that_waits_for_its_disk_ends_when_it_is_told_to,
)


def main():
    with world.world(kind=Earth) as earth:
        for test in TESTS:
            began = time.monotonic()
            test(earth)
            print(f"ok {test.__name__} {time.monotonic() - began:.1f} s", flush=True)
        earth.check()


if __name__ == "__main__":
    main()
