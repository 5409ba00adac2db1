#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Disks that fail, hang and rot under real members: by a library that is preloaded (tests/preload),
and in the files themselves. Full disks are in test_members_space.py."""
import contextlib
import glob
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_faults  # noqa: E402
import members_grpc  # noqa: E402
from members_faults import AS_ALWAYS, FAILS, SYNC, SYNCS_MET, WAITS, WRITE  # noqa: E402
from members_writer import Writer, check_everything, wait_progress  # noqa: E402

ABORTED = -6


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


class FaultyMember(members_faults.Faulty, members.Member):
    """Its disk does what member.fault says."""


class FaultyCluster(members.Cluster):
    member_type = FaultyMember


@contextlib.contextmanager
def faulty_cluster():
    with members.cluster(kind=FaultyCluster) as cluster:
        cluster.wait_ready()
        yield cluster


def with_writer(cluster):
    writer = Writer(cluster, members_grpc.load_messages(cluster.dir), 0.01)
    writer.start()
    wait_progress(writer, 5)
    return writer


def finish(cluster, writer):
    wait_progress(writer, 5)
    writer.stop()
    check_everything(cluster, writer)


def break_and_replace(cluster, victim, byte, writer):
    """The member must end by itself, say why, and find everything when it comes back."""
    victim.fault[byte] = FAILS
    members.wait_until("it ends itself", lambda: not victim.alive)
    assert victim.process.returncode == ABORTED, victim.process.returncode
    assert "event=log.failed" in log_of(victim) or "event=store.failed" in log_of(victim)
    wait_progress(writer, 5)
    victim.fault[byte] = AS_ALWAYS
    victim.start()
    cluster.wait_ready()


def test_a_failed_sync_ends_the_member_and_loses_nothing():
    with faulty_cluster() as cluster:
        writer = with_writer(cluster)
        leader = cluster.leader()
        break_and_replace(cluster, leader, SYNC, writer)
        assert leader.fault[SYNCS_MET] <= 2, "a failed sync was repeated"
        follower = next(one for one in cluster.members if one is not cluster.leader())
        break_and_replace(cluster, follower, SYNC, writer)
        finish(cluster, writer)


def test_a_failed_write_ends_the_member_and_loses_nothing():
    with faulty_cluster() as cluster:
        writer = with_writer(cluster)
        break_and_replace(cluster, cluster.leader(), WRITE, writer)
        finish(cluster, writer)


def test_a_leader_whose_disk_hangs_hands_over():
    with faulty_cluster() as cluster:
        writer = with_writer(cluster)
        leader = cluster.leader()
        leader.fault[SYNC] = WAITS
        members.wait_until("another leads", lambda: other_leads(cluster, leader))
        wait_progress(writer, 5)
        leader.fault[SYNC] = AS_ALWAYS
        members.wait_until("one leader for all", cluster.leader)
        finish(cluster, writer)


def test_an_idle_leader_whose_disk_hangs_hands_over():
    with faulty_cluster() as cluster:
        members.wait_until("the last of the cluster's own entries is there", lambda: all(
            one["member"]["command_level"] > 0 and one["applied_index"] == view["last_index"]
            for view in (cluster.json("member", "ls"),) for one in view["members"]))
        leader = cluster.leader()
        leader.fault[SYNC] = WAITS
        members.wait_until("another leads", lambda: other_leads(cluster, leader))
        assert leader.status()["disk_stalled_ms"] > 0
        assert "disk.asks_the_others" in log_of(leader)
        leader.fault[SYNC] = AS_ALWAYS
        cluster.wait_ready()
        members.wait_until("it is told that the disk goes on",
                           lambda: "disk.goes_on" in log_of(leader))


def test_when_all_disks_hang_the_leader_stays():
    """Nobody would do better, and votes could not be stored either."""
    with faulty_cluster() as cluster:
        leader = cluster.leader()
        term = leader.status()["term"]
        for member in cluster.members:
            member.fault[SYNC] = WAITS
        members.wait_until("all have noticed for a while", lambda: all(
            one.status()["disk_stalled_ms"] > 3000 for one in cluster.members))
        assert cluster.leader() is leader and leader.status()["term"] == term
        for member in cluster.members:
            member.fault[SYNC] = AS_ALWAYS
        assert cluster.wait_ready() is leader


def other_leads(cluster, leader):
    told = [one.status() for one in cluster.members if one is not leader]
    return all(told) and all(one["leader"] not in ("", leader.name) for one in told)


def flip_a_bit_in_the_middle(member):
    """Of what the log holds, which is followed by zeros. (path, all bytes as they are now)"""
    path = sorted(glob.glob(os.path.join(member.dir, "wal", "*.wal")))[0]
    with open(path, "rb") as file:
        content = bytearray(file.read())
    used = len(content.rstrip(b"\0"))
    content[used // 2] ^= 0x10
    with open(path, "wb") as file:
        file.write(content)
    return path, bytes(content)


def test_a_rotten_log_is_refused_and_left_as_it_is():
    with members.cluster() as cluster:
        cluster.wait_ready()
        writer = with_writer(cluster)
        wait_progress(writer, 50)
        victim = cluster.members[2]
        victim.kill()
        path, content = flip_a_bit_in_the_middle(victim)
        victim.start()
        members.wait_until("it refuses to start", lambda: not victim.alive)
        assert victim.process.returncode == 1, victim.process.returncode
        said = log_of(victim).splitlines()[-1]
        assert path in said and "damaged" in said and "replace this member" in said, said
        with open(path, "rb") as file:
            assert file.read() == content, "the log was changed"
        wait_progress(writer, 5)
        writer.stop()


if __name__ == "__main__":
    members.run_tests([
        test_a_failed_sync_ends_the_member_and_loses_nothing,
        test_a_failed_write_ends_the_member_and_loses_nothing,
        test_a_leader_whose_disk_hangs_hands_over,
        test_an_idle_leader_whose_disk_hangs_hands_over,
        test_when_all_disks_hang_the_leader_stays,
        test_a_rotten_log_is_refused_and_left_as_it_is,
    ])
