#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A majority of the members is lost under a real database: the one that goes on alone takes the
sidecars over, nothing that was acknowledged is missing, and those left behind are obeyed by nobody."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402
from test_members_recover import last_index, recover  # noqa: E402


def log_of(one):
    with open(one.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def lose_others(earth, survivor):
    """All members stop at once; the survivor goes on alone."""
    for one in earth.members:
        if one.alive:
            one.kill()
    code, text, stderr = recover(survivor, "--expect-index", last_index(survivor),
                                 "--i-accept-loss", "--reason", "fire")
    assert code == 0, (code, text, stderr)
    lost = [one for one in earth.members if one is not survivor]
    earth.members = [survivor]
    survivor.start()
    earth.wait_ready()
    return lost


def test_a_survivor_takes_the_sidecars_over_and_those_left_behind_are_not_obeyed():
    with world.world(mode="sync") as earth:
        survivor = earth.wait_ready()
        lost = lose_others(earth, survivor)
        earth.wait_whole()
        earth.wait_writes()
        for one in earth.instances:
            assert "event=cluster.recovered cluster_epoch=1" in log_of(one), one.name
        shard = earth.shard()
        if earth.failovers()[0]["epoch"] != earth.failovers()[-1]["epoch"]:
            assert shard["primary_epoch"] > 2 ** 32, "a ballot that nobody gave before"
        survivor.kill()
        for one in lost:
            one.start()
        earth.members += lost
        members.wait_until("the two lead among themselves", lambda: any(
            (one.status() or {}).get("role") == "leader" for one in lost))
        for one in earth.instances:
            members.wait_until(f"{one.name} refuses them",
                               lambda one=one: "event=session.left_behind" in log_of(one), 30)
        members.wait_until("the last primary is fenced", lambda: not any(
            one.is_writable() for one in earth.instances), 30)
        for one in earth.instances:
            # Whom nobody obeys is not asked without a pause, and the log is not filled with it.
            assert log_of(one).count("event=session.left_behind") <= 4, one.name
        survivor.start()
        for one in lost:
            members.wait_until(f"{one.name} ends", lambda one=one: not one.alive, 30)
        earth.members = [survivor]
        earth.wait_ready()
        earth.wait_whole()
        earth.wait_writes()
        earth.check()


def slept_through_a_failover(until_fenced):
    with world.world(mode="sync") as earth:
        leader = earth.wait_ready()
        sleeper = next(one for one in earth.members if one is not leader)
        sleeper.kill()
        # On a busy machine there may be one that nobody asked for.
        members.wait_until("it sleeps through a failover", lambda: earth.client(
            "failover", "start", "main", "--reason", "work", "--yes", "--wait", "--timeout", "25000",
            check=False)[0] == 0, 60)
        new, epoch = earth.primary(), earth.shard()["primary_epoch"]
        earth.wait_writes(new.name)
        if until_fenced:
            for one in earth.members:
                if one.alive:
                    one.kill()
            members.wait_until("its lease has ended",
                               lambda: f"event=epoch.over epoch={epoch}" in log_of(new), 20)
        lose_others(earth, sleeper)

        def settled():
            shard = earth.shard()
            writable = [one.name for one in earth.instances if one.is_writable()]
            return shard and shard["opened"] and writable == [shard["primary"]] and \
                earth.failovers()[0]["epoch"] > 2 ** 32
        members.wait_until("there is one primary, by a new ballot", settled, 90)
        earth.wait_writes(timeout_s=60)
        earth.writers.stop()
        missing = earth.writers.missing(earth.primary().port)
        assert not missing, f"acknowledged rows are missing: {missing}"


def test_a_survivor_that_slept_through_a_failover_makes_one_primary_and_loses_no_row():
    slept_through_a_failover(until_fenced=False)


def test_so_it_does_when_the_primary_that_it_never_knew_has_ended_meanwhile():
    """That one takes no goal of before, so it tells no position, and was waited for without end."""
    slept_through_a_failover(until_fenced=True)


if __name__ == "__main__":
    chosen = sys.argv[1:]
    members.run_tests([value for name, value in list(globals().items()) if name.startswith("test_")
                       and (not chosen or name in chosen)])
