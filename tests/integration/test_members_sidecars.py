#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sessions of sidecars with real members: welcome, goals and leases from the leader, refusal with
the leader's address elsewhere, and what a certificate may not do."""
import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402

STATE_EMPTY = 1
ROLE_PRIMARY = 1


def hello(messages, number, shard="orders"):
    return messages["Hello"](shard=shard, instance=f"pg{number}", region=f"r{number}",
                             address=f"127.0.0.1:{5000 + number}", http_address="")


@contextlib.contextmanager
def with_sidecars(count=3):
    """A cluster with a shard and certificates for its sidecars: (cluster, messages, leader)."""
    with members.cluster() as cluster:
        messages = members_grpc.load_messages(cluster.dir)
        for number in range(1, count + 1):
            cluster.issue(f"pg{number}", f"/sidecar/orders/pg{number}")
        leader = cluster.wait_ready()
        cluster.client("shard", "create", "orders", "--mode", "sync")
        yield cluster, messages, leader


def test_sidecars_are_welcomed_and_the_first_primary_gets_its_goal_and_lease():
    with with_sidecars() as (cluster, messages, leader):
        sidecars = {}
        for number in range(1, 4):
            one = members_grpc.Sidecar(cluster, messages, leader, f"pg{number}")
            one.say(hello=hello(messages, number))
            one.instance = one.hear("welcome").instance
            sidecars[number] = one
        assert len({one.instance for one in sidecars.values()}) == 3

        def report_all():
            for one in sidecars.values():
                one.say(report=messages["Report"](instance=one.instance, state=STATE_EMPTY))

        def primary():
            report_all()
            shard = cluster.json("shard", "show", "orders", member=leader)["shard"]
            names = {one["name"]: one["goal"] for one in shard["instances"]}
            return next((name for name, goal in names.items() if goal == "primary"), None)

        name = members.wait_until("a primary is chosen", primary, 20)
        chosen = sidecars[int(name[2:])]
        goal = chosen.hear("goal")
        while goal.role != ROLE_PRIMARY:
            goal = chosen.hear("goal")
        assert goal.bootstrap and goal.may_promote and goal.timeline > 0, goal
        chosen.say(renewal=messages["Renewal"](id=7, epoch=goal.epoch))
        answer = chosen.hear("renewal_answer")
        assert answer.id == 7 and answer.granted and answer.lease_ms == 3000, answer
        chosen.say(renewal=messages["Renewal"](id=8, epoch=goal.epoch + 5))
        answer = chosen.hear("renewal_answer")
        assert answer.id == 8 and not answer.granted, answer
        for one in sidecars.values():
            one.close()


def test_a_follower_names_the_leader_and_refuses_the_session():
    with with_sidecars(1) as (cluster, messages, leader):
        follower = next(one for one in cluster.members if one is not leader)
        one = members_grpc.Sidecar(cluster, messages, follower, "pg1")
        one.say(hello=hello(messages, 1))
        error = one.ended()
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert b"NOT_LEADER" in details and f"127.0.0.1:{leader.api}".encode() in details, details
        one.close()


def test_a_sidecar_may_speak_for_its_own_instance_only():
    with with_sidecars(2) as (cluster, messages, leader):
        one = members_grpc.Sidecar(cluster, messages, leader, "pg1")
        one.say(hello=hello(messages, 2))
        error = one.ended()
        assert error.code() == grpc.StatusCode.PERMISSION_DENIED, error
        one.close()
        link = members_grpc.channel(cluster, leader, "pg1")
        try:
            members_grpc.call(messages, link, "/indaba.v1.Cluster/GetStatus",
                              messages["GetStatusRequest"](), "GetStatusResponse")
            raise AssertionError("a sidecar read the status")
        except grpc.RpcError as refused:
            assert refused.code() == grpc.StatusCode.PERMISSION_DENIED, refused
        link.close()
        members.wait_until("the denial is in the ledger", lambda: "refusal" in cluster.client(
            "ledger", "tail")[1])


def test_sessions_end_when_leadership_ends_and_go_on_with_the_next_leader():
    with with_sidecars(1) as (cluster, messages, leader):
        one = members_grpc.Sidecar(cluster, messages, leader, "pg1")
        one.say(hello=hello(messages, 1))
        instance = one.hear("welcome").instance
        leader.kill()
        assert one.ended() is not None
        one.close()
        new = members.wait_until("another leader", cluster.leader)
        two = members_grpc.Sidecar(cluster, messages, new, "pg1")
        two.say(hello=hello(messages, 1))
        assert two.hear("welcome").instance == instance
        two.close()


def test_garbage_and_reports_before_the_hello_end_the_session_and_nothing_else():
    with with_sidecars(1) as (cluster, messages, leader):
        one = members_grpc.Sidecar(cluster, messages, leader, "pg1")
        one.say(report=messages["Report"](instance=1))
        assert one.ended().code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT,
                                      grpc.StatusCode.UNKNOWN), one.error
        one.close()
        link = members_grpc.channel(cluster, leader, "operator")
        method = link.unary_unary("/indaba.v1.Shards/GetShard")
        try:
            method(b"\xff\xff\xff", timeout=5)
            raise AssertionError("garbage was answered")
        except grpc.RpcError as refused:
            assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT, refused
        link.close()
        assert leader.alive and leader.ready()


if __name__ == "__main__":
    members.run_tests([
        test_sidecars_are_welcomed_and_the_first_primary_gets_its_goal_and_lease,
        test_a_follower_names_the_leader_and_refuses_the_session,
        test_a_sidecar_may_speak_for_its_own_instance_only,
        test_sessions_end_when_leadership_ends_and_go_on_with_the_next_leader,
        test_garbage_and_reports_before_the_hello_end_the_session_and_nothing_else,
    ])
