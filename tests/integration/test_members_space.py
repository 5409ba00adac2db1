#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Full disks under real members, each on a small file system of its own. Before a disk is full,
what makes the state grow is refused with words that help; what an operator needs is not; and when
there is room again everything goes on without a restart."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcdctl  # noqa: E402
import members  # noqa: E402
import members_disks  # noqa: E402

MEBIBYTES = 400
LOW = 80 * members_disks.MEBIBYTE
CRITICAL = 40 * members_disks.MEBIBYTE
FULL = 64 * 1024
PREFERENCE_S = 10  # a better leader has to be ready for so long


def small_cluster(count=3):
    return members_disks.cluster(count, MEBIBYTES)


def set_low(cluster, low):
    return lambda: all(one.status()["disk_space_low"] is low for one in cluster.members)


def reserve_of(member):
    return os.path.join(member.dir, "reserve")


def put_region(cluster, name):
    return cluster.client("region", "put", name, check=False)


def test_growth_is_refused_while_all_disks_are_nearly_full_and_goes_on_after():
    with small_cluster() as cluster:
        cluster.wait_ready()
        cluster.client("shard", "create", "before")
        for member in cluster.members:
            member.disk.fill(LOW)
        members.wait_until("all know it", set_low(cluster, True))
        members.wait_until("one leader for all", cluster.leader)
        code, _, said = put_region(cluster, "refused")
        assert code != 0 and "MiB free" in said and "free space" in said, (code, said)
        cluster.client("shard", "freeze", "before")
        assert "indaba_disk_space_low 1" in cluster.leader().get("/metrics")[1]
        for member in cluster.members:
            # Not at once: the leader may only now hand over, as it does when space becomes low.
            members.wait_until("it is ready with little space", member.ready)
            member.disk.empty()
        members.wait_until("all know that there is room", set_low(cluster, False))
        assert put_region(cluster, "accepted")[0] == 0
        assert all(one.alive for one in cluster.members)


def test_growth_by_etcds_api_is_refused_too_and_what_frees_space_is_not():
    with small_cluster() as cluster:
        etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "old", "1")
        etcdctl.run(cluster, "put", "old", "2")
        lease = etcdctl.lines(cluster, "lease", "grant", "600")[0].split()[1]
        for member in cluster.members:
            member.disk.fill(LOW)
        members.wait_until("all know it", set_low(cluster, True))
        members.wait_until("one leader for all", cluster.leader)
        for member in cluster.members:
            etcdctl.fails(cluster, "database space exceeded", "put", "k", "v", member=member)
        etcdctl.fails(cluster, "database space exceeded", "lease", "grant", "60")
        etcdctl.fails(cluster, "database space exceeded", "txn", given="\n\nput k v\n\n")
        assert etcdctl.lines(cluster, "get", "old") == ["old", "2"]
        etcdctl.run(cluster, "txn", given="\n\nget old\n\n")
        etcdctl.run(cluster, "lease", "revoke", lease)
        assert etcdctl.lines(cluster, "del", "old") == ["1"]
        etcdctl.run(cluster, "compact", "3")
        for member in cluster.members:
            member.disk.empty()
        members.wait_until("all know that there is room", set_low(cluster, False))
        # Whoever had room first may just be taking over.
        members.wait_until("one leader for all", cluster.leader)
        etcdctl.run(cluster, "put", "k", "v")


def test_a_leader_that_runs_out_of_space_hands_over_to_one_that_has_it():
    with small_cluster() as cluster:
        leader = cluster.wait_ready()
        leader.disk.fill(LOW)
        members.wait_until("another leads", lambda: cluster.leader() not in (None, leader))
        assert put_region(cluster, "accepted")[0] == 0
        assert leader.alive and leader.status()["disk_space_low"]


def test_the_preferred_region_gets_no_leadership_while_its_disk_has_little_space():
    with small_cluster() as cluster:
        leader = cluster.wait_ready()
        cluster.client("cluster", "set", "--leader-region", leader.region)
        leader.disk.fill(LOW)
        members.wait_until("another leads", lambda: cluster.leader() not in (None, leader))
        term = cluster.leader().status()["term"]
        code, _, said = cluster.client("member", "transfer", leader.name, check=False)
        assert code != 0 and "little space" in said, (code, said)
        end = time.monotonic() + 1.5 * PREFERENCE_S
        while time.monotonic() < end:
            code, _, said = put_region(cluster, "accepted")
            assert code == 0, said
        assert cluster.leader() not in (None, leader)
        assert cluster.leader().status()["term"] == term
        leader.disk.empty()
        members.wait_until("the preferred region leads", lambda: cluster.leader() is leader, 30)


def test_the_reserve_is_given_up_when_it_is_needed_and_made_anew():
    with small_cluster() as cluster:
        cluster.wait_ready()
        victim = cluster.members[0]
        assert os.path.exists(reserve_of(victim))
        victim.disk.fill(CRITICAL)
        members.wait_until("the reserve is given up",
                           lambda: not os.path.exists(reserve_of(victim)))
        assert victim.disk.free_bytes() > CRITICAL
        victim.disk.empty()
        members.wait_until("the reserve is there again",
                           lambda: os.path.exists(reserve_of(victim)))
        members.wait_until("growth is accepted", set_low(cluster, False))


def test_a_member_starts_on_a_disk_that_was_filled_to_the_brim():
    with small_cluster() as cluster:
        cluster.wait_ready()
        victim = cluster.members[0]
        victim.kill()
        victim.disk.fill(FULL)
        put_region(cluster, "meanwhile")
        victim.start()
        cluster.wait_ready()
        leader = cluster.leader()
        members.wait_until("it has what the others have", lambda: victim.status()["applied"] ==
                           leader.status()["applied"])
        assert cluster.client("ledger", "verify")[0] == 0


if __name__ == "__main__":
    members_disks.enter_namespace()
    members.run_tests([
        test_growth_is_refused_while_all_disks_are_nearly_full_and_goes_on_after,
        test_growth_by_etcds_api_is_refused_too_and_what_frees_space_is_not,
        test_a_leader_that_runs_out_of_space_hands_over_to_one_that_has_it,
        test_the_preferred_region_gets_no_leadership_while_its_disk_has_little_space,
        test_the_reserve_is_given_up_when_it_is_needed_and_made_anew,
        test_a_member_starts_on_a_disk_that_was_filled_to_the_brim,
    ])
