#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who has a member's certificate and is no member: never added, or removed. Its terms, votes, entries and
snapshots are not believed; a member that was away while others came believes whom a majority of those
it knows names, or for whom a person vouches."""
import os
import random
import signal
import sys
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402
import members_peers  # noqa: E402

TERM_LIMIT = 1 << 40


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def terms(cluster):
    return [one.status()["term"] for one in cluster.members if one.alive]


def rows(cluster):
    return {row["member"]["name"]: row for row in cluster.json("member", "ls")["members"]}


def settled(cluster, *names):
    return lambda: set(found := rows(cluster)) == set(names) and \
        all(row["core"] == "voter" for row in found.values())


def remove(cluster, member):
    cluster.client("member", "remove", member.name, "--yes")
    members.wait_until(f"{member.name} is gone", lambda: member.name not in rows(cluster), 30)


def region_put(messages, name):
    command = messages["Command"](version=1, kind=members_peers.REGION_PUT, actor="nobody",
                                  wall_ms=1)
    command.region_put.region.name = name
    command.region_put.region.rank = 9
    return command.SerializeToString()


def every_frame(stranger, member, term, messages):
    """One of each kind that could move a member, in this term."""
    status = member.status()
    entry = messages["Entry"](term=term, index=status["last_index"] + 1,
                              kind=members_peers.COMMAND_ENTRY,
                              payload=region_put(messages, "stolen"))
    append = messages["Append"](prev_index=status["last_index"], prev_term=status["term"],
                                commit=status["last_index"] + 1, entries=[entry])
    vote = messages["RequestVote"](last_index=1 << 50, last_term=term, disrupt=True)
    beat = messages["Heartbeat"](commit=status["last_index"] + 1, probe=1,
                                 agreed_index=status["applied"], agreed_hash=1)
    install = messages["InstallSnapshot"](last_index=1 << 50, last_term=term, size=1, last=True,
                                          chunk=b"x")
    make = stranger.message
    return [(1, make(member, members_peers.HEARTBEAT, term, heartbeat=beat)),
            (1, make(member, members_peers.REQUEST_VOTE, term, request_vote=vote)),
            (2, make(member, members_peers.APPEND, term, append=append)),
            (3, make(member, members_peers.INSTALL_SNAPSHOT, term, install_snapshot=install))]


def nobody_moved(cluster, before):
    leader = cluster.wait_ready()
    assert max(terms(cluster)) <= before + 3, (before, terms(cluster))
    regions = [row["name"] for row in cluster.json("region", "ls")["regions"]]
    assert "stolen" not in regions, regions
    assert all(one.alive for one in cluster.members)
    return leader


def the_term_of_a_member_that_was_never_added_is_not_believed(cluster, messages):
    cluster.issue("n9", "/member/n9")
    stranger = members_peers.Stranger(cluster, messages, "n9")
    for term in (1 << 62, TERM_LIMIT + 1, TERM_LIMIT, max(terms(cluster)) + 1):
        before = max(terms(cluster))
        answers = []
        for member in cluster.members:
            for _ in range(2):  # the second time it is known that nobody names it
                for lane, message in every_frame(stranger, member, term, messages):
                    answers.append(stranger.say(member, lane, message))
        nobody_moved(cluster, before)
        assert all(answers), answers
    member = next(one for one in cluster.members if one is not cluster.leader())
    said = log_of(member)
    assert f"member vouch --dir {member.dir} --name n9 --id {stranger.id}" in said, said
    refused = cluster.json("member", "ls", "--stale", member=member)["refused"]
    assert [(one["name"], one["id"]) for one in refused] == [("n9", stranger.id)], refused
    shown = cluster.client("member", "ls", "--stale", member=member)[1]
    assert f"--name n9 --id {stranger.id}" in shown, shown
    stranger.stop()


def a_stranger_with_the_name_of_a_member_and_another_id_is_not_believed(cluster, messages):
    member = next(one for one in cluster.members if one is not cluster.leader())
    other = next(one for one in cluster.members if one is not member)
    before = max(terms(cluster))
    stranger = members_peers.Stranger(cluster, messages, other.name)
    answers = [stranger.say(member, lane, message)
               for lane, message in every_frame(stranger, member, before + 1, messages)]
    nobody_moved(cluster, before)
    assert all(answers), answers
    stranger.stop()


def a_certificate_that_says_nothing_does_not_take_the_room_of_others(cluster, messages):
    leader = cluster.leader()
    stranger = members_peers.Stranger(cluster, messages, "n9")
    streams = [stranger.connect(leader) for _ in range(40)]
    members.wait_until("most of them are let go", lambda: sum(
        is_open(stream) for stream in streams) <= 12)
    members.wait_until("all of them are let go", lambda: not any(
        is_open(stream) for stream in streams), 10)
    for stream in streams:
        stream.close()
    stranger.stop()
    nobody_moved(cluster, max(terms(cluster)))


def is_open(stream):
    stream.settimeout(0.001)
    try:
        return stream.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def the_entries_of_a_removed_member_are_not_taken(cluster, messages):
    removed = cluster.grow()
    members.wait_until("it votes", settled(cluster, *(one.name for one in cluster.members)), 30)
    remove(cluster, removed)
    members.wait_until("it ends, and says why", lambda: not removed.alive and
                       "event=member.refused_for_good" in log_of(removed), 20)
    assert "was removed from the cluster for good" in log_of(removed)
    cluster.members.remove(removed)
    before = max(terms(cluster))
    stranger = members_peers.Stranger(cluster, messages, removed.name, ident=removed.id,
                                      port=removed.peer)
    for again in (False, True):
        for member in cluster.members:
            frames = every_frame(stranger, member, max(terms(cluster)) + 1, messages)
            answers = [stranger.say(member, lane, message) for lane, message in frames]
            nobody_moved(cluster, before)
            assert all(answers), answers
            members.wait_until("it is refused for good", lambda one=member: "removed" in
                               stranger.say(one, 1) and stranger.dial(one)[1].refused_for_good)
        nobody_moved(cluster, before)
        if not again:
            for member in cluster.members:
                member.kill(signal.SIGTERM)
            cluster.start()
            cluster.wait_ready()
            before = max(terms(cluster))
    stranger.stop()


def only_members_on_record_name_another_actor_and_are_named_beside_it(cluster, _messages):
    messages = members_grpc.load_messages(cluster.dir)
    alice = [("indaba-actor", "spiffe://x/operator/alice")]
    regions = messages["Region"]

    def put(member, identity, name, metadata):
        link = members_grpc.channel(cluster, member, identity)
        request = messages["PutRegionRequest"](
            request_id=uuid7(), region=regions(name=name, rank=9))
        try:
            members_grpc.call(messages, link, "/indaba.v1.Topology/PutRegion", request,
                              "PutRegionResponse", metadata)
            return "done"
        except grpc.RpcError as error:
            return error.code().name
        finally:
            link.close()

    leader = cluster.leader()
    follower = next(one for one in cluster.members if one is not leader)
    said = {put(one, "n9", "stolen", actor) for one in cluster.members for actor in (alice, None)}
    assert said == {"PERMISSION_DENIED", "UNAVAILABLE"}, said
    assert put(leader, follower.name, "for-alice", alice) == "done"
    cluster.client("region", "put", "for-the-operator", "--rank", "9", member=follower)
    nobody_moved(cluster, max(terms(cluster)))

    def tail():
        return cluster.json("ledger", "tail", "--count", "50")["leaves"]

    actors = [leaf["actor"] for leaf in tail() if leaf["kind"] == "region.put"]
    assert f"spiffe://x/operator/alice via /member/{follower.name}" in actors, actors
    assert any(actor.endswith(f"/operator/test via /member/{follower.name}")
               for actor in actors), actors
    members.wait_until("the refusal is on the ledger", lambda: any(
        leaf["kind"] == "refusal" and "/member/n9" in leaf["summary"] for leaf in tail()))


def uuid7():
    return f"{int(time.time() * 1000):012x}7{random.getrandbits(12):03x}" \
           f"{8 << 60 | random.getrandbits(60):016x}"


def test_nobody_but_members_moves_a_member():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        messages = members_peers.load(cluster.dir)
        for check in (the_term_of_a_member_that_was_never_added_is_not_believed,
                      a_stranger_with_the_name_of_a_member_and_another_id_is_not_believed,
                      only_members_on_record_name_another_actor_and_are_named_beside_it,
                      a_certificate_that_says_nothing_does_not_take_the_room_of_others,
                      the_entries_of_a_removed_member_are_not_taken):
            check(cluster, messages)
            print(f"  {check.__name__}", flush=True)


def test_a_member_that_was_away_believes_whom_those_that_it_knows_name():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        away = next(one for one in cluster.members if one is not leader)
        away.kill(signal.SIGTERM)
        new = cluster.grow()
        members.wait_until("the new one votes", lambda: rows(cluster)[new.name]["core"] == "voter",
                           30)
        cluster.client("member", "transfer", new.name)
        members.wait_until("it leads", lambda: cluster.leader() is new)
        away.start()
        cluster.wait_ready()
        assert "event=peer.stranger_named" in log_of(away), log_of(away)


def test_with_all_gone_that_it_knows_a_person_vouches_and_nothing_is_lost():
    with members.cluster(3) as cluster:
        first = cluster.wait_ready()
        lags, off = [one for one in cluster.members if one is not first]
        lags.kill(signal.SIGTERM)
        new = cluster.grow()
        members.wait_until("the new one votes", lambda: rows(cluster)[new.name]["core"] == "voter",
                           30)
        remove(cluster, off)
        off.kill()
        cluster.members.remove(off)
        cluster.client("region", "put", "r1", "--rank", "7")
        first.kill()
        # The new one and the one that lags are a majority, and the latter knows only the lost.
        before = max(terms(cluster))
        lags.start()
        refusal = "event=peer.stranger_refused"
        members.wait_until("it refuses", lambda: refusal in log_of(lags))
        members.wait_until("the new one has asked for long", lambda: log_of(new).count(
            f"event=peer.handshake_failed peer={lags.name}") >= 12)
        assert max(terms(cluster)) == before and not any(one.ready() for one in (lags, new))
        # A word for that name with another id changes nothing; the right one does, also later.
        asked = log_of(new).count(f"event=peer.handshake_failed peer={lags.name}")
        cluster.run("member", "vouch", "--dir", lags.dir, "--name", new.name, "--id", "ab" * 16,
                    "--yes")
        members.wait_until("it was told", lambda: "event=peer.vouched" in log_of(lags))
        members.wait_until("the new one has asked again", lambda: log_of(new).count(
            f"event=peer.handshake_failed peer={lags.name}") >= asked + 6)
        assert max(terms(cluster)) == before and not any(one.ready() for one in (lags, new))
        command = log_of(lags).split("type here: indaba ")[1].split("\"")[0].split()
        lags.kill()
        cluster.run(*command, "--reason", "I added it", "--yes")
        lags.start()
        cluster.wait_ready()
        regions = {row["name"]: row for row in cluster.json("region", "ls")["regions"]}
        assert regions["r1"]["rank"] == 7, regions
        shown = cluster.run("member", "vouch", "--dir", lags.dir)
        assert new.id in shown and "I added it" in shown and "ab" * 16 not in shown, shown
        leaves = members.wait_until("the ledger has the word", lambda: [
            leaf for leaf in cluster.json("ledger", "tail", "--count", "50")["leaves"]
            if leaf["kind"] == "member.vouched"])
        assert len(leaves) == 1 and new.name in leaves[0]["summary"] and \
            "I added it" in leaves[0]["summary"], leaves
        first.start()
        cluster.wait_ready()
        members.wait_until("all have applied the same", lambda: len(
            {(one.status() or {}).get("state_hash") for one in cluster.members}) == 1)
        for member in cluster.members:
            cluster.client("ledger", "verify", member=member)


if __name__ == "__main__":
    members.run_tests([
        test_nobody_but_members_moves_a_member,
        test_a_member_that_was_away_believes_whom_those_that_it_knows_name,
        test_with_all_gone_that_it_knows_a_person_vouches_and_nothing_is_lost,
    ])
