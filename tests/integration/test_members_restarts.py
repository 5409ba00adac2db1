#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members are killed, stopped in order, and rolled over under a writing client, again and again. No
acknowledged command is lost or done twice, and all ledgers are equal. RESTARTS says how many
restarts of a member in all (make restarts: N=200)."""
import collections
import os
import random
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402
from members_writer import Writer, check_everything, wait_progress  # noqa: E402

RESTARTS = int(os.environ.get("RESTARTS", "24"))
SEED = int(os.environ.get("SEED", "1"))
# The members hold 4096 shards at most; the writer makes about 1 / PAUSE_S a second.
PAUSE_S = 0.02 if RESTARTS <= 50 else 0.1


def kill(cluster, writer, dice):
    """Whoever it is, without a word."""
    victim = dice.choice(cluster.members)
    victim.kill()
    wait_progress(writer, dice.randrange(1, 5))
    victim.start()
    return 1


def kill_at_once(cluster, _writer, dice):
    """Restarted before anybody can miss it: its vote and its log must speak for it."""
    victim = dice.choice(cluster.members)
    victim.kill()
    victim.start()
    return 1


def kill_leader(cluster, writer, dice):
    victim = members.wait_until("a leader", cluster.leader)
    victim.kill()
    wait_progress(writer, dice.randrange(1, 5))
    victim.start()
    return 1


def kill_all(cluster, _writer, _dice):
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


def stop_one(cluster, writer, dice):
    victim = dice.choice(cluster.members)
    stop_in_order(victim)
    wait_progress(writer, dice.randrange(1, 5))
    victim.start()
    return 1


def roll(cluster, writer, dice):
    """Each in turn, the next only when the one before is ready: as an upgrade does."""
    for member in dice.sample(cluster.members, len(cluster.members)):
        stop_in_order(member)
        member.start()
        cluster.wait_ready(30)
        wait_progress(writer, 1)
    return len(cluster.members)


def test_restarts_of_all_kinds_under_load_lose_nothing():
    dice = random.Random(SEED)
    kinds = [kill, kill, kill_at_once, kill_leader, kill_leader, kill_all, stop_one, roll]
    print(f"  SEED={SEED} RESTARTS={RESTARTS}", flush=True)
    done = collections.Counter()
    with members.cluster() as cluster:
        messages = members_grpc.load_messages(cluster.dir)
        cluster.wait_ready()
        writer = Writer(cluster, messages, PAUSE_S)
        writer.start()
        wait_progress(writer, 5)
        shown = 0
        while done.total() < RESTARTS:
            kind = dice.choice(kinds)
            done[kind.__name__] += kind(cluster, writer, dice)
            cluster.wait_ready(30)
            wait_progress(writer, dice.randrange(1, 10))
            if done.total() - shown >= 25:
                shown = done.total()
                print(f"  {shown} restarts, {len(writer.acknowledged)} acknowledged", flush=True)
        writer.stop()
        check_everything(cluster, writer)
        told = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
        print(f"  {told}; {len(writer.acknowledged)} acknowledged, longest gap "
              f"{writer.gap_s:.2f} s")


if __name__ == "__main__":
    members.run_tests([test_restarts_of_all_kinds_under_load_lose_nothing])
