#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members are killed, stopped in order, and rolled over while clients of etcd's API read, write,
delete, compare and swap, and watch. Every answer fits one order of all that was done; no
acknowledged write is lost; no watch misses a change, tells one twice or out of order. RESTARTS says
how many restarts of a member in all (make restarts-etcd: N=200)."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcd_history  # noqa: E402
import etcd_watchers  # noqa: E402
import etcdctl  # noqa: E402
import members  # noqa: E402
import members_restarts  # noqa: E402

RESTARTS = int(os.environ.get("RESTARTS", "16"))
# Each revision is read on its own in the end: no more of them than that takes a minute.
PAUSE_S = 0.01 if RESTARTS <= 50 else 0.05
WATCHERS = 6


class Load:
    """Clients on hot keys, a writer of pairs, and watchers of both."""

    def __init__(self, cluster):
        self.work = etcd_history.Workload(cluster, etcdctl.IDENTITY, pause_s=PAUSE_S)
        self.pairs = etcd_watchers.PairWriter(self.work.apis, PAUSE_S)
        self.watchers = [etcd_watchers.Watcher(self.work.messages, self.work.links, number)
                         for number in range(WATCHERS)]
        for thread in [self.pairs, *self.watchers]:
            thread.start()

    def progress(self, count):
        """`count` more answers of every kind of work, and all watchers come so far."""
        self.check_alive()
        answered = self.work.answered() + 10 * count
        pairs = len(self.pairs.acknowledged) + count
        members.wait_until("more answers", lambda: self.work.answered() >= answered, 30)
        members.wait_until("more pairs", lambda: len(self.pairs.acknowledged) >= pairs, 30)
        revision = self.pairs.acknowledged[-1][0]
        self.wait_watchers(revision)

    def wait_watchers(self, revision):
        members.wait_until(f"every watcher has come to revision {revision}", lambda: all(
            one.last >= revision or one.failure for one in self.watchers), 30)
        self.check_alive()

    def check_alive(self):
        for one in [self.pairs, *self.watchers, *self.work.clients]:
            if one.failure:
                raise one.failure

    def stop(self):
        self.pairs.stop()
        return self.work.stop()


def check(cluster, load, operations):
    cluster.wait_ready()
    members.wait_until("all ledgers are equal", lambda: cluster.client(
        "ledger", "verify", check=False)[0] == 0)
    api = load.work.apis[0]
    last = api.range(load.work.keys[0]).header.revision
    states = etcd_watchers.states_of(api, last)
    changes = etcd_watchers.changes_of(states)
    load.wait_watchers(max(changes))
    etcd_history.judge(operations, [etcd_watchers.without_pairs(one) for one in states])
    etcd_watchers.judge_pairs(load.pairs, states)
    for watcher in load.watchers:
        watcher.stop()
        etcd_watchers.judge_watch(watcher, changes)
    for api in load.work.apis:
        reply = api.range(etcd_watchers.PREFIX, etcd_watchers.PREFIX_END)
        assert {pair.key: pair.value for pair in reply.kvs} == states[-1]
    return changes


class SmallSnapshots(members.Cluster):
    def config_of(self, member):
        return super().config_of(member) + "storage: {snapshot_kib: 64}\n"

    def installs(self):
        count = 0
        for member in self.members:
            with open(member.log, encoding="utf-8", errors="replace") as file:
                count += file.read().count("event=snapshot.installed")
        return count


def under_restarts(count, kind=members.Cluster, kinds=tuple(members_restarts.KINDS)):
    """Returns how often a member came back by a snapshot."""
    with members.cluster(3, kind) as cluster:
        etcdctl.prepare(cluster)
        load = Load(cluster)
        load.progress(5)
        began = time.monotonic()
        told = members_restarts.restart(
            cluster, count, load.progress,
            lambda done: print(f"  {done} restarts, {load.work.answered()} answered", flush=True),
            kinds)
        took = time.monotonic() - began
        operations = load.stop()
        changes = check(cluster, load, operations)
        load.work.close()
        outcomes = [one.outcome for one in operations]
        print(f"  {told}; {took:.0f} s; {len(operations)} operations: {outcomes.count('ok')} "
              f"answered, {outcomes.count('unknown')} unknown, {outcomes.count('fail')} failed; "
              f"{len(load.pairs.acknowledged)} pairs; {len(changes)} changes seen by {WATCHERS} "
              f"watchers in {sum(one.streams for one in load.watchers)} streams", flush=True)
        return cluster.installs() if kind is SmallSnapshots else 0


def small_watch():
    """Three revisions, as a watcher saw them."""
    states = [None, {}, {b"h/0": b"1"}, {b"h/0": b"2", b"p/a": b"x"}, {b"p/a": b"x"}]
    watcher = etcd_watchers.Watcher({}, [None], 0)
    watcher.seen = [(2, [(b"h/0", b"1")]), (3, [(b"h/0", b"2"), (b"p/a", b"x")]),
                    (4, [(b"h/0", etcd_history.ABSENT)])]
    watcher.promised = [(2, 2), (4, 4)]
    return watcher, etcd_watchers.changes_of(states)


def test_the_judge_of_watches_finds_what_cannot_be():
    etcd_watchers.judge_watch(*small_watch())

    def wrong(change):
        watcher, changes = small_watch()
        change(watcher)
        try:
            etcd_watchers.judge_watch(watcher, changes)
        except AssertionError:
            return
        raise RuntimeError("not found")

    wrong(lambda one: one.seen.pop(0))  # a gap
    wrong(lambda one: one.seen.pop(1))
    wrong(lambda one: one.seen.pop())
    wrong(lambda one: one.seen.insert(1, one.seen[0]))  # twice
    wrong(lambda one: one.seen.reverse())
    wrong(lambda one: one.seen[1][1].pop())  # half a transaction
    wrong(lambda one: one.seen[2][1].append((b"h/9", b"9")))
    wrong(lambda one: one.promised.append((3, 2)))  # progress before its changes


def test_a_follower_that_comes_back_while_nothing_is_written_answers_reads():
    """It must learn what is committed though the leader has nothing to send: a linearizable read
    through it waits for that."""
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        for number in range(6):
            follower = [one for one in cluster.members if one is not leader][number % 2]
            etcdctl.run(cluster, "put", "key", str(number), member=leader)
            follower.kill()
            follower.start()
            members.wait_until("it knows a leader", lambda one=follower: (
                one.status() or {}).get("leader") == leader.name)
            seen = etcdctl.lines(cluster, "get", "key", "--print-value-only", member=follower)
            assert seen == [str(number)], (number, seen)
            applied = leader.status()["applied"]
            members.wait_until("it applies all", lambda one=follower, index=applied:
                               one.status()["applied"] == index, 5)


def test_restarts_under_load_of_etcds_api_lose_nothing():
    print(f"  SEED={members_restarts.SEED} RESTARTS={RESTARTS}", flush=True)
    under_restarts(RESTARTS)


def test_members_that_come_back_by_snapshot_under_load_lose_nothing():
    """Whoever watches or reads through one goes on after its store was exchanged."""
    kinds = [members_restarts.stay_away] * 3 + [members_restarts.kill_leader,
                                                members_restarts.kill_all]
    installs = under_restarts(RESTARTS // 2, SmallSnapshots, kinds)
    print(f"  {installs} came back by snapshot")
    assert installs > 0


if __name__ == "__main__":
    members.run_tests([
        test_the_judge_of_watches_finds_what_cannot_be,
        test_a_follower_that_comes_back_while_nothing_is_written_answers_reads,
        test_restarts_under_load_of_etcds_api_lose_nothing,
        test_members_that_come_back_by_snapshot_under_load_lose_nothing,
    ])
