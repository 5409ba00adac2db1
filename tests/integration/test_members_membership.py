#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members come and go under load: the cluster grows from one to five and shrinks again, a dead member
is replaced, one that was away while all others were replaced finds back. No acknowledged command is
lost, and all members end with one state and one ledger."""
import concurrent.futures
import os
import signal
import sys

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402
import members_writer  # noqa: E402


CALLERS = 4


def rows(cluster):
    return {row["member"]["name"]: row for row in cluster.json("member", "ls")["members"]}


def is_voter(cluster, name):
    return rows(cluster).get(name, {}).get("core") == "voter"


def wait_voters(cluster, *wanted):
    def settled():
        found = rows(cluster)
        return set(found) == {one.name for one in wanted} and \
            all(row["core"] == "voter" for row in found.values())
    members.wait_until(f"the voters are {[one.name for one in wanted]}", settled, 30)


def remove(cluster, member):
    cluster.client("member", "remove", member.name, "--yes")


def forget(cluster, member):
    if member.alive:
        member.kill()
    cluster.members.remove(member)


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def start_writer(cluster):
    writer = members_writer.Writer(cluster, members_grpc.load_messages(cluster.dir))
    writer.start()
    return writer


def check_one_story(cluster, writer=None):
    if writer is not None:
        writer.stop()
        members_writer.check_everything(cluster, writer)
        print(f"  {len(writer.acknowledged)} commands, longest gap {writer.gap_s * 1000:.0f} ms")
    members.wait_until("all have applied the same", lambda: len(
        {(one.status() or {}).get("state_hash") for one in cluster.members}) == 1, 20)
    for member in cluster.members:
        cluster.client("ledger", "verify", member=member)


def test_a_cluster_grows_from_one_to_five_and_shrinks_to_three_under_load():
    with members.cluster(1) as cluster:
        cluster.wait_ready()
        writer = start_writer(cluster)
        for _ in range(4):
            writer.also(cluster.grow())
            wait_voters(cluster, *cluster.members)
        leader = cluster.wait_ready()
        # The leader is among those who leave: another one leads on.
        others = [one for one in cluster.members if one is not leader]
        for leaving in (leader, others[0]):
            remove(cluster, leaving)
            staying = [one for one in cluster.members if one is not leaving]
            wait_voters(cluster, *staying)
            members.wait_until("who has left says so, and ends", lambda one=leaving:
                               not one.alive and "removed from the cluster for good" in log_of(one))
            forget(cluster, leaving)
        cluster.wait_ready()
        check_one_story(cluster, writer)


def test_a_dead_member_is_replaced():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        writer = start_writer(cluster)
        dead = next(one for one in cluster.members if one is not leader)
        dead.kill()
        remove(cluster, dead)
        cluster.members.remove(dead)
        wait_voters(cluster, *cluster.members)
        writer.also(cluster.grow())
        wait_voters(cluster, *cluster.members)
        # With the replacement in place the cluster stands another loss.
        cluster.members[0].kill()
        members_writer.wait_progress(writer, 20)
        cluster.members[0].start()
        cluster.wait_ready()
        check_one_story(cluster, writer)


def test_a_member_that_was_away_while_all_others_were_replaced_finds_back():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        away, *old = cluster.members
        new = [cluster.grow(known=[old[0]]), cluster.grow(known=[old[0]])]
        wait_voters(cluster, *cluster.members)
        away.kill(signal.SIGTERM)
        for leaving in old:
            remove(cluster, leaving)
            members.wait_until("it is gone", lambda one=leaving: one.name not in rows(cluster), 30)
            forget(cluster, leaving)
        cluster.client("region", "put", "r1", "--rank", "7")
        away.start()
        # It knows nobody who lives; they know it, and it learns from them.
        members.wait_until("it is ready", away.ready, 20)
        assert {one.name for one in cluster.members} == {away.name, *(one.name for one in new)}
        check_one_story(cluster)


def test_a_learner_follows_without_a_vote_until_it_is_promoted():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        learner = cluster.grow("--learner")
        members.wait_until("the learner follows", learner.ready)
        assert rows(cluster)[learner.name]["core"] == "learner"
        cluster.client("member", "promote", learner.name)
        members.wait_until("it votes", lambda: is_voter(cluster, learner.name))
        cluster.client("member", "demote", learner.name, "--yes")
        members.wait_until("it votes no more",
                           lambda: rows(cluster)[learner.name]["core"] == "learner")
        check_one_story(cluster)


def test_leadership_is_handed_over_by_command_and_by_preferred_region():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        other = next(one for one in cluster.members if one is not leader)
        cluster.client("member", "transfer", other.name)
        members.wait_until("it leads", lambda: cluster.leader() is other)
        third = next(one for one in cluster.members if one not in (leader, other))
        cluster.client("cluster", "set", "--leader-region", third.region)
        members.wait_until("the preferred region leads", lambda: cluster.leader() is third, 30)
        check_one_story(cluster)


def test_a_removed_member_that_does_not_know_it_yet_sends_its_callers_on():
    """The leader denies it, not them: they are told to ask another, and not that they may not."""
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        removed = next(one for one in cluster.members if one is not leader)
        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
            asked = [pool.submit(call_until_it_ends, cluster, removed) for _ in range(CALLERS)]
            cluster.client("member", "remove", removed.name, "--yes", member=leader)
            members.wait_until("it ends", lambda: not removed.alive, 30)
            said = set().union(*(one.result() for one in asked))
        assert said <= {grpc.StatusCode.OK, *members_writer.RETRIED}, said


def call_until_it_ends(cluster, member):
    """What it answers: to reads, which it passes on to the leader."""
    link = members_grpc.channel(cluster, member, "operator")
    method = link.unary_unary("/indaba.v1.Shards/ListShards")
    said = set()
    while member.alive:
        try:
            method(b"", timeout=2)
            said.add(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            said.add(error.code())
    link.close()
    return said


UNDIALABLE = ("10.0.0.01:7102", "[2001:db8:1:2:3:4:5]:7102", "[fe80::1::2]:1", "[:::]:1",
              "localhost:7102", "10.0.0.1:0")


def test_an_address_that_cannot_be_dialled_is_refused_and_nobody_dies():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        good = {"--peer": "127.0.0.1:7101", "--api": "127.0.0.1:7102", "--ops": "127.0.0.1:7103"}
        for bad in UNDIALABLE:
            for place in good:
                words = [word for pair in {**good, place: bad}.items() for word in pair]
                new = ["member", "add", "n9", "--region", "r1", "--id", "ab" * 16, *words]
                for command in (new, ["member", "move", leader.name, place, bad]):
                    code, _, said = cluster.client(*command, check=False)
                    assert code != 0 and bad in said, (command, code, said)
        assert all(member.alive for member in cluster.members)
        assert set(rows(cluster)) == {member.name for member in cluster.members}
        check_one_story(cluster)


if __name__ == "__main__":
    members.run_tests([
        test_a_cluster_grows_from_one_to_five_and_shrinks_to_three_under_load,
        test_a_dead_member_is_replaced,
        test_an_address_that_cannot_be_dialled_is_refused_and_nobody_dies,
        test_a_member_that_was_away_while_all_others_were_replaced_finds_back,
        test_a_removed_member_that_does_not_know_it_yet_sends_its_callers_on,
        test_a_learner_follows_without_a_vote_until_it_is_promoted,
        test_leadership_is_handed_over_by_command_and_by_preferred_region,
    ])
