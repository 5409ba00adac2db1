#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No change of the members is taken after which those that answer, and whose disks follow, would be no
majority: with some voters down the healthy ones stay, the dead can go, and the cluster decides all
the while."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_faults as faults  # noqa: E402

UNAVAILABLE, REFUSED = 3, 4


class FaultyMember(faults.Faulty, members.Member):
    """Its disk does what the test says."""


class FaultyCluster(members.Cluster):
    member_type = FaultyMember


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


def wait_held(cluster, hung):
    """The change waits, and everybody who looks is told for whom."""
    def told():
        held = cluster.json("member", "ls")["change_held"]
        return held.startswith(hung.name + ":") and "makes nothing durable" in held
    members.wait_until("the change waits", told)
    for look in ("member", "ls"), ("status",):
        said = cluster.client(*look)[1]
        assert f"A change of the members waits: {hung.name}: " in said, said


def expect_doubt(cluster, word, member, hung):
    code, _, said = cluster.client("member", word, member.name, "--yes", "--timeout", "300",
                                   check=False)
    assert code == UNAVAILABLE and hung.name in said and "nothing durable" in said, (code, said)


def wait_quiet(leader, count):
    """What a leader writes by itself of new members is written."""
    def written():
        with open(leader.log, encoding="utf-8") as file:
            return file.read().count("event=member.level") >= count
    members.wait_until("the levels are on record", written)


def settled(cluster):
    shown = cluster.json("member", "ls")
    return shown["settled"] and not shown["change_held"]


def test_who_is_heard_and_makes_nothing_durable_is_not_counted_on():
    with members.cluster(3, FaultyCluster) as cluster:
        leader = cluster.wait_ready()
        hung, healthy = [one for one in cluster.members if one is not leader]
        expect_alive(cluster)
        wait_quiet(leader, 3)
        hung.fault[faults.SYNC] = faults.WAITS
        # Nobody can see it yet: nothing was to be written since.
        cluster.client("member", "remove", healthy.name, "--yes")
        wait_held(cluster, hung)
        assert rows(cluster)[hung.name]["stalled"]
        assert len(voters(cluster)) == 3
        # Now it is known, and nothing like it is put on record.
        expect_doubt(cluster, "demote", leader, hung)
        expect_alive(cluster)
        # The wish is taken back, and with the hung one gone two of three decide.
        cluster.client("member", "promote", healthy.name)
        members.wait_until("it is taken back", lambda: settled(cluster))
        hung.kill()
        expect_alive(cluster)
        hung.fault[faults.SYNC] = faults.AS_ALWAYS
        hung.start()
        cluster.wait_ready()

        learner = cluster.grow("--learner")
        members.wait_until("the learner follows", learner.ready)
        leader = cluster.leader()
        dead = next(one for one in (hung, healthy) if one is not leader)
        dead.kill()
        learner.fault[faults.SYNC] = faults.WAITS
        cluster.client("member", "promote", learner.name)
        members.wait_until("it is told", lambda: rows(cluster)[learner.name]["stalled"])
        assert "does its disk hang?" in cluster.client("member", "ls")[1]
        assert rows(cluster)[learner.name]["core"] == "learner"
        expect_alive(cluster)
        cluster.client("member", "demote", learner.name)
        members.wait_until("it is taken back, too", lambda: settled(cluster))
        expect_doubt(cluster, "promote", learner, learner)
        # As soon as its disk follows it votes.
        learner.fault[faults.SYNC] = faults.AS_ALWAYS
        cluster.client("member", "promote", learner.name)
        members.wait_until("it votes", lambda: rows(cluster)[learner.name]["core"] == "voter")
        expect_alive(cluster)


if __name__ == "__main__":
    members.run_tests([
        test_with_two_of_five_voters_down_a_healthy_one_is_neither_removed_nor_demoted,
        test_in_three_regions_with_one_down_the_others_stay_and_a_dead_learner_gets_no_vote,
        test_who_is_heard_and_makes_nothing_durable_is_not_counted_on,
    ])
