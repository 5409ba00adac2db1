# SPDX-License-Identifier: Apache-2.0
"""Nemeses of disks: power that goes, so that what was not synced is lost, and space that ends. They need
disks of our own (tests/integration/members_disks.py)."""
import contextlib

import hosts  # noqa: F401  (where the modules below are)
import members
import members_disks
from nemesis import AT_ONCE, HEALED, Nemesis, anybody, member, region_of


def lose_power(suffering):
    """Disks first: what still runs cannot make anything durable any more."""
    for one in suffering:
        one.disk.cut()
    for one in suffering:
        if hasattr(one, "postmaster"):
            one.kill()
        elif one.alive:
            one.kill()
        else:
            one.process.wait(20)


def restore_power(suffering):
    for one in suffering:
        def mounted(one=one):
            with contextlib.suppress(AssertionError):  # busy until the last process is gone
                one.disk.power_on()
                return True
            return False
        members.wait_until(f"the disk of {one.name} is back", mounted, 30)


class PowerCut(Nemesis):
    family, needs = "disk", ("disks",)
    hold_s = (0.5, 6.0)

    def __init__(self, earth, seed):
        super().__init__(earth, seed)
        self.suffering = []

    def who(self):
        """(those, in words)"""
        raise NotImplementedError

    def begin(self):
        self.suffering, about = self.who()
        lose_power(self.suffering)
        return about

    def end(self):
        restore_power(self.suffering)
        self.suffering = []
        self.earth.start_dead()


class PowerCutMembers(PowerCut):
    name, survives = "power-cut-members", HEALED

    def who(self):
        return list(self.earth.members), "all members"


class PowerCutMember(PowerCut):
    name = "power-cut-member"

    def who(self):
        one = member(self.earth, self.dice)
        return [one], one.name


class PowerCutInstance(PowerCut):
    name = "power-cut-instance"

    def who(self):
        one = anybody(self.earth, self.dice)
        return [one], one.name


class PowerCutRegion(PowerCut):
    name = "power-cut-region"

    def who(self):
        region = region_of(self.earth, self.dice)
        return [one for one in self.earth.members + self.earth.instances
                if one.region == region], f"region {region}"


class PowerCutAll(PowerCut):
    """Everything everywhere."""

    name, survives = "power-cut-all", HEALED

    def who(self):
        return self.earth.members + self.earth.instances, "all regions"


class FullDisk(Nemesis):
    """No space is left for a member or an instance, until somebody makes some."""

    name, family, needs, survives = "full-disk", "disk", ("disks",), AT_ONCE

    def begin(self):
        pick = self.dice.choice([member, anybody])
        self.one = pick(self.earth, self.dice)
        with contextlib.suppress(OSError):  # it may be fuller by then
            self.one.disk.fill(members_disks.MEBIBYTE // 4)
        return self.one.name

    def end(self):
        with contextlib.suppress(OSError):
            self.one.disk.empty()
        self.earth.start_dead()


ALL = [PowerCutMembers, PowerCutMember, PowerCutInstance, PowerCutRegion, PowerCutAll, FullDisk]
