#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A member whose stored state is not that of the others is found by the leader, named, and counted;
members whose states are equal are not. The wrong state is made by hand, in the file of its store."""
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402


def metric(member, name):
    code, text = member.get("/metrics")
    if code != 200:
        return None
    return next((int(float(line.split()[1])) for line in text.splitlines()
                 if line.startswith(name + " ")), None)


def put(cluster, count):
    for number in range(count):
        cluster.client("region", "put", f"r-{number}", "--rank", str(number))


def diverge(member, state_hash):
    """Writes another state hash over that of the store's position; returns how often it stood there
    (LMDB keeps old pages)."""
    path = os.path.join(member.dir, "store", "data.mdb")
    with open(path, "rb") as file:
        content = file.read()
    right = struct.pack("<Q", state_hash)
    wrong = struct.pack("<Q", state_hash ^ 1)
    count = content.count(right)
    with open(path, "wb") as file:
        file.write(content.replace(right, wrong))
    return count


def caught_up(cluster):
    states = [member.status() for member in cluster.members]
    return all(state is not None for state in states) and \
        len({(state["applied"], state["state_hash"]) for state in states}) == 1


def test_a_follower_with_another_state_is_named_and_counted():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        wrong = next(one for one in cluster.members if one is not leader)
        put(cluster, 10)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        assert metric(leader, "indaba_diverged_members") == 0

        state_hash = int(wrong.status()["state_hash"], 16)
        wrong.kill(signal.SIGTERM)
        assert diverge(wrong, state_hash) > 0, "the store was not committed at the stop"
        wrong.start()
        members.wait_until("it is back", wrong.ready)
        put(cluster, 3)
        members.wait_until("the leader counts it",
                           lambda: metric(cluster.leader(), "indaba_diverged_members") == 1)


def test_members_that_stop_and_return_have_one_state():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        for member in list(cluster.members):
            put(cluster, 5)
            member.kill(signal.SIGKILL)
            member.start()
            members.wait_until("it is back", member.ready)
            cluster.wait_ready()
        put(cluster, 5)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        assert metric(cluster.leader(), "indaba_diverged_members") == 0


if __name__ == "__main__":
    members.run_tests([
        test_a_follower_with_another_state_is_named_and_counted,
        test_members_that_stop_and_return_have_one_state,
    ])
