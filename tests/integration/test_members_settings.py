#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Settings of a whole cluster, and what they do: timers, commits bound to regions, addresses."""
import sys

import members_grpc
import members_writer
from members import cluster, free_ports, run_tests, wait_until


def put_region(some, name, *words):
    return some.client("region", "put", name, "--rank", "9", *words, check=False)[0]


def test_timers_are_in_force_everywhere_once_they_are_set():
    with cluster() as three:
        three.wait_ready()
        text = three.client("cluster", "set", "--timers", "continent", "--wait")[1]
        assert text.endswith("settled\n"), text
        for member in three.members:
            def has_them(member=member):
                view = three.json("member", "ls", "--stale", member=member)
                return (view["heartbeat_ms"], view["election_ms"]) == (100, 1500)
            wait_until(f"{member.name} has them", has_them)
        three.members[0].kill()
        three.members[0].start()
        three.wait_ready()
        view = three.json("member", "ls", "--stale", member=three.members[0])
        assert view["heartbeat_ms"] == 100, "they are kept over a restart"


def test_an_entry_waits_for_the_regions_that_are_wanted_and_no_more_once_they_are_fewer():
    with cluster() as three:
        leader = three.wait_ready()
        three.client("cluster", "set", "--commit-regions", "3", "--wait")
        assert put_region(three, "before") == 0
        away = next(one for one in three.members if one is not leader)
        away.kill()
        assert put_region(three, "waits", "--timeout", "1500") == 3, "two regions are too few"
        text = three.client("cluster", "set", "--commit-regions", "2")[1]
        assert "durable in: 2 regions" in text, text
        assert put_region(three, "goes-on") == 0
        code, _, stderr = three.client("cluster", "set", "--commit-regions", "4", check=False)
        assert code == 4 and "voters are in 3" in stderr, (code, stderr)
        code, _, stderr = three.client("cluster", "set", "--commit-regions", "1", "--timers",
                                       "global", check=False)
        assert code == 4 and "in a request of its own" in stderr, (code, stderr)


def test_the_wish_for_regions_is_lowered_even_while_it_keeps_a_new_leader_from_its_office():
    with cluster() as three:
        leader = three.wait_ready()
        three.client("cluster", "set", "--commit-regions", "3", "--wait")
        leader.kill()
        wait_until("another one leads", three.leader)
        assert put_region(three, "waits", "--timeout", "1000") == 3, "two regions are too few"
        three.client("cluster", "set", "--commit-regions", "1")
        assert put_region(three, "goes-on") == 0


def test_a_lowered_rule_is_lifted_again_when_the_command_changes_nothing():
    with cluster() as three:
        leader = three.wait_ready()
        messages = members_grpc.load_messages(three.dir)

        def set_regions(regions, request_id):
            with members_grpc.channel(three, leader, "operator") as link:
                members_grpc.call(messages, link, "/indaba.v1.Cluster/SetCluster",
                                  messages["SetClusterRequest"](commit_regions=regions,
                                                                request_id=request_id),
                                  "SetClusterResponse")

        def settled():
            return three.json("member", "ls", member=leader)["settled"]

        first, second, third = (members_writer.new_request_id() for _ in range(3))
        set_regions(2, first)
        set_regions(3, second)
        wait_until("three regions are in force", settled)
        # One that comes late a second time has its answer already, and changes nothing.
        set_regions(2, first)
        wait_until("three regions are in force again", settled)
        set_regions(2, third)
        wait_until("two regions are in force", settled)
        assert three.leader() is leader


def test_a_member_moves_to_other_addresses():
    with cluster() as three:
        leader = three.wait_ready()
        moved = next(one for one in three.members if one is not leader)
        moved.kill()
        moved.api, moved.peer, moved.ops = free_ports(3)
        three.client("member", "move", moved.name, "--peer", f"127.0.0.1:{moved.peer}", "--api",
                     f"127.0.0.1:{moved.api}", "--ops", f"127.0.0.1:{moved.ops}", member=leader)
        three.write_config(moved)
        moved.start()
        three.wait_ready()
        view = three.json("member", "ls")
        assert all(one["reachable"] for one in view["members"]), view
        assert view["settled"], view
        other = next(one for one in three.members if one not in (leader, moved))
        code, _, stderr = three.client("member", "move", other.name, "--api",
                                       f"127.0.0.1:{moved.api}", check=False)
        assert code == 4 and "is one of member" in stderr, (code, stderr)


if __name__ == "__main__":
    chosen = sys.argv[1:]
    run_tests([value for name, value in list(globals().items()) if name.startswith("test_")
               and (not chosen or name in chosen)])
