#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A member whose stored state is not that of the others is found by the leader, named, and counted;
members whose states are equal are not. When a majority agrees the member ends, makes its state anew
from snapshot and log at its next start, and serves nothing and never leads until its state is the
majority's. The wrong state is made by hand, in the file of its store."""
import contextlib
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcdctl  # noqa: E402
import members  # noqa: E402

EXIT_QUARANTINE = 75
SNAPSHOT_KIB = 64


class SmallSnapshots(members.Cluster):
    def config_of(self, member):
        return super().config_of(member) + f"storage: {{snapshot_kib: {SNAPSHOT_KIB}}}\n"


@contextlib.contextmanager
def small_snapshots():
    """Three members that take snapshots often, and are written to by etcd's API."""
    with members.cluster(3, SmallSnapshots) as cluster:
        cluster.wait_ready()
        etcdctl.prepare(cluster)
        yield cluster


def metric(member, name):
    code, text = member.get("/metrics")
    if code != 200:
        return None
    return next((int(float(line.split()[1])) for line in text.splitlines()
                 if line.startswith(name + " ")), None)


def put(cluster, count):
    for number in range(count):
        cluster.client("region", "put", f"r-{number}", "--rank", str(number))


def files_of(member, folder):
    return {name for name in os.listdir(os.path.join(member.dir, folder))
            if not name.endswith(".tmp")}


def write_until(cluster, what, condition):
    value = "v" * 8000

    def put_and_look():
        etcdctl.run(cluster, "put", "key", value)
        return condition()

    members.wait_until(what, put_and_look, 90)


def write_until_snapshots_are_new(cluster, member):
    """Until nothing is left of the snapshots that a member has now."""
    before = files_of(member, "snapshots")
    write_until(cluster, f"{member.name} has other snapshots",
                lambda: not files_of(member, "snapshots") & before)


def leave_behind(cluster, member):
    """It is away, and the logs of the others begin after all that it has."""
    others = [one for one in cluster.members if one is not member]
    last = metric(member, "indaba_raft_commit_index")
    member.kill()
    write_until(cluster, "the logs are cut", lambda: all(
        metric(one, "indaba_raft_log_first_index") > last + 1 for one in others))


def come_back_by_snapshot(cluster, member):
    """Its log begins after a snapshot that it was sent: it cannot go back any further."""
    leave_behind(cluster, member)
    member.start()
    cluster.wait_ready()
    members.wait_until("all have applied the same", lambda: caught_up(cluster))


def diverge(member):
    """Stops it and writes another state hash over that of the store's position, wherever it stands
    (LMDB keeps old pages)."""
    state_hash = int(member.status()["state_hash"], 16)
    member.kill(signal.SIGTERM)
    path = os.path.join(member.dir, "store", "data.mdb")
    with open(path, "rb") as file:
        content = file.read()
    right = struct.pack("<Q", state_hash)
    wrong = struct.pack("<Q", state_hash ^ 1)
    assert content.count(right) > 0, "the store was not committed at the stop"
    with open(path, "wb") as file:
        file.write(content.replace(right, wrong))


def caught_up(cluster):
    states = [member.status() for member in cluster.members]
    return all(state is not None for state in states) and \
        len({(state["applied"], state["state_hash"]) for state in states}) == 1


def marked(member):
    return os.path.exists(os.path.join(member.dir, "quarantine"))


def wait_quarantined(member):
    """It ends by itself, with its mark."""
    members.wait_until(f"{member.name} ends", lambda: not member.alive)
    code = member.process.wait(20)
    assert code == EXIT_QUARANTINE, f"{member.name} ended with {code}"
    assert marked(member)


def wait_healed(cluster, member):
    members.wait_until(f"{member.name} is out of quarantine",
                       lambda: member.ready() and not marked(member))
    assert member.status()["quarantined"] is False
    members.wait_until("all have applied the same", lambda: caught_up(cluster))
    leader = cluster.wait_ready()
    members.wait_until("nobody is counted",
                       lambda: metric(leader, "indaba_diverged_members") == 0)
    cluster.client("ledger", "verify")


def diverge_unseen(cluster):
    """(one with another state, one that is away): of the two that run none is the majority, and
    nobody remembers that they once agreed."""
    other = cluster.leader()
    wrong, away = [one for one in cluster.members if one is not other]
    away.kill()
    other.kill()
    diverge(wrong)
    wrong.start()
    other.start()
    cluster.wait_ready()
    return wrong, away


def a_follower(cluster):
    leader = cluster.leader()
    return next(one for one in cluster.members if one is not leader)


def test_a_follower_with_another_state_is_found_and_heals_at_its_next_start():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        wrong = a_follower(cluster)
        put(cluster, 10)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        assert metric(leader, "indaba_diverged_members") == 0

        diverge(wrong)
        wrong.start()
        wait_quarantined(wrong)
        put(cluster, 3)

        wrong.start()
        wait_healed(cluster, wrong)
        wrong.kill(signal.SIGTERM)
        wrong.start()
        members.wait_until("it is back for good", wrong.ready)


def test_a_follower_heals_from_its_snapshot_and_the_log_after_it():
    with small_snapshots() as cluster:
        wrong = a_follower(cluster)
        come_back_by_snapshot(cluster, wrong)
        put(cluster, 5)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        diverge(wrong)
        wrong.start()
        put(cluster, 3)
        wait_quarantined(wrong)
        wrong.start()
        wait_healed(cluster, wrong)


def test_a_leader_with_another_state_hands_over_and_heals():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        etcdctl.prepare(cluster)
        put(cluster, 5)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        wrong, away = diverge_unseen(cluster)
        lead(cluster, wrong)
        put(cluster, 3)
        assert wrong.alive

        away.start()
        members.wait_until("all are there", lambda: away.ready() or not wrong.alive)
        wait_quarantined(wrong)
        wrong.start()
        wait_healed(cluster, wrong)


def test_a_wrong_leader_tries_again_when_a_hand_over_does_not_come_off():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        put(cluster, 5)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        held = a_follower(cluster)
        diverge(held)
        held.start()
        wait_quarantined(held)
        with open(os.path.join(held.dir, "quarantine"), "rb") as file:
            mark = file.read()
        held.start()
        wait_healed(cluster, held)

        # One that has the right state and follows closely, and may not lead; and one that is away.
        wrong, away = [one for one in cluster.members if one is not held]
        away.kill()
        held.kill()
        with open(os.path.join(held.dir, "quarantine"), "wb") as file:
            file.write(mark)
        diverge(wrong)
        wrong.start()
        held.start()
        members.wait_until("the wrong one leads", lambda: cluster.leader() is wrong)
        for number in range(3):
            cluster.client("region", "put", f"more-{number}", member=wrong)
        away.start()
        wait_quarantined(wrong)
        assert log_of(wrong).count("event=leader.hands_over") >= 1
        wrong.start()
        for one in (held, wrong):
            wait_healed(cluster, one)


def test_a_leader_whose_state_is_disputed_hands_on_no_snapshot():
    with small_snapshots() as cluster:
        put(cluster, 5)
        members.wait_until("all have applied the same", lambda: caught_up(cluster))
        wrong, away = diverge_unseen(cluster)
        lead(cluster, wrong)
        members.wait_until("it is disputed", lambda: "state.disputed" in log_of(wrong))
        snapshots = files_of(wrong, "snapshots")
        for _ in range(30):
            etcdctl.run(cluster, "put", "key", "v" * 8000)
        assert files_of(wrong, "snapshots") == snapshots

        # Who was away makes its state from the log, and settles it.
        away.start()
        wait_quarantined(wrong)
        wrong.start()
        wait_healed(cluster, wrong)


def forget_state(member):
    """All but the oldest snapshot, and the log: a later one may be of the wrong state."""
    late = sorted(files_of(member, "snapshots"))[1:]
    for folder, names in (("store", os.listdir(os.path.join(member.dir, "store"))),
                          ("snapshots", late)):
        for name in names:
            os.remove(os.path.join(member.dir, folder, name))


def test_a_dispute_that_the_third_cannot_settle_ends_when_a_state_is_made_anew():
    with small_snapshots() as cluster:
        away = a_follower(cluster)
        leave_behind(cluster, away)
        wrong, other = [one for one in cluster.members if one is not away]
        put(cluster, 2)
        members.wait_until("both have applied the same", lambda: len(
            {one.status()["state_hash"] for one in (wrong, other)}) == 1)
        # In order, so that both take a snapshot as soon as they are back: a log that was read back
        # is cut with it, and begins after what the third has.
        other.kill(signal.SIGTERM)
        diverge(wrong)
        wrong.start()
        other.start()
        leader = cluster.wait_ready()
        members.wait_until("it is disputed", lambda: "state.disputed" in log_of(leader))

        # Who is back needs a snapshot, and gets none: nothing is settled by its return.
        before = log_of(away).count("snapshot.installed")
        away.start()
        members.wait_until("it hears the leader", lambda: (
            away.status() or {}).get("leader") == leader.name)
        put(cluster, 5)
        assert log_of(away).count("snapshot.installed") == before
        behind = away.status()["applied"], metric(leader, "indaba_raft_log_first_index")
        assert behind[0] < behind[1], behind

        # A person has both make their state anew from far back, whichever is wrong; the third is away
        # meanwhile: who leads while the other one is down would hand it a state that may be wrong.
        away.kill()
        for one in (other, wrong):
            members.wait_until("two states", lambda: metric(
                cluster.leader(), "indaba_diverged_members") == 1)
            one.kill(signal.SIGTERM)
            forget_state(one)
            one.start()
            cluster.wait_ready()
            put(cluster, 1)
        members.wait_until("nobody is counted", lambda: metric(
            cluster.leader(), "indaba_diverged_members") == 0)
        away.start()
        members.wait_until("all have applied the same", lambda: caught_up(cluster), 60)
        assert log_of(away).count("snapshot.installed") > before
        assert not any("state.quarantined" in log_of(one) for one in cluster.members)


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def lead(cluster, member):
    """Makes it the leader: not by a hand-over, which a leader refuses to one whose state is another,
    but by an election. Who stayed stands first when the leader has restarted."""
    def moved():
        leader = cluster.leader()
        if leader not in (None, member):
            leader.kill()
            leader.start()
            cluster.wait_ready()
        return leader is member

    members.wait_until(f"{member.name} leads", moved, 60)


def quarantined_reason(member):
    code, text = member.get("/readyz")
    return text if code == 503 and "quarantined" in text else ""


def test_a_member_whose_snapshot_is_wrong_too_stays_in_quarantine():
    with small_snapshots() as cluster:
        for member in list(cluster.members):
            come_back_by_snapshot(cluster, member)
        wrong, away = diverge_unseen(cluster)
        lead(cluster, next(one for one in cluster.members if one not in (wrong, away)))
        write_until_snapshots_are_new(cluster, wrong)
        away.start()
        put(cluster, 3)
        wait_quarantined(wrong)

        # Made anew from what is wrong, it is wrong: unready, and it serves nothing.
        wrong.start()
        members.wait_until("it says that it stays", lambda: "still differs" in
                           quarantined_reason(wrong))
        assert marked(wrong) and metric(wrong, "indaba_quarantined") == 1
        members.wait_until("the leader counts it", lambda: metric(
            cluster.leader() or away, "indaba_diverged_members") == 1)
        assert "holds another state" in cluster.client("member", "ls")[1]
        code, _, error = cluster.client("member", "transfer", wrong.name, check=False)
        assert code != 0 and "state" in error, error
        code, _, error = etcdctl.run(cluster, "get", "key", member=wrong, check=False)
        assert code != 0 and "quarantine" in error, error

        # It appends and votes: with either of the others it is a majority, led by the other.
        others = [one for one in cluster.members if one is not wrong]
        for one in others:
            other = others[1 - others.index(one)]
            members.wait_until("all hold the log", lambda: len(
                {(member.status() or {}).get("durable_index") for member in cluster.members}) == 1)
            one.kill()
            members.wait_until(f"{other.name} leads", lambda leads=other: (
                leads.status() or {}).get("leader") == leads.name, 30)
            put(cluster, 2)
            one.start()
            members.wait_until(f"{one.name} is back", one.ready, 30)
        assert quarantined_reason(wrong) and wrong.alive


def test_a_member_whose_snapshot_cannot_be_read_stays_in_quarantine():
    with small_snapshots() as cluster:
        wrong = a_follower(cluster)
        come_back_by_snapshot(cluster, wrong)
        diverge(wrong)
        wrong.start()
        put(cluster, 3)
        wait_quarantined(wrong)
        folder = os.path.join(wrong.dir, "snapshots")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "r+b") as file:
                file.seek(-100, os.SEEK_END)
                file.write(b"rot")
        wrong.start()
        members.wait_until("it says that it stays", lambda: "still differs" in
                           quarantined_reason(wrong))
        put(cluster, 3)


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
        assert metric(cluster.wait_ready(), "indaba_diverged_members") == 0
        assert not any(marked(member) for member in cluster.members)


if __name__ == "__main__":
    members.run_tests([
        test_a_follower_with_another_state_is_found_and_heals_at_its_next_start,
        test_a_follower_heals_from_its_snapshot_and_the_log_after_it,
        test_a_leader_with_another_state_hands_over_and_heals,
        test_a_wrong_leader_tries_again_when_a_hand_over_does_not_come_off,
        test_a_leader_whose_state_is_disputed_hands_on_no_snapshot,
        test_a_dispute_that_the_third_cannot_settle_ends_when_a_state_is_made_anew,
        test_a_member_whose_snapshot_is_wrong_too_stays_in_quarantine,
        test_a_member_whose_snapshot_cannot_be_read_stays_in_quarantine,
        test_members_that_stop_and_return_have_one_state,
    ])
