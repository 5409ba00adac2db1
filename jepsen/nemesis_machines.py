# SPDX-License-Identifier: Apache-2.0
"""Nemeses of machines: clocks that are wrong, disks that are slow, fail or stand still, memory that is
short, a log that nobody reads, and a crash at a failpoint. What they do it with is gear.py."""
import os
import signal
import time

import armed
import gear
import hosts  # noqa: F401  (where the modules below are)
import world
from nemesis import Nemesis, anybody, member, region_of, standby


def somebody(earth, dice):
    return dice.choice([member, anybody])(earth, dice)


def all_of(earth, region=None):
    return [one for one in earth.members + earth.instances if region in (None, one.region)]


def pids_of(one):
    return world.processes_of(one.dir) + ([one.process.pid] if one.alive else [])


# --- clocks -----------------------------------------------------------------------------------------


class Clock(Nemesis):
    """`wrong()`: (who, offset in s, ppm) for each, and in words."""

    family, needs = "clock", ("clock",)
    hold_s = (3.0, 10.0)

    def wrong(self):
        raise NotImplementedError

    def begin(self):
        self.whom, about = self.wrong()
        self.told = {one: one.clock_told() for one, _, _ in self.whom}
        for one, offset_s, ppm in self.whom:
            one.clock_is(offset_s, ppm)
        return about

    def seen(self):
        told = {one.name: one.clock_told() - self.told[one] for one, _, _ in self.whom}
        some = [f"{name} {count} times" for name, count in told.items() if count]
        return f"the wrong time was read: {', '.join(some)}" if some else ""

    def end(self):
        for one, _, _ in self.whom:
            one.clock_is()


class ClockJump(Clock):
    """Of a region: minutes or a year, forwards or back."""

    name = "clock-jump"

    def wrong(self):
        region = region_of(self.earth, self.dice)
        offset_s = self.dice.choice([-1, 1]) * self.dice.choice([10, 3600, 365 * 24 * 3600])
        return [(one, offset_s, 0) for one in all_of(self.earth, region)], \
            f"region {region} by {offset_s} s"


class ClockDrift(Clock):
    """Everywhere, differently."""

    name = "clock-drift"

    def wrong(self):
        return [(one, 0, self.dice.choice([-1, 1]) * self.dice.randrange(20000, 100000))
                for one in all_of(self.earth)], "by 2 to 10 percent, each its own"


class ClockOrigin(Nemesis):
    """A machine boots: its clocks since boot begin elsewhere. All others' differ anyhow."""

    name, family, needs = "clock-origin", "clock", ("origins",)

    def begin(self):
        self.region = region_of(self.earth, self.dice)
        self.whom = all_of(self.earth, self.region)
        world.send([pid for one in self.whom for pid in pids_of(one)], signal.SIGKILL)
        for one in self.whom:
            one.kill() if one in self.earth.instances else one.process.wait(20)
            self.earth.set_origin(one, self.dice.randrange(1, 10 ** 7))
            one.start()
        return f"region {self.region}"

    def end(self):
        self.earth.start_dead()

    def seen(self):
        ours = os.readlink("/proc/self/ns/time")
        theirs = {os.readlink(f"/proc/{one.process.pid}/ns/time") for one in self.whom if one.alive}
        return f"{len(theirs)} clocks of their own" if theirs and ours not in theirs else ""


# --- disks ------------------------------------------------------------------------------------------


class Io(Nemesis):
    family, needs = "io", ("io",)
    fault = {}
    about = ""

    def begin(self):
        self.one = somebody(self.earth, self.dice)
        self.met = self.one.disk_met()
        self.one.disk_does(**self.drawn())
        return f"{self.one.name} {self.about}"

    def drawn(self):
        return self.fault

    def seen(self):
        return f"{self.one.name} met it" if self.one.disk_met() != self.met else ""

    def end(self):
        self.one.disk_does()
        self.earth.start_dead()


class SlowDisk(Io):
    name, about = "slow-disk", "syncs slowly"

    def drawn(self):
        return {"sync": gear.SYNC_IS_SLOW, "slow_ms": self.dice.choice([20, 100, 500])}


class HungDisk(Io):
    name, about = "hung-disk", "waits for its disk"
    fault = {"sync": gear.SYNC_WAITS}


class SyncFails(Io):
    name, about = "sync-fails", "gets EIO of its syncs"
    fault = {"sync": gear.SYNC_FAILS}


class WriteFails(Io):
    name, about = "write-fails", "gets EIO of its writes"
    fault = {"write": gear.WRITE_FAILS}


class NoSpace(Io):
    name, about = "no-space", "gets ENOSPC of its writes"
    fault = {"write": gear.WRITE_HAS_NO_SPACE}


# --- memory -----------------------------------------------------------------------------------------


class ShortMemory(Nemesis):
    """No more than what it has now, and a little, files' pages counted: the kernel ends what wants
    more than can be given back."""

    name, family, needs = "short-memory", "memory", ("memory",)

    def begin(self):
        self.one = somebody(self.earth, self.dice)
        self.memory = self.earth.memories[self.one]
        self.pressed = self.memory.pressed()
        kept = self.memory.press(self.memory.in_use() + (self.dice.choice([0, 0, 1]) << 20))
        return f"{self.one.name}: {kept >> 20} MiB"

    def seen(self):
        return f"{self.memory.pressed() - self.pressed} times at its limit" \
            if self.memory.pressed() > self.pressed else ""

    def end(self):
        self.memory.limit(0)
        self.earth.start_dead()


# --- logs -------------------------------------------------------------------------------------------


class StillLog(Nemesis):
    """Nobody reads what a region says, and there is much to say."""

    name, family, needs = "still-log", "log", ("pipe",)
    hold_s = (4.0, 9.0)

    def begin(self):
        self.region = region_of(self.earth, self.dice)
        self.whom = all_of(self.earth, self.region)
        for one in self.whom:
            one.pipe.going.clear()
        for _ in range(100):  # each is asked to read its certificate again, and says so
            world.send([one.process.pid for one in self.whom if one.alive], signal.SIGHUP)
            time.sleep(0.01)
        return f"region {self.region}"

    def seen(self):
        full = [one.name for one in self.whom if one.alive and one.unread() >= gear.PIPE_BYTES // 2]
        return f"unread: {' '.join(full)}" if full else ""

    def end(self):
        for one in self.whom:
            one.pipe.going.set()


# --- failpoints -------------------------------------------------------------------------------------


class Failpoint(Nemesis):
    """Drawn: a place that is met often or by a switchover, who meets it, what happens there and at which
    hit. The others are for `make failpoints`."""

    name, family, needs = "failpoint", "failpoints", ("failpoints",)
    hold_s = (4.0, 10.0)

    def begin(self):
        fails, points = armed.can_fail()
        members_do = self.dice.random() < 0.4
        self.whom = list(self.earth.members if members_do else self.earth.instances)
        point = self.dice.choice(sorted(
            one for one in points if one.startswith(armed.OFTEN)
            and one.startswith(armed.OF_MEMBERS) == members_do))
        action = self.dice.choice(["crash", "crash", "sleep:2000"] +
                                  (["error:eio", "error:enospc"] if point in fails else []))
        at = self.dice.choice([1, 1, 1, 2])
        self.before = {one: len(one.met()) for one in self.whom}
        for one in self.whom:
            one.arm(point, action, at)
        # Most of them are met when another one becomes primary.
        self.earth.client("failover", "start", "main", "--to", standby(self.earth, self.dice).name,
                          "--yes", "--no-wait", check=False)
        return f"{point}={action}@{at}"

    def seen(self):
        met = [f"{one.name} at {point}" for one in self.whom
               for point, _ in one.met()[self.before[one]:]]
        return ", ".join(met)

    def end(self):
        for one in self.whom:
            one.disarm()
        self.earth.start_dead()


ALL = [ClockJump, ClockDrift, ClockOrigin, SlowDisk, HungDisk, SyncFails, WriteFails, NoSpace, ShortMemory,
       StillLog, Failpoint]
