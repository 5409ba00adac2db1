#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No change of the members is taken after which those that answer would be no majority: with some
voters down the healthy ones stay, the dead can go, and the cluster decides all the while."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

REFUSED = 4


def rows(cluster):
    return {row["member"]["name"]: row for row in cluster.json("member", "ls")["members"]}


def voters(cluster):
    return sorted(name for name, row in rows(cluster).items() if row["core"] == "voter")


def wait_voters(cluster, *wanted):
    names = sorted(member.name for member in wanted)
    members.wait_until(f"the voters are {names}", lambda: voters(cluster) == names, 20)


def expect_refusal(cluster, *command, names):
    code, _, said = cluster.client(*command, check=False)
    assert code == REFUSED, (command, code, said)
    assert all(name in said for name in names), (command, said)
    assert "nothing could be decided any more" in said or "cannot be counted on" in said, said


def expect_alive(cluster):
    cluster.client("region", "put", "r1", "--rank", "5")


def test_with_two_of_five_voters_down_a_healthy_one_is_neither_removed_nor_demoted():
    with members.cluster(5) as cluster:
        leader = cluster.wait_ready()
        others = [one for one in cluster.members if one is not leader]
        healthy, staying, *dead = others
        for one in dead:
            one.kill()
        names = [one.name for one in dead]
        for word in ("remove", "demote"):
            for target in (healthy, leader):
                expect_refusal(cluster, "member", word, target.name, "--yes", names=names)
        # Copies in four regions, of which three answer, would end every commit as well.
        expect_refusal(cluster, "cluster", "set", "--commit-regions", "4", names=names)
        expect_alive(cluster)
        assert len(voters(cluster)) == 5
        # Who is dead can go, and a new one comes, while nothing stands still.
        cluster.client("member", "remove", dead[0].name)
        cluster.members.remove(dead[0])
        alive = [leader, healthy, staying]
        wait_voters(cluster, *alive, dead[1])
        new = cluster.grow(known=[leader])
        wait_voters(cluster, *alive, dead[1], new)
        cluster.client("member", "remove", dead[1].name)
        cluster.members.remove(dead[1])
        wait_voters(cluster, *alive, new)
        expect_alive(cluster)
        # All answer: one of them may go again.
        cluster.client("member", "remove", healthy.name)
        wait_voters(cluster, leader, staying, new)
        expect_alive(cluster)


def test_in_three_regions_with_one_down_the_others_stay_and_a_dead_learner_gets_no_vote():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        dead, healthy = [one for one in cluster.members if one is not leader]
        dead.kill()
        expect_refusal(cluster, "member", "remove", healthy.name, "--yes", names=[dead.name])
        _, _, said = cluster.client("member", "remove", dead.name, "--yes")
        assert "warning:" in said and "the loss of that one region" in said, said
        wait_voters(cluster, leader, healthy)
        cluster.members.remove(dead)
        learner = cluster.grow("--learner")
        members.wait_until("the learner follows", learner.ready)
        learner.kill()
        members.wait_until("nobody hears it", lambda: not rows(cluster)[learner.name]["reachable"])
        expect_refusal(cluster, "member", "promote", learner.name, names=[learner.name])
        learner.start()
        members.wait_until("it is heard again", lambda: rows(cluster)[learner.name]["reachable"])
        cluster.client("member", "promote", learner.name)
        wait_voters(cluster, leader, healthy, learner)
        healthy.kill()
        expect_refusal(cluster, "member", "remove", learner.name, "--yes", names=[healthy.name])
        expect_refusal(cluster, "member", "demote", leader.name, "--yes", names=[healthy.name])
        expect_alive(cluster)


if __name__ == "__main__":
    members.run_tests([
        test_with_two_of_five_voters_down_a_healthy_one_is_neither_removed_nor_demoted,
        test_in_three_regions_with_one_down_the_others_stay_and_a_dead_learner_gets_no_vote,
    ])
