# SPDX-License-Identifier: Apache-2.0
"""Nemeses of upkeep: what people do on purpose to a cluster that works, and which nobody may notice:
certificates are made anew, processes roll to another binary, a member is replaced."""
import os
import shutil
import signal

import hosts  # noqa: F401  (where the modules below are)
import members
from nemesis import Nemesis, member

BACK_S = 60


def log_since(one, place):
    with open(one.log, encoding="utf-8", errors="replace") as file:
        file.seek(place)
        return file.read()


class RotateCertificates(Nemesis):
    """Everybody's is made anew under the running processes, by the same authority, and they are told."""

    name, family, hold_s = "rotate-certificates", "upkeep", (1.0, 3.0)

    def begin(self):
        self.whom = [one for one in self.earth.members + self.earth.instances if one.alive]
        self.places = {one: os.path.getsize(one.log) for one in self.whom}
        for one in self.whom:
            for ending in ("pem", "key"):
                os.unlink(os.path.join(self.earth.certs, f"{one.name}.{ending}"))
            identity = f"/member/{one.name}" if one in self.earth.members else \
                f"/sidecar/main/{one.name}"
            self.earth.issue(one.name, identity, one.host)
        for one in self.whom:
            one.process.send_signal(signal.SIGHUP)
        return "of all"

    def seen(self):
        took = [one.name for one in self.whom
                if "event=tls.reloaded" in log_since(one, self.places[one])]
        return f"taken by {' '.join(took)}" if len(took) == len(self.whom) else ""


class Upgrade(Nemesis):
    """Members, then sidecars, in turn to another binary, under databases that go on. NEXT_INDABA names
    it; without that it is a copy of the same."""

    name, family, needs, hold_s = "upgrade", "upkeep", ("pipe",), (0.0, 0.0)

    def begin(self):
        to = os.environ.get("NEXT_INDABA")
        if not to:
            to = os.path.join(self.earth.dir, f"indaba-{self.earth.made}-{self.dice.random():.6f}")
            shutil.copy(members.INDABA, to)
        for one in self.earth.members:
            if one.alive:
                one.kill(signal.SIGTERM)
            one.binary = to
            one.start()
            members.wait_until(f"{one.name} is ready", one.ready, BACK_S)
        for one in self.earth.instances:
            if one.alive:
                one.end_sidecar(signal.SIGTERM)
            one.binary = to
            one.start()
        self.to = to
        return to

    def seen(self):
        all_ = self.earth.members + self.earth.instances
        there = [one.name for one in all_
                 if one.alive and os.readlink(f"/proc/{one.process.pid}/exe") == self.to]
        return f"it runs as {' '.join(there)}" if len(there) == len(all_) else ""


class ReplaceMember(Nemesis):
    """One is removed, and another one comes at its address, with another name and an empty folder."""

    name, family, hold_s = "replace-member", "upkeep", (0.0, 1.0)

    def begin(self):
        old = member(self.earth, self.dice)
        staying = [one for one in self.earth.members if one is not old]
        self.new = None
        code, _, _ = self.earth.client("member", "remove", old.name, "--yes", member=staying[0],
                                       check=False)
        if code != 0:  # too few are there
            return f"{old.name} stays: exit code {code}"
        members.wait_until(f"{old.name} ends", lambda: not old.alive, BACK_S)
        self.new = self.earth.succeed(old)
        members.wait_until(f"{self.new.name} is ready", self.new.ready, BACK_S)
        return f"{old.name} by {self.new.name}"

    def seen(self):
        shown = self.earth.client("member", "ls", check=False)[1]
        return f"{self.new.name} is a member" if self.new and self.new.name in shown else ""

    def end(self):
        self.earth.start_dead()


ALL = [RotateCertificates, Upgrade, ReplaceMember]
