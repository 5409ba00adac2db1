#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers, and clients who do not read, beside a shard that is written to: the sidecar keeps its
lease, its sessions go on, nobody fails over, and the balancer gets its answers."""
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402
import strangers  # noqa: E402
import world as worlds  # noqa: E402

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
STALL_S = 25
LEASE_S = 3
HTTP_CONNECTIONS = 1024
ONE_PAGE = b"GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n"
ASK_CLUSTER = bytes((0x22, 18)) + b"indaba.v1.Clusters"  # a symbol: its file and all imports
ASK_LIST = bytes((0x3a, 0))


def restart_into(one, pipe):
    """The sidecar again, with its log in a pipe. The database runs on."""
    one.end_sidecar(9)
    one.process = subprocess.Popen([members.INDABA, "sidecar", "--config", one.config],
                                   stdin=subprocess.DEVNULL, stdout=pipe.writer,
                                   stderr=pipe.writer)


def pages_without_end_cost_no_primary_its_lease(world, primary):
    since = time.monotonic()
    strangers.pour_pages([primary.http], 3)
    members.wait_until("the primary answers", lambda: primary.get("/primary")[0] == 200)
    world.wait_writes(primary.name, since)


def idle_connections_do_not_keep_the_balancer_out(world, primary):
    sources = [f"127.0.0.{number}" for number in range(11, 15)]
    with strangers.Flood([primary.http], sources, HTTP_CONNECTIONS // 4 + 8, ONE_PAGE):
        for _ in range(10):
            assert primary.get("/primary")[0] == 200, primary.get("/primary")


def a_log_that_is_not_read_costs_no_primary_its_lease(world, primary):
    """Its sidecar has to say that it changes to another leader, and cannot."""
    pipe = strangers.Pipe(primary.log)
    restart_into(primary, pipe)
    world.wait_whole()
    pipe.fill()
    term = world.wait_ready().status()["term"]
    world.client("member", "transfer")
    members.wait_until("there is another office", lambda: world.leader() and
                       world.leader().status()["term"] > term)
    # Longer than the lease that it had.
    world.wait_writes(primary.name, time.monotonic() + LEASE_S)
    world.wait_whole()
    pipe.drain()
    return pipe


def who_asks_and_does_not_read_is_ended(world, leader):
    """Beside the sessions of sidecars, on the same port."""
    stuck = [strangers.WindowOfZero(world, leader, "client") for _ in range(4)]
    asked = [one.ask(REFLECTION, ASK_LIST) for one in stuck]
    ended = []

    def watch(one, stream):
        for kind, number, _ in one.frames(STALL_S + 10):
            if kind == one.RST_STREAM and number == stream:
                ended.append(stream)
                return

    watchers = [threading.Thread(target=watch, args=pair) for pair in zip(stuck, asked)]
    for one in watchers:
        one.start()
    return stuck, watchers, ended


def nobody_gets_reflection_or_health(world, leader):
    link = members_grpc.channel(world, leader, "nobody")
    calls = (lambda: list(link.stream_stream(REFLECTION)(iter([ASK_LIST]), timeout=5)),
             lambda: link.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5))
    for call in calls:
        try:
            call()
            raise AssertionError("it was answered")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.PERMISSION_DENIED, error
    link.close()


def test_strangers_beside_a_shard_cost_it_nothing():
    with worlds.world() as world:
        world.issue("nobody", "/nobody/x")
        world.issue("client", "/client/x")
        primary, leader = world.primary(), world.wait_ready()
        stuck, watchers, ended = who_asks_and_does_not_read_is_ended(world, leader)
        nobody_gets_reflection_or_health(world, leader)
        pages_without_end_cost_no_primary_its_lease(world, primary)
        print("   pages", flush=True)
        idle_connections_do_not_keep_the_balancer_out(world, primary)
        print("   idle connections", flush=True)
        for one in watchers:
            one.join(STALL_S + 15)
        assert len(ended) == len(stuck), f"{len(ended)} of {len(stuck)} were ended"
        members.wait_until("the cause is named", lambda: "cause=unread" in open(
            leader.log, encoding="utf-8", errors="replace").read())
        print("   unread answers", flush=True)
        pipe = a_log_that_is_not_read_costs_no_primary_its_lease(world, primary)
        print("   unread log", flush=True)
        assert world.primary() is primary
        # The first one made it primary; nobody else ever was.
        assert [one["candidate"] for one in world.failovers()] == [primary.name], world.failovers()
        world.check()
        pipe.close()


if __name__ == "__main__":
    members.run_tests([test_strangers_beside_a_shard_cost_it_nothing])
