#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keys, ranges, revisions, transactions and compaction, by etcd's own etcdctl over mutual TLS. What
is expected here is what etcd 3.4 answers to the same commands."""
import base64
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))
import etcdctl  # noqa: E402
import members  # noqa: E402


def test_a_key_put_through_any_member_is_read_through_every_other():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        for number, writer in enumerate(cluster.members):
            assert etcdctl.lines(cluster, "put", "color", f"shade-{number}", member=writer) == ["OK"]
            for reader in cluster.members:
                assert etcdctl.lines(cluster, "get", "color", member=reader) == \
                    ["color", f"shade-{number}"]


def test_ranges_prefixes_limits_and_orders():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        for key in ("b", "a", "ab", "abc", "c"):
            etcdctl.run(cluster, "put", key, "v-" + key)

        def keys(*words):
            return [line for line in etcdctl.lines(cluster, "get", "--keys-only", *words) if line]
        assert keys("--prefix", "a") == ["a", "ab", "abc"]
        assert keys("a", "c") == ["a", "ab", "abc", "b"]
        assert keys("--from-key", "b") == ["b", "c"]
        assert keys("--prefix", "") == ["a", "ab", "abc", "b", "c"]
        assert keys("--prefix", "", "--limit", "2") == ["a", "ab"]
        assert keys("--prefix", "", "--order", "DESCEND", "--limit", "2") == ["c", "b"]
        assert keys("--prefix", "", "--sort-by", "MODIFY") == ["b", "a", "ab", "abc", "c"]
        assert keys("nothing") == []
        answer = etcdctl.as_json(cluster, "get", "--prefix", "", "--limit", "2")
        assert answer["count"] == 5 and answer["more"], answer


def test_revisions_versions_and_previous_values():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "k", "one")
        assert etcdctl.lines(cluster, "put", "k", "two", "--prev-kv") == ["OK", "k", "one"]
        answer = etcdctl.as_json(cluster, "get", "k")
        pair = answer["kvs"][0]
        assert (pair["create_revision"], pair["mod_revision"], pair["version"]) == (2, 3, 2), pair
        assert base64.b64decode(pair["value"]) == b"two"
        assert answer["header"]["revision"] == 3 and answer["header"]["raft_term"] >= 1, answer
        assert etcdctl.lines(cluster, "get", "k", "--rev", "2") == ["k", "one"]
        assert etcdctl.lines(cluster, "put", "k", "--ignore-value", "--prev-kv") == \
            ["OK", "k", "two"]
        assert etcdctl.lines(cluster, "del", "k", "--prev-kv") == ["1", "k", "two"]
        assert etcdctl.lines(cluster, "del", "k") == ["0"]
        etcdctl.run(cluster, "put", "k", "again")
        pair = etcdctl.as_json(cluster, "get", "k")["kvs"][0]
        assert (pair["create_revision"], pair["version"]) == (6, 1), pair


def test_large_values_and_every_byte_come_back_as_they_went():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        value = "".join(chr(33 + number % 90) for number in range(1000 * 1000))
        for member in cluster.members:
            etcdctl.run(cluster, "put", "large", given=value, member=member)
            assert etcdctl.lines(cluster, "get", "large", "--print-value-only",
                                 member=member) == [value]
        etcdctl.fails(cluster, "request is too large", "put", "large", given=value * 2)
        etcdctl.run(cluster, "put", "empty", "")
        assert etcdctl.lines(cluster, "get", "empty") == ["empty", ""]


def test_transactions_compare_and_do_one_of_two_lists():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "balance", "10")
        txn = 'value("balance") = "10"\nversion("balance") = "1"\n\nput balance 9\nput paid 1\n' \
              'get balance\n\nget balance\n\n'
        for member, expected in zip(cluster.members, ("SUCCESS", "FAILURE", "FAILURE")):
            lines = etcdctl.lines(cluster, "txn", given=txn, member=member)
            assert lines[0] == expected, lines
            assert lines[-2:] == ["balance", "9"], lines
        pairs = etcdctl.as_json(cluster, "get", "balance", "paie")["kvs"]
        assert len(pairs) == 2, pairs
        assert len({pair["mod_revision"] for pair in pairs}) == 1, pairs
        lines = etcdctl.lines(cluster, "txn", given='mod("nothing") = "0"\n\ndel balance\n\n\n')
        assert lines[:1] == ["SUCCESS"], lines
        assert etcdctl.lines(cluster, "get", "balance") == []
        etcdctl.fails(cluster, "duplicate key", "txn", given="\nput a 1\nput a 2\n\n\n")


def test_what_is_compacted_cannot_be_read_any_more():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        for number in range(10):
            etcdctl.run(cluster, "put", "k", str(number))
        etcdctl.run(cluster, "compaction", "6", member=cluster.members[1])
        for member in cluster.members:
            etcdctl.fails(cluster, "etcdserver: mvcc: required revision has been compacted", "get",
                          "k", "--rev", "4", member=member)
            etcdctl.fails(cluster, "etcdserver: mvcc: required revision is a future revision",
                          "get", "k", "--rev", "999", member=member)
            assert etcdctl.lines(cluster, "get", "k", "--rev", "7", member=member) == ["k", "5"]
        etcdctl.fails(cluster, "etcdserver: mvcc: required revision has been compacted",
                      "compaction", "6")


def test_who_has_no_certificate_for_it_is_refused():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        cluster.issue("car", "/sidecar/shard/instance")
        cluster.issue("nobody", "/something/else")
        for identity in ("car", "nobody"):
            etcdctl.fails(cluster, "etcdserver: permission denied", "get", "k", identity=identity)
        etcdctl.run(cluster, "put", "k", "v", identity="operator")
        assert cluster.client("status", identity=etcdctl.IDENTITY, check=False)[0] != 0


def test_members_status_and_health_are_told():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        listed = etcdctl.as_json(cluster, "member", "list")["members"]
        assert sorted(one["name"] for one in listed) == ["n1", "n2", "n3"], listed
        ids = {one["name"]: one["ID"] for one in listed}
        assert ids == {one.name: int(one.id[:16], 16) for one in cluster.members}
        for status in etcdctl.as_json(cluster, "endpoint", "status"):
            assert status["Status"]["leader"] == ids[leader.name], status
        assert len(etcdctl.as_json(cluster, "endpoint", "health")) == 3
        etcdctl.run(cluster, "alarm", "list")
        etcdctl.run(cluster, "defrag")


def test_writes_and_reads_go_on_when_the_leader_dies():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "before", "1")
        leader.kill(signal.SIGKILL)
        others = [one for one in cluster.members if one is not leader]
        # Asked at once: the request waits for the next leader.
        etcdctl.run(cluster, "put", "after", "2", member=others[0])
        for member in others:
            assert etcdctl.lines(cluster, "get", "--from-key", "a", member=member) == \
                ["after", "2", "before", "1"]
        leader.start()
        cluster.wait_ready()
        assert etcdctl.lines(cluster, "get", "after", member=leader) == ["after", "2"]


def test_leadership_is_moved_when_an_operator_asks():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        target = next(one for one in cluster.members if one is not leader)
        etcdctl.fails(cluster, "permission denied", "move-leader", target.id[:16])
        assert cluster.leader() is leader
        etcdctl.run(cluster, "move-leader", target.id[:16], identity="operator")
        members.wait_until("the target leads", lambda: cluster.leader() is target)


def test_a_stale_read_is_answered_without_a_majority():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        etcdctl.run(cluster, "put", "k", "v")
        alone = cluster.members[0]
        members.wait_until("the member has the key", lambda: etcdctl.lines(
            cluster, "get", "k", "--consistency", "s", member=alone) == ["k", "v"])
        for member in cluster.members[1:]:
            member.kill(signal.SIGKILL)
        assert etcdctl.lines(cluster, "get", "k", "--consistency", "s", member=alone) == ["k", "v"]
        etcdctl.fails(cluster, "", "get", "k", "--command-timeout", "2s", member=alone)


if __name__ == "__main__":
    members.run_tests([
        test_a_key_put_through_any_member_is_read_through_every_other,
        test_ranges_prefixes_limits_and_orders,
        test_revisions_versions_and_previous_values,
        test_large_values_and_every_byte_come_back_as_they_went,
        test_transactions_compare_and_do_one_of_two_lists,
        test_what_is_compacted_cannot_be_read_any_more,
        test_who_has_no_certificate_for_it_is_refused,
        test_members_status_and_health_are_told,
        test_writes_and_reads_go_on_when_the_leader_dies,
        test_leadership_is_moved_when_an_operator_asks,
        test_a_stale_read_is_answered_without_a_majority,
    ])
