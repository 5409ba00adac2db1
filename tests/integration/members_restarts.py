# SPDX-License-Identifier: Apache-2.0
"""The ways in which members are restarted under load, and a loop that goes through them by a seed.
`progress(count)` waits until the load has got so many answers more."""
import collections
import os
import random
import signal

import members

SEED = int(os.environ.get("SEED", "1"))


def kill(cluster, progress, dice):
    """Whoever it is, without a word."""
    victim = dice.choice(cluster.members)
    victim.kill()
    progress(dice.randrange(1, 5))
    victim.start()
    return 1


def kill_at_once(cluster, _progress, dice):
    """Restarted before anybody can miss it: its vote and its log must speak for it."""
    victim = dice.choice(cluster.members)
    victim.kill()
    victim.start()
    return 1


def kill_leader(cluster, progress, dice):
    victim = members.wait_until("a leader", cluster.leader)
    victim.kill()
    progress(dice.randrange(1, 5))
    victim.start()
    return 1


def kill_all(cluster, _progress, _dice):
    for member in cluster.members:
        member.process.kill()
    for member in cluster.members:
        member.process.wait(20)
    for member in cluster.members:
        member.start()
    return len(cluster.members)


def stop_in_order(member):
    code = member.kill(signal.SIGTERM)
    assert code == 0, f"{member.name} ended with {code} when asked to stop"


def stop_one(cluster, progress, dice):
    victim = dice.choice(cluster.members)
    stop_in_order(victim)
    progress(dice.randrange(1, 5))
    victim.start()
    return 1


def roll(cluster, progress, dice):
    """Each in turn, the next only when the one before is ready: as an upgrade does."""
    for member in dice.sample(cluster.members, len(cluster.members)):
        stop_in_order(member)
        member.start()
        cluster.wait_ready(30)
        progress(1)
    return len(cluster.members)


def stay_away(cluster, progress, dice):
    """For so long that, with small snapshots, the others have no log for it any more."""
    victim = dice.choice(cluster.members)
    victim.kill()
    for _ in range(3):
        progress(40)
    victim.start()
    return 1


KINDS = [kill, kill, kill_at_once, kill_leader, kill_leader, kill_all, stop_one, roll]


def restart(cluster, count, progress, say, kinds=tuple(KINDS)):
    """Restarts members until `count` restarts are done; how many of each kind, as text. `say` is
    told of every 25."""
    dice = random.Random(SEED)
    done = collections.Counter()
    shown = 0
    while done.total() < count:
        kind = dice.choice(kinds)
        done[kind.__name__] += kind(cluster, progress, dice)
        cluster.wait_ready(30)
        progress(dice.randrange(1, 10))
        if done.total() - shown >= 25:
            shown = done.total()
            say(shown)
    return ", ".join(f"{name} {number}" for name, number in sorted(done.items()))
