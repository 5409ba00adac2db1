#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Three real members: they elect a leader, apply cluster.init, answer from each member, survive the
leader's death and restarts, and hold the same ledger."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402


def ledgers_are_equal(cluster):
    """Every living member has verified its ledger, all of one size, and the roots are equal."""
    code, text, _ = cluster.client("ledger", "verify", "--json", check=False)
    if code != 0:
        return False
    checked = json.loads(text)
    alive = [one for one in checked["members"] if one["verdict"] == "ok"]
    return (checked["roots_agree"] and len(alive) == len(cluster.members)
            and len({one["leaves"] for one in alive}) == 1 and len({one["root"] for one in alive}) == 1)


def roots_agree(cluster):
    members.wait_until("all ledgers are equal", lambda: ledgers_are_equal(cluster))


def test_three_members_elect_a_leader_and_answer_everywhere():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        for member in cluster.members:
            status = cluster.json("status", member=member)
            assert status["cluster_name"] == "test", status
            assert status["header"]["leader"] == leader.name, status
            assert len(status["members"]) == 3, status
            assert len(status["regions"]) == 3, status
        roots_agree(cluster)


def test_a_write_through_any_member_is_seen_by_all():
    with members.cluster() as cluster:
        cluster.wait_ready()
        for number, member in enumerate(cluster.members):
            cluster.client("region", "put", f"extra-{number}", "--rank", "7", member=member)
            for other in cluster.members:
                regions = cluster.json("region", "ls", member=other)["regions"]
                assert any(one["name"] == f"extra-{number}" for one in regions), regions
        roots_agree(cluster)


def test_the_leaders_death_gives_a_new_leader_and_loses_nothing():
    with members.cluster() as cluster:
        old = cluster.wait_ready()
        cluster.client("region", "put", "before", member=old)
        old.kill()
        new = members.wait_until("another leader", cluster.leader)
        assert new is not old
        cluster.client("region", "put", "after")
        old.start()
        cluster.wait_ready()
        for member in cluster.members:
            names = [one["name"] for one in cluster.json("region", "ls", member=member)["regions"]]
            assert "before" in names and "after" in names, names
        roots_agree(cluster)


def test_all_members_killed_at_once_come_back_with_everything():
    with members.cluster() as cluster:
        cluster.wait_ready()
        cluster.client("region", "put", "kept")
        for member in cluster.members:
            member.process.send_signal(signal.SIGKILL)
        for member in cluster.members:
            member.process.wait(10)
        cluster.start()
        cluster.wait_ready()
        names = [one["name"] for one in cluster.json("region", "ls")["regions"]]
        assert "kept" in names, names
        roots_agree(cluster)


def test_sigterm_hands_leadership_over_and_ends_with_0():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        code = leader.kill(signal.SIGTERM)
        assert code == 0, code
        members.wait_until("another leader", cluster.leader)
        cluster.client("region", "put", "meanwhile")
        leader.start()
        cluster.wait_ready()
        roots_agree(cluster)


if __name__ == "__main__":
    members.run_tests([
        test_three_members_elect_a_leader_and_answer_everywhere,
        test_a_write_through_any_member_is_seen_by_all,
        test_the_leaders_death_gives_a_new_leader_and_loses_nothing,
        test_all_members_killed_at_once_come_back_with_everything,
        test_sigterm_hands_leadership_over_and_ends_with_0,
    ])
