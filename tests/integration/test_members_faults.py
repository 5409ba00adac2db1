#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members die and freeze under a writing client. What was acknowledged is there, nothing is done
twice, reads are never older than what was acknowledged before, and the ledgers stay equal."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402
from members_writer import Writer, check_everything, wait_progress  # noqa: E402

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
