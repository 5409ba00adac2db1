#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots on disks that have little room, each member on a small file system of its own: what does
not fit is not begun, nobody ends for it, and it goes on by itself once there is room."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_disks  # noqa: E402
import test_members_snapshot as snapshots  # noqa: E402

MEBIBYTES = 400
LOW = 80 * members_disks.MEBIBYTE
WAITS = "indaba_snapshot_waits_for_bytes"
NEWEST = "indaba_snapshot_index"


def small_cluster():
    return members_disks.cluster(3, MEBIBYTES, snapshots.SmallSnapshots)


def follower(cluster):
    leader = cluster.wait_ready()
    return next(one for one in cluster.members if one is not leader)


def waits(member):
    return snapshots.metric(member, WAITS) > 0


def says(member, words):
    with open(member.log, encoding="utf-8") as file:
        return any("event=snapshot.waits_for_space" in line and words in line for line in file)


def low(member):
    status = member.status()
    return status is not None and status["disk_space_low"]


def test_no_snapshot_is_taken_where_it_might_not_fit():
    with small_cluster() as cluster:
        victim = follower(cluster)
        victim.disk.fill(LOW)
        members.wait_until("it knows", lambda: low(victim))
        before = snapshots.metric(victim, NEWEST)
        snapshots.write_until(cluster, lambda: waits(victim), "it waits for room")
        others = [one for one in cluster.members if one is not victim]
        newest = max(snapshots.metric(one, NEWEST) for one in others)
        snapshots.write_until(cluster, lambda: all(snapshots.metric(one, NEWEST) > newest
                                                   for one in others), "the others take theirs")
        assert snapshots.metric(victim, NEWEST) == before
        assert victim.alive and waits(victim)

        victim.disk.empty()
        members.wait_until("it takes one", lambda: snapshots.metric(victim, NEWEST) > before)
        members.wait_until("it waits no more", lambda: not waits(victim))
        snapshots.equal_roots(cluster)


def test_no_snapshot_is_received_where_it_might_not_fit():
    with small_cluster() as cluster:
        victim = follower(cluster)
        snapshots.write(cluster, 20)
        snapshots.cut_below(cluster, victim)
        victim.disk.fill(LOW)
        victim.start()
        members.wait_until("it waits for room", lambda: says(victim, "to=receive"), 30)
        members.wait_until("others can see it", lambda: waits(victim))
        files = os.listdir(os.path.join(victim.dir, "snapshots"))
        assert not any(name.endswith(".part") for name in files), files

        victim.disk.empty()
        members.wait_until("it is ready", victim.ready, 30)
        members.wait_until("it waits no more", lambda: not waits(victim))
        snapshots.equal_roots(cluster)


if __name__ == "__main__":
    members_disks.enter_namespace()
    members.run_tests([
        test_no_snapshot_is_taken_where_it_might_not_fit,
        test_no_snapshot_is_received_where_it_might_not_fit,
    ])
