#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members die and freeze under a writing client. What was acknowledged is there, nothing is done
twice, reads are never older than what was acknowledged before, and the ledgers stay equal."""
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402

RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
           grpc.StatusCode.CANCELLED)


class Writer(threading.Thread):
    """Creates one shard after the other through whatever member answers; a retry repeats the same
    request id, and after each acknowledgement the shard must be readable at once."""

    def __init__(self, cluster, messages):
        super().__init__(daemon=True)
        self.messages = messages
        self.links = [members_grpc.channel(cluster, member, "operator")
                      for member in cluster.members]
        self.acknowledged = []
        self.gap_s = 0.0
        self.failure = None
        self.stopping = threading.Event()

    def run(self):
        try:
            last = time.monotonic()
            while not self.stopping.is_set():
                name = f"w-{len(self.acknowledged):05d}"
                self.create(name)
                self.gap_s = max(self.gap_s, time.monotonic() - last)
                last = time.monotonic()
                self.acknowledged.append(name)
                self.read(name)
        except Exception as failure:  # the test looks at it
            self.failure = failure

    def create(self, name):
        identity = f"{int(time.time() * 1000):012x}7{random.getrandbits(76):019x}"
        shard = self.messages["Shard"](name=name, kind="postgres", mode="sync", rto_ms=5000)
        request = self.messages["CreateShardRequest"](request_id=identity, shard=shard)
        self.anywhere("/indaba.v1.Shards/CreateShard", request)

    def read(self, name):
        reply = self.anywhere("/indaba.v1.Shards/GetShard",
                              self.messages["GetShardRequest"](name=name))
        assert self.messages["GetShardResponse"].FromString(reply).shard.name == name

    def anywhere(self, path, request):
        """The answer of the first member that gives one; 20 s at most."""
        deadline = time.monotonic() + 20
        while True:
            link = random.choice(self.links)
            try:
                return link.unary_unary(path)(request.SerializeToString(), timeout=1)
            except grpc.RpcError as error:
                if error.code() not in RETRIED or time.monotonic() > deadline:
                    raise
                self.stopping.wait(0.005)

    def stop(self):
        self.stopping.set()
        self.join(30)
        for link in self.links:
            link.close()
        if self.failure:
            raise self.failure


def check_everything(cluster, writer):
    """All acknowledged shards are on every member, once, and nothing else but the last one tried."""
    cluster.wait_ready()
    members.wait_until("all ledgers are equal", lambda: cluster.client(
        "ledger", "verify", check=False)[0] == 0)
    names = [one["name"] for one in cluster.json("shard", "ls")["shards"]]
    assert len(names) == len(set(names)), "a shard is there twice"
    missing = [name for name in writer.acknowledged if name not in names]
    # One page holds 100; the newest are looked up one by one.
    for name in missing:
        assert cluster.json("shard", "show", name)["shard"]["name"] == name, name


def wait_progress(writer, count):
    goal = len(writer.acknowledged) + count
    members.wait_until("the writer goes on",
                       lambda: writer.failure or len(writer.acknowledged) >= goal, 20)
    if writer.failure:
        raise writer.failure


def with_writer(action, count=3):
    with members.cluster(count) as cluster:
        messages = members_grpc.load_messages(cluster.dir)
        cluster.wait_ready()
        writer = Writer(cluster, messages)
        writer.start()
        wait_progress(writer, 5)
        action(cluster, writer)
        wait_progress(writer, 5)
        writer.stop()
        check_everything(cluster, writer)
        print(f"  {len(writer.acknowledged)} acknowledged, longest gap {writer.gap_s:.2f} s")


def test_leaders_killed_one_after_the_other_lose_nothing():
    def kill_leaders(cluster, writer):
        for _ in range(4):
            leader = members.wait_until("a leader", cluster.leader)
            leader.kill()
            wait_progress(writer, 5)
            leader.start()
            cluster.wait_ready()

    with_writer(kill_leaders)


def test_a_frozen_leader_is_replaced_and_steps_down_when_it_wakes():
    def freeze(cluster, writer):
        leader = members.wait_until("a leader", cluster.leader)
        leader.process.send_signal(signal.SIGSTOP)
        wait_progress(writer, 5)
        leader.process.send_signal(signal.SIGCONT)
        new = cluster.wait_ready()
        assert new is not leader

    with_writer(freeze)


def test_five_members_stand_the_loss_of_two():
    def kill_two(cluster, writer):
        leader = members.wait_until("a leader", cluster.leader)
        other = next(one for one in cluster.members if one is not leader)
        leader.kill()
        other.kill()
        wait_progress(writer, 5)
        leader.start()
        other.start()

    with_writer(kill_two, 5)


def test_without_a_majority_nothing_is_acknowledged_and_reads_are_refused():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        for member in cluster.members:
            if member is not leader:
                member.kill()
        code, _, said = cluster.client("region", "put", "alone", "--timeout", "2000", check=False)
        assert code == 3, (code, said)
        messages = members_grpc.load_messages(cluster.dir)
        link = members_grpc.channel(cluster, leader, "operator")
        members.wait_until("the leader steps down", lambda: leader.get("/readyz")[0] == 503)
        try:
            members_grpc.call(messages, link, "/indaba.v1.Topology/ListRegions",
                              messages["ListRegionsRequest"](), "ListRegionsResponse")
            raise AssertionError("a linearizable read was answered without a majority")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        stale = members_grpc.call(messages, link, "/indaba.v1.Topology/ListRegions",
                                  messages["ListRegionsRequest"](consistency=2),
                                  "ListRegionsResponse")
        assert stale.header.stale and len(stale.regions) == 3, stale
        link.close()


if __name__ == "__main__":
    members.run_tests([
        test_leaders_killed_one_after_the_other_lose_nothing,
        test_a_frozen_leader_is_replaced_and_steps_down_when_it_wakes,
        test_five_members_stand_the_loss_of_two,
        test_without_a_majority_nothing_is_acknowledged_and_reads_are_refused,
    ])
