# SPDX-License-Identifier: Apache-2.0
"""What happens when, drawn from the seed before anything runs: nemeses by name, how long each lasts,
how long it is quiet after it. Who it hits is drawn as it happens, from a seed of its own, since who
leads then is not known before."""
import collections
import random

import nemesis
import nemesis_disks
import nemesis_machines
import nemesis_network
import nemesis_people
import nemesis_upkeep

ALL = {one.name: one for one in
       nemesis.ALL + nemesis_network.ALL + nemesis_people.ALL + nemesis_disks.ALL +
       nemesis_machines.ALL + nemesis_upkeep.ALL}
FAMILIES = sorted({one.family for one in ALL.values()})
QUIET_S = (0.5, 2.5)

Settings = collections.namedtuple(
    "Settings", "seed time_s workload nemesis mode distance shape allowed")


class Entry:
    def __init__(self, number, kind, hold_s, quiet_s, seed):
        self.number, self.kind, self.hold_s, self.quiet_s, self.seed = \
            number, kind, hold_s, quiet_s, seed

    def __str__(self):
        return (f"{self.number}. {self.kind.name}, for {self.hold_s:.1f} s, then {self.quiet_s:.1f} s "
                "of quiet")


def chosen(words):
    """Nemeses by name or family; "all" and "none"."""
    found = []
    for word in words.replace(",", " ").split():
        if word == "none":
            continue
        some = [one for one in ALL.values() if word in ("all", one.name, one.family)]
        if not some:
            raise SystemExit(f"no such nemesis: {word}; there are {', '.join(ALL)}; all of a family: "
                             f"{', '.join(FAMILIES)}")
        found += [one for one in some if one not in found]
    return found


def missing(kinds, allowed, lacks):
    """(those that can run, [(name, why)] of the others, [name] of those that are not allowed to be
    missing). `lacks`: what this host has not -> why."""
    can = [one for one in kinds if not any(need in lacks for need in one.needs)]
    cannot = [(one.name, lacks[need]) for one in kinds for need in one.needs[:1] if need in lacks]
    allowed = allowed.replace(",", " ").split()
    bad = [name for name, _ in cannot
           if not {name, ALL[name].family, *ALL[name].needs} & set(allowed)]
    return can, cannot, bad


def draw(seed, kinds, time_s):
    """More than the time can hold: each takes a second at least. Kinds come in rounds, so that each has
    its turn."""
    dice = random.Random(f"schedule {seed}")
    entries, round_ = [], []
    while kinds and len(entries) < time_s + 1:
        if not round_:
            round_ = dice.sample(kinds, len(kinds))
        kind = round_.pop()
        entries.append(Entry(len(entries) + 1, kind, dice.uniform(*kind.hold_s),
                             dice.uniform(*QUIET_S), f"{seed} {len(entries)}"))
    return entries
