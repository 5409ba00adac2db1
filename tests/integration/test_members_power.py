#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The power goes under a writing client: of one member, or of all at once. Everything that was not
synced is lost; nothing that was acknowledged is. CUTS says how many (make powercut: N=60)."""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_disks  # noqa: E402
import members_grpc  # noqa: E402
from members_writer import Writer, check_everything, wait_progress  # noqa: E402

CUTS = int(os.environ.get("CUTS", "8"))
SEED = int(os.environ.get("SEED", "1"))
PAUSE_S = 0.02


def test_a_cut_loses_what_was_not_synced_and_nothing_else():
    """The fixture itself: without this, the tests below would prove nothing."""
    made = members.Cluster(1)
    disk = members_disks.Disk(os.path.join(made.dir, "disk"), 32)
    path = os.path.join(disk.mount_point, "file")
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(file, b"synced", 0)
    os.fsync(file)
    os.pwrite(file, b"LOST", 0)
    with open(os.path.join(disk.mount_point, "new"), "w", encoding="utf-8") as new:
        new.write("lost")
    disk.cut()
    os.close(file)
    disk.power_on()
    with open(path, "rb") as read:
        assert read.read() == b"synced"
    assert not os.path.exists(os.path.join(disk.mount_point, "new"))
    disk.unmount()
    made.stop(False)


def cut(victims, dice):
    """Power before process or process before power: a member that runs on without a disk must not
    acknowledge anything more."""
    if dice.random() < 0.5:
        for member in victims:
            member.process.kill()
    for member in victims:
        member.disk.cut()
    dice_wait = dice.random() < 0.5
    for member in victims:
        if dice_wait:
            members.wait_until(f"{member.name} ends itself", lambda one=member: not one.alive)
        elif member.alive:
            member.kill()
        member.process.wait(20)
    for member in victims:
        member.disk.power_on()


def one_cut(cluster, writer, dice):
    """What was cut, as text."""
    kind = dice.choice(["leader", "follower", "majority", "all", "all"])
    leader = members.wait_until("a leader", cluster.leader)
    others = [one for one in cluster.members if one is not leader]
    victims = {"leader": [leader], "follower": [dice.choice(others)],
               "majority": [leader, dice.choice(others)], "all": list(cluster.members)}[kind]
    cut(victims, dice)
    if kind in ("leader", "follower"):
        wait_progress(writer, 3)
    for member in victims:
        member.start()
    cluster.wait_ready(30)
    wait_progress(writer, dice.randrange(1, 20))
    return kind


def test_power_cuts_under_load_lose_nothing_that_was_acknowledged():
    dice = random.Random(SEED)
    print(f"  SEED={SEED} CUTS={CUTS}", flush=True)
    with members_disks.cluster() as cluster:
        messages = members_grpc.load_messages(cluster.dir)
        cluster.wait_ready()
        writer = Writer(cluster, messages, PAUSE_S)
        writer.start()
        wait_progress(writer, 5)
        done = []
        while len(done) < CUTS:
            done.append(one_cut(cluster, writer, dice))
            if len(done) % 10 == 0:
                print(f"  {len(done)} cuts, {len(writer.acknowledged)} acknowledged", flush=True)
        writer.stop()
        check_everything(cluster, writer)
        counts = ", ".join(f"{kind} {done.count(kind)}" for kind in sorted(set(done)))
        print(f"  {counts}; {len(writer.acknowledged)} acknowledged, longest gap "
              f"{writer.gap_s:.2f} s")


if __name__ == "__main__":
    members_disks.enter_namespace()
    members.run_tests([
        test_a_cut_loses_what_was_not_synced_and_nothing_else,
        test_power_cuts_under_load_lose_nothing_that_was_acknowledged,
    ])
