#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Watches, leases, locks and elections, by etcd's own etcdctl over mutual TLS: what waits on a
member hears of what was written through another."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))
import etcdctl  # noqa: E402
import members  # noqa: E402


def watching(cluster, *words, member=None):
    """A watch that is known to run: it hears of a key of the test's own, from the past."""
    return etcdctl.Running(cluster, "watch", *words, member=member)


def grant(cluster, ttl, **options):
    line = etcdctl.lines(cluster, "lease", "grant", str(ttl), **options)[0]
    return re.fullmatch(rf"lease ([0-9a-f]+) granted with TTL\({ttl}s\)", line)[1]


def test_a_watch_on_each_member_hears_every_change_in_order():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "w/0", "start")
        watches = [watching(cluster, "w/", "--prefix", "--rev", "2", member=one)
                   for one in cluster.members]
        expected = ["PUT", "w/0", "start"]
        for watch in watches:
            watch.wait_for(3)
        for number in range(1, 20):
            etcdctl.run(cluster, "put", f"w/{number % 3}", str(number),
                        member=cluster.members[number % 3])
            etcdctl.run(cluster, "put", f"other/{number}", "unheard")
            expected += ["PUT", f"w/{number % 3}", str(number)]
        etcdctl.run(cluster, "del", "w/", "--prefix")
        for number in range(3):
            expected += ["DELETE", f"w/{number}", ""]
        for watch in watches:
            assert watch.wait_for(len(expected)) == expected
            watch.stop()


def test_a_watch_begins_in_the_past_and_shows_what_was_before():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        for value in ("one", "two", "three"):
            etcdctl.run(cluster, "put", "k", value)
        with watching(cluster, "k", "--rev", "3", "--prev-kv") as watch:
            assert watch.wait_for(10) == ["PUT", "k", "one", "k", "two",
                                          "PUT", "k", "two", "k", "three"]
            etcdctl.run(cluster, "del", "k")
            assert watch.wait_for(15)[10:] == ["DELETE", "k", "three", "k", ""]


def test_a_watch_of_a_compacted_revision_is_told_so():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        for value in range(5):
            etcdctl.run(cluster, "put", "k", str(value))
        etcdctl.run(cluster, "compaction", "4")
        code, _, error = etcdctl.run(cluster, "watch", "k", "--rev", "2", check=False)
        assert code != 0 and "required revision has been compacted" in error, error
        with watching(cluster, "k", "--rev", "4") as watch:
            watch.wait_for(9)


def become_a_follower(cluster, member):
    leader = cluster.wait_ready()
    if leader is member:
        other = next(one for one in cluster.members if one is not member)
        etcdctl.run(cluster, "move-leader", other.id[:16], member=member, identity="operator")
        members.wait_until("another one leads", lambda: cluster.leader() not in (None, member))


def test_a_watch_goes_on_over_the_death_of_its_member_and_misses_nothing():
    """Each dies once, so that the watch's does. Nobody who dies leads: etcdctl says `hasleader`, and
    a watch that is asked for again in an election is refused, as by etcd."""
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "w/first", "0")
        with etcdctl.Running(cluster, "watch", "w/", "--prefix", "--rev", "2") as watch:
            watch.wait_for(3)
            expected = ["PUT", "w/first", "0"]
            for number, dies in enumerate(cluster.members):
                become_a_follower(cluster, dies)
                dies.kill(signal.SIGKILL)
                living = cluster.members[number - 1]
                for key in (f"w/{number}/{one}" for one in range(10)):
                    etcdctl.run(cluster, "put", key, "v", member=living)
                    expected += ["PUT", key, "v"]
                dies.start()
                cluster.wait_ready()
                # It has found another one before the next one dies.
                assert watch.wait_for(len(expected), 40) == expected


def test_a_lease_takes_its_keys_along_when_it_expires():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        lease = grant(cluster, 2, member=cluster.members[1])
        etcdctl.run(cluster, "put", "--lease", lease, "held/a", "1")
        etcdctl.run(cluster, "put", "--lease", lease, "held/b", "2")
        etcdctl.run(cluster, "put", "free", "3")
        told = etcdctl.lines(cluster, "lease", "timetolive", lease, "--keys",
                             member=cluster.members[2])[0]
        assert re.fullmatch(rf"lease {lease} granted with TTL\(2s\), remaining\([12]s\), "
                            r"attached keys\(\[held/a held/b\]\)", told), told
        started = time.monotonic()
        members.wait_until("the lease expires", lambda: not etcdctl.lines(
            cluster, "get", "--prefix", "held/"), 10)
        assert time.monotonic() - started > 0.5
        assert etcdctl.lines(cluster, "get", "free") == ["free", "3"]
        assert "already expired" in etcdctl.lines(cluster, "lease", "timetolive", lease)[0]
        etcdctl.fails(cluster, "etcdserver: requested lease not found", "lease", "revoke", lease)
        etcdctl.fails(cluster, "etcdserver: requested lease not found", "put", "--lease", lease,
                      "late", "1")


def test_a_lease_that_is_kept_alive_lives_and_a_revoked_one_does_not():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        kept, revoked = grant(cluster, 2), grant(cluster, 600)
        etcdctl.run(cluster, "put", "--lease", kept, "kept", "1")
        etcdctl.run(cluster, "put", "--lease", revoked, "revoked", "1")
        follower = next(one for one in cluster.members if one is not cluster.leader())
        with etcdctl.Running(cluster, "lease", "keep-alive", kept, member=follower) as keeper:
            keeper.wait_for(5)  # each answer comes after a third of the TTL
            assert etcdctl.lines(cluster, "get", "kept") == ["kept", "1"]
            assert etcdctl.lines(cluster, "lease", "list") == \
                ["found 2 leases", *sorted((kept, revoked))]
            etcdctl.run(cluster, "lease", "revoke", revoked)
            assert etcdctl.lines(cluster, "get", "revoked") == []
        members.wait_until("the other expires, too", lambda: not etcdctl.lines(
            cluster, "get", "kept"), 10)


def test_a_lease_outlives_the_leader_that_counted_it():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        lease = grant(cluster, 3)
        etcdctl.run(cluster, "put", "--lease", lease, "held", "1")
        leader.kill(signal.SIGKILL)
        assert etcdctl.lines(cluster, "get", "held") == ["held", "1"]
        members.wait_until("the next leader lets it expire", lambda: not etcdctl.lines(
            cluster, "get", "held"), 12)


def test_a_lock_has_one_holder_and_passes_on():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        with etcdctl.Running(cluster, "lock", "--ttl", "5", "mutex",
                             member=cluster.members[0]) as first:
            first.wait_for(1)
            with etcdctl.Running(cluster, "lock", "--ttl", "5", "mutex",
                                 member=cluster.members[1]) as second:
                members.wait_until("the second waits in line", lambda: len(etcdctl.lines(
                    cluster, "get", "--prefix", "--keys-only", "mutex/")) == 4)
                assert not second.lines
                first.stop(signal.SIGINT)
                assert second.wait_for(1)[0].startswith("mutex/")
        members.wait_until("nobody holds it", lambda: not etcdctl.lines(
            cluster, "get", "--prefix", "mutex/"), 10)


def test_an_election_has_one_winner_and_a_successor():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        with etcdctl.Running(cluster, "elect", "office", "ann", member=cluster.members[0]) as ann:
            assert ann.wait_for(2)[1] == "ann"
            with etcdctl.Running(cluster, "elect", "office", "ben",
                                 member=cluster.members[2]) as ben:
                with etcdctl.Running(cluster, "elect", "--listen", "office") as listener:
                    assert listener.wait_for(2)[1] == "ann"
                    ann.stop(signal.SIGINT)
                    assert ben.wait_for(2)[1] == "ben"
                    assert listener.wait_for(4)[3] == "ben"


if __name__ == "__main__":
    members.run_tests([
        test_a_watch_on_each_member_hears_every_change_in_order,
        test_a_watch_begins_in_the_past_and_shows_what_was_before,
        test_a_watch_of_a_compacted_revision_is_told_so,
        test_a_watch_goes_on_over_the_death_of_its_member_and_misses_nothing,
        test_a_lease_takes_its_keys_along_when_it_expires,
        test_a_lease_that_is_kept_alive_lives_and_a_revoked_one_does_not,
        test_a_lease_outlives_the_leader_that_counted_it,
        test_a_lock_has_one_holder_and_passes_on,
        test_an_election_has_one_winner_and_a_successor,
    ])
