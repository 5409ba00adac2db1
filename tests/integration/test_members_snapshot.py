#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots on real members: the log is cut behind them, a member that was away comes back by one
(also when either end dies in the middle), restarts start from them, and ledgers are equal."""
import concurrent.futures
import json
import os
import random
import signal
import sys
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402
import members_writer  # noqa: E402

SNAPSHOT_KIB = 64
# Names as long as they may be: each region put is a leaf, so the log and the ledger grow quickly.
WIDE = "x" * 40


class SmallSnapshots(members.Cluster):
    def prepare(self):
        super().prepare()
        for member in self.members:
            with open(member.config, "a", encoding="utf-8") as file:
                file.write(f"storage: {{snapshot_kib: {SNAPSHOT_KIB}}}\n")


def metric(member, name):
    code, text = member.get("/metrics")
    if code != 200:
        return 0
    return next((int(float(line.split()[1])) for line in text.splitlines()
                 if line.startswith(name + " ")), 0)


class Putter:
    """Puts regions through whatever member answers. A process of the command line for each would
    take most of the time of these tests."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.messages = members_grpc.load_messages(cluster.dir)
        self.links = {}

    def link(self, member):
        if member.name not in self.links:
            self.links[member.name] = members_grpc.channel(self.cluster, member, "operator")
        return self.links[member.name]

    def put(self, number, member=None):
        region = self.messages["Region"](name=f"r-{number % 10}-{WIDE}", rank=number % 9,
                                         state="active")
        request = self.messages["PutRegionRequest"](
            request_id=members_writer.new_request_id(), region=region)
        deadline = time.monotonic() + 20
        while True:
            asked = member or random.choice([one for one in self.cluster.members if one.alive])
            try:
                return members_grpc.call(self.messages, self.link(asked),
                                         "/indaba.v1.Topology/PutRegion", request,
                                         "PutRegionResponse")
            except grpc.RpcError as error:
                if error.code() not in members_writer.RETRIED or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


def write(cluster, count, member=None):
    """So many commands, several at a time: each changes one of a few regions."""
    if not hasattr(cluster, "putter"):
        cluster.putter = Putter(cluster)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: cluster.putter.put(number, member), range(count)))


def write_until(cluster, condition, what):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        write(cluster, 20)


def equal_roots(cluster):
    members.wait_until("all ledgers are equal",
                       lambda: cluster.client("ledger", "verify", check=False)[0] == 0, 30)


def cut_below(cluster, away):
    """Writes until the others' logs begin after what `away` has."""
    last = metric(away, "indaba_raft_commit_index")
    away.kill()
    others = [one for one in cluster.members if one is not away]
    write_until(cluster, lambda: all(metric(one, "indaba_raft_log_first_index") > last + 1
                                     for one in others), "the log is cut")
    return others


def test_a_member_that_was_away_comes_back_by_snapshot():
    with members.cluster(3, SmallSnapshots) as cluster:
        leader = cluster.wait_ready()
        away = next(one for one in cluster.members if one is not leader)
        write(cluster, 20)
        others = cut_below(cluster, away)
        files = os.listdir(os.path.join(others[0].dir, "snapshots"))
        assert 1 <= len(files) <= 2 and all(name.endswith(".snap") for name in files), files

        away.start()
        members.wait_until("it is ready", away.ready, 30)
        members.wait_until("it has a snapshot", lambda: metric(away, "indaba_snapshot_index") > 0)
        write(cluster, 5)
        equal_roots(cluster)
        away.kill()
        away.start()
        members.wait_until("it is ready again", away.ready, 30)
        equal_roots(cluster)


def test_restarts_start_from_snapshot_and_log():
    with members.cluster(3, SmallSnapshots) as cluster:
        cluster.wait_ready()
        write_until(cluster, lambda: all(metric(one, "indaba_raft_log_first_index") > 1
                                         for one in cluster.members), "the log is cut")
        for member in cluster.members:
            member.kill(random.choice((signal.SIGTERM, signal.SIGKILL)))
        for member in cluster.members:
            member.start()
        cluster.wait_ready(30)
        write(cluster, 5)
        equal_roots(cluster)


def test_a_store_that_was_removed_is_rebuilt_from_snapshot_and_log():
    with members.cluster(3, SmallSnapshots) as cluster:
        leader = cluster.wait_ready()
        member = next(one for one in cluster.members if one is not leader)
        write_until(cluster, lambda: metric(member, "indaba_raft_log_first_index") > 1,
                    "the log is cut")
        member.kill()
        for name in ("data.mdb", "lock.mdb"):
            os.unlink(os.path.join(member.dir, "store", name))
        member.start()
        members.wait_until("it is ready", member.ready, 30)
        equal_roots(cluster)


def refuses_to_start(member, words):
    """It ends by itself, with these words and without an abort."""
    before = os.path.getsize(member.log)
    member.start()
    code = member.process.wait(30)
    with open(member.log, encoding="utf-8") as file:
        file.seek(before)
        said = file.read()
    assert code > 0 and words in said, (code, said)


def test_a_folder_without_its_snapshots_says_what_is_missing():
    with members.cluster(3, SmallSnapshots) as cluster:
        leader = cluster.wait_ready()
        member = next(one for one in cluster.members if one is not leader)
        cut_below(cluster, member)
        member.start()
        members.wait_until("it has a snapshot, and its log begins behind it",
                           lambda: member.ready() and metric(member, "indaba_snapshot_index") > 0)
        member.kill()
        snapshots = os.path.join(member.dir, "snapshots")
        aside = snapshots + ".aside"
        os.rename(snapshots, aside)
        os.mkdir(snapshots, 0o700)
        refuses_to_start(member, "join as a new member, with a new id")

        os.rmdir(snapshots)
        os.rename(aside, snapshots)
        newest = os.path.join(snapshots, max(name for name in os.listdir(snapshots)
                                             if name.endswith(".snap")))
        with open(newest, "r+b") as file:
            whole = file.read(64)
            file.seek(0)
            file.write(bytes(64))
        refuses_to_start(member, "is damaged at offset 0")
        with open(newest, "r+b") as file:
            file.write(whole)
        member.start()
        members.wait_until("it is ready", member.ready, 30)
        equal_roots(cluster)


def now(member, name):
    """Of this moment; metrics are made once a second."""
    code, text = member.get("/status.json")
    return json.loads(text)[name] if code == 200 else 0


def take_at_the_end(cluster, leader):
    """One write at a time until a snapshot is due, and none after it: the index of that snapshot,
    which holds the last write."""
    before = write_until_due(cluster, leader)
    # It rests for nine times as long as the one before took, which a busy machine makes long.
    members.wait_until("the snapshot is taken",
                       lambda: now(leader, "snapshot") > before, 100)
    taken = now(leader, "snapshot")
    assert taken == now(leader, "applied")
    return taken


def write_until_due(cluster, leader):
    due = 1024 * SNAPSHOT_KIB

    def grown():
        return now(leader, "snapshot_log_grown_bytes")

    # 20 writes are less than the last eighth, and one under way brings it back to the beginning.
    write_until(cluster, lambda: due * 6 // 8 < grown() < due * 7 // 8, "the next is nearly due")
    before = now(leader, "snapshot")
    while grown() < due and now(leader, "snapshot") == before:
        write(cluster, 1, leader)
    return before


def test_a_snapshot_that_could_not_be_read_is_sent_once_it_can():
    """Nothing is written meanwhile: there can be no other one."""
    with members.cluster(3, SmallSnapshots) as cluster:
        leader = cluster.wait_ready()
        away = next(one for one in cluster.members if one is not leader)
        cut_below(cluster, away)
        index = take_at_the_end(cluster, leader)
        folder = os.path.join(leader.dir, "snapshots")
        name = next(one for one in os.listdir(folder) if one.startswith(f"{index:016x}-"))
        aside = os.path.join(leader.dir, name)
        os.rename(os.path.join(folder, name), aside)
        away.start()
        members.wait_until("the leader gives it up",
                           lambda: now(leader, "applied") == index
                           and now(leader, "snapshot") == 0, 30)
        assert now(away, "applied") < index

        os.rename(aside, os.path.join(folder, name))
        members.wait_until("it is sent",
                           lambda: now(away, "applied") == index, 30)
        assert now(leader, "applied") == index
        equal_roots(cluster)


def test_both_ends_may_die_while_a_snapshot_is_sent():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    rand = random.Random(seed)
    with members.cluster(3, SmallSnapshots) as cluster:
        leader = cluster.wait_ready()
        away = next(one for one in cluster.members if one is not leader)
        cut_below(cluster, away)
        for _ in range(6):
            away.start()
            time.sleep(rand.uniform(0.02, 0.4))
            away.kill()
        away.start()
        time.sleep(rand.uniform(0.02, 0.3))
        leader.kill()
        leader.start()
        cluster.wait_ready(30)
        members.wait_until("it is ready", away.ready, 30)
        write(cluster, 5)
        equal_roots(cluster)


if __name__ == "__main__":
    members.run_tests([
        test_a_member_that_was_away_comes_back_by_snapshot,
        test_restarts_start_from_snapshot_and_log,
        test_a_store_that_was_removed_is_rebuilt_from_snapshot_and_log,
        test_a_folder_without_its_snapshots_says_what_is_missing,
        test_a_snapshot_that_could_not_be_read_is_sent_once_it_can,
        test_both_ends_may_die_while_a_snapshot_is_sent,
    ])
