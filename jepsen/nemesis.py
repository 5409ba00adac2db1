# SPDX-License-Identifier: Apache-2.0
"""What a nemesis is, and those that end and freeze processes. The others are in nemesis_network.py
and nemesis_people.py; schedule.py draws from all of them.

A nemesis says who suffers (`begin` returns it in words), is undone by `end`, which may be called
twice, and says when the world must go on: at once, if it was whole, or once it is healed."""
import contextlib
import random
import signal

import hosts  # noqa: F401  (where the modules below are)
import members
import world

AT_ONCE, HEALED, NEVER = "at once", "healed", "never"


class Nemesis:
    """`needs`: what the host must have ("hosts": a network of our own)."""

    name = ""
    family = ""
    needs = ()
    survives = AT_ONCE
    hold_s = (2.0, 8.0)  # how long it lasts, at least and at most

    def __init__(self, earth, seed):
        self.earth = earth
        self.dice = random.Random(seed)

    def begin(self):
        raise NotImplementedError

    def end(self):
        """Nothing stays."""

    def seen(self):
        """How the product met it, in words, before the end; "" if it did not. None: it cannot be
        asked here."""
        return None


# --- who --------------------------------------------------------------------------------------------


def primary(earth, _dice):
    return earth.primary_now()


def standby(earth, dice):
    now = earth.primary_now()
    return dice.choice([one for one in earth.instances if one is not now])


def anybody(earth, dice):
    return dice.choice([primary, primary, standby])(earth, dice)


def member(earth, dice):
    """The leader more often than not."""
    leader = earth.leader_now()
    return leader if leader and dice.random() < 0.6 else dice.choice(earth.members)


def region_of(earth, dice):
    """Of the primary, of the leader, or any."""
    leader = earth.leader_now()
    choices = [primary(earth, dice).region, dice.choice(earth.regions())]
    return dice.choice(choices + ([leader.region] if leader else []))


def everything_of(earth, region):
    pids = []
    for one in earth.members:
        if one.region == region and one.alive:
            pids.append(one.process.pid)
    for one in earth.instances:
        if one.region == region:
            pids += world.processes_of(one.dir) + ([one.process.pid] if one.alive else [])
    return pids


def backends(instance):
    """Pids of whatever serves a connection there: of clients and of standbys."""
    found = []
    for pid in world.processes_of(instance.dir):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read()
            if words.startswith(b"postgres:") and (b"walsender" in words or b"(" in words):
                found.append(pid)
    return found


PARTS = {
    "member": (member, lambda one, dice: [one.process.pid] if one.alive else []),
    "sidecar": (anybody, lambda one, dice: [one.process.pid] if one.alive else []),
    "guardian": (anybody, lambda one, dice: [pid for pid in [one.guardian()] if pid]),
    "sidecar+guardian": (anybody, lambda one, dice: [
        pid for pid in [one.guardian(), one.process.pid if one.alive else 0] if pid]),
    "postmaster": (anybody, lambda one, dice: [pid for pid in [one.postmaster()] if pid]),
    "backend": (primary, lambda one, dice: (lambda all_: [dice.choice(all_)] if all_ else [])(
        backends(one))),
    "instance": (anybody, lambda one, dice: world.processes_of(one.dir) + (
        [one.process.pid] if one.alive else [])),
}


# --- ends and pauses --------------------------------------------------------------------------------


class Kill(Nemesis):
    """SIGKILL; whoever started it starts it again at the end, as a machine's init does."""

    family = "kill"
    part = ""

    def begin(self):
        who, pids_of = PARTS[self.part]
        one = who(self.earth, self.dice)
        pids = pids_of(one, self.dice)
        world.send(pids, signal.SIGKILL)
        for watched in self.earth.members + self.earth.instances:
            if watched.process is not None and watched.process.pid in pids:
                watched.process.wait(20)
        return f"{self.part} of {one.name}: {len(pids)} processes"

    def end(self):
        self.earth.start_dead()


class KillAllMembers(Nemesis):
    name, family, survives = "kill-all-members", "kill", HEALED

    def begin(self):
        for one in self.earth.members:
            one.process.kill()
        for one in self.earth.members:
            one.process.wait(20)
        return "all members"

    def end(self):
        self.earth.start_dead()


class RollMembers(Nemesis):
    """As an upgrade does: each asked to stop, the next one when it is back."""

    name, family, hold_s = "roll-members", "kill", (0.0, 0.0)

    def begin(self):
        for one in self.earth.members:
            if one.alive:
                one.kill(signal.SIGTERM)
            one.start()
            members.wait_until(f"{one.name} is ready", one.ready, 60)
        return "each member in turn"


class Pause(Nemesis):
    """SIGSTOP, SIGCONT."""

    family = "pause"
    part = ""
    hold_s = (1.0, 9.0)

    def __init__(self, earth, seed):
        super().__init__(earth, seed)
        self.pids = []

    def begin(self):
        who, pids_of = PARTS[self.part]
        one = who(self.earth, self.dice)
        self.pids = pids_of(one, self.dice)
        world.send(self.pids, signal.SIGSTOP)
        return f"{self.part} of {one.name}: {len(self.pids)} processes"

    def end(self):
        world.send(self.pids, signal.SIGCONT)


class PauseRegion(Pause):
    name = "pause-region"

    def begin(self):
        region = region_of(self.earth, self.dice)
        self.pids = everything_of(self.earth, region)
        world.send(self.pids, signal.SIGSTOP)
        return f"region {region}: {len(self.pids)} processes"


class LoseRegion(Nemesis):
    """All of it at once, and no socket says so where the network is ours."""

    name, family, hold_s = "lose-region", "kill", (2.0, 10.0)

    def begin(self):
        region = region_of(self.earth, self.dice)
        if self.earth.fabric:
            lost = self.earth.hosts_of(region)
            self.earth.fabric.cut([pair for one in lost for other in self.earth.fabric.addresses
                                   if other != one for pair in ((one, other), (other, one))])
        world.send(everything_of(self.earth, region), signal.SIGKILL)
        for one in self.earth.members:
            if one.region == region:
                one.process.wait(20)
        for one in self.earth.instances:
            if one.region == region:
                one.kill()
        return f"region {region}"

    def end(self):
        if self.earth.fabric:
            self.earth.fabric.cut([])
        self.earth.start_dead()


def of_parts(kind, verb, survives):
    """A class for each part."""
    return [type(f"{verb}-{part}", (kind,), {"name": f"{verb}-{part}", "part": part,
                                             "survives": survives.get(part, AT_ONCE)})
            for part in PARTS]


# A frozen guardian or postmaster of a primary that goes on: see docs/safety.md, section 5.
ALL = [*of_parts(Kill, "kill", {}), *of_parts(Pause, "pause", {"backend": HEALED}),
       KillAllMembers, RollMembers, PauseRegion, LoseRegion]
