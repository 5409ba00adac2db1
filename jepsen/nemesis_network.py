# SPDX-License-Identifier: Apache-2.0
"""Nemeses of the network: who hears whom no more. A cut is a set of (from, to) of hosts. All of them
need a network of our own."""
import threading

from hosts import LAB
from nemesis import AT_ONCE, HEALED, Nemesis, primary, region_of


def both_ways(some, others):
    return [pair for one in some for other in others if one != other
            for pair in ((one, other), (other, one))]


class Partition(Nemesis):
    """`pairs()` gives what is cut, and who it is about."""

    family, needs = "partition", ("hosts",)
    hold_s = (2.0, 12.0)

    def pairs(self):
        raise NotImplementedError

    def begin(self):
        pairs, about = self.pairs()
        self.earth.fabric.cut(pairs)
        return about

    def end(self):
        self.earth.fabric.cut([])

    def hosts(self, *regions):
        return [host for region in regions for host in self.earth.hosts_of(region)]

    def others(self, *regions):
        return [one for one in self.earth.regions() if one not in regions]

    def members_of(self, *regions):
        return [one.name for one in self.earth.members if one.region in regions]

    def databases_of(self, *regions):
        return [one.name for one in self.earth.instances if one.region in regions]


class Isolate(Partition):
    """One region from all others; clients reach both sides."""

    name = "isolate"

    def pairs(self):
        region = region_of(self.earth, self.dice)
        return both_ways(self.hosts(region), self.hosts(*self.others(region))), f"region {region}"


class Split(Partition):
    """Every region from every other: nobody is a majority of three."""

    name, survives = "split-all", HEALED

    def pairs(self):
        regions = self.earth.regions()
        return [pair for one in regions for pair in
                both_ways(self.hosts(one), self.hosts(*self.others(one)))], "all from all"


class MajorityMinority(Partition):
    """As many regions as are no majority, drawn, from the others."""

    name = "minority"

    def pairs(self):
        regions = self.earth.regions()
        small = self.dice.sample(regions, (len(regions) - 1) // 2)
        return both_ways(self.hosts(*small), self.hosts(*self.others(*small))), \
            f"{'+'.join(small)} from the others"


class Bridge(Partition):
    """Two halves that only one region sees both of."""

    name = "bridge"

    def pairs(self):
        regions = self.dice.sample(self.earth.regions(), len(self.earth.regions()))
        middle, rest = regions[0], regions[1:]
        one, other = rest[:len(rest) // 2], rest[len(rest) // 2:]
        return both_ways(self.hosts(*one), self.hosts(*other)), \
            f"{'+'.join(one)} from {'+'.join(other)}, {middle} sees both"


class Ring(Partition):
    """Each region sees its neighbours in a ring, and no others; of three that is one bridge."""

    name = "ring"

    def pairs(self):
        regions = self.dice.sample(self.earth.regions(), len(self.earth.regions()))
        count, pairs = len(regions), []
        for place, one in enumerate(regions):
            near = {regions[(place + 1) % count], regions[place - 1], one}
            far = [other for other in regions if other not in near]
            pairs += both_ways(self.hosts(one), self.hosts(*far))
        if not pairs:
            pairs = both_ways(self.hosts(regions[0]), self.hosts(regions[1]))
        return pairs, " ".join(regions)


class OneWay(Partition):
    """A region is heard and does not hear, or hears and is not heard."""

    name = "one-way"

    def pairs(self):
        region = region_of(self.earth, self.dice)
        deaf = self.dice.random() < 0.5
        pairs = [(one, other) for one in self.hosts(*self.others(region))
                 for other in self.hosts(region)]
        if not deaf:
            pairs = [(other, one) for one, other in pairs]
        return pairs, f"region {region} {'hears nobody' if deaf else 'is not heard'}"


class Flapping(Partition):
    """On and off, about as fast as elections are."""

    name, survives = "flapping", HEALED

    def __init__(self, earth, seed):
        super().__init__(earth, seed)
        self.stopping = threading.Event()
        self.thread = None

    def pairs(self):
        region = region_of(self.earth, self.dice)
        return both_ways(self.hosts(region), self.hosts(*self.others(region))), f"region {region}"

    def begin(self):
        pairs, about = self.pairs()
        pause_s = self.dice.choice([0.25, 0.5, 1.0, 2.0])

        def flap():
            while not self.stopping.is_set():
                self.earth.fabric.cut(pairs)
                self.stopping.wait(pause_s)
                self.earth.fabric.cut([])
                self.stopping.wait(pause_s)

        self.thread = threading.Thread(target=flap, daemon=True)
        self.thread.start()
        return f"{about}, every {pause_s} s"

    def end(self):
        self.stopping.set()
        if self.thread:
            self.thread.join(20)
        super().end()


class CutPeers(Partition):
    """Coordinators of a region hear no others; everything else goes on."""

    name = "cut-peers"

    def pairs(self):
        region = region_of(self.earth, self.dice)
        return both_ways(self.members_of(region), self.members_of(*self.others(region))), \
            f"members of {region}"


class CutSidecar(Partition):
    """The primary's sidecar hears no member; replication goes on."""

    name = "cut-sidecar"

    def pairs(self):
        one = primary(self.earth, self.dice)
        return both_ways([one.name], [other.name for other in self.earth.members]), one.name


class CutReplication(Partition):
    """No standby hears the primary; sidecars go on."""

    name, survives = "cut-replication", HEALED

    def pairs(self):
        one = primary(self.earth, self.dice)
        return both_ways([one.name], [other.name for other in self.earth.instances]), one.name


class CutClients(Partition):
    """Clients and operators do not reach the primary; nothing else is wrong."""

    name, survives = "cut-clients", HEALED

    def pairs(self):
        one = primary(self.earth, self.dice)
        return both_ways([LAB], [one.name]), one.name


class SlowNetwork(Partition):
    """Five times as far, and some packets are lost."""

    name, survives, family = "slow-network", HEALED, "slow"

    def begin(self):
        self.earth.set_distances(5.0, 0.03)
        return "five times as far, 3 % lost"

    def end(self):
        self.earth.set_distances()


ALL = [Isolate, Split, MajorityMinority, Bridge, Ring, OneWay, Flapping, CutPeers, CutSidecar,
       CutReplication, CutClients, SlowNetwork]
