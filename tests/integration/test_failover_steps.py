#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A region dies, and a coordinator right after a step of the failover that follows: the leader, or
another one. Nobody starts it again. The failover is completed by whoever leads then, no acknowledged
row is missing, and no second primary acknowledged anything. Method: each member's log is read as it is
written, and the line of the step, as the leader applies it, is the signal to kill."""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

STEPS = ["begin", "excluded", "completed", "decided", "promoted", "opened"]
AGAIN_S = 40.0
MEMBERS = 5


class Assassin:
    """Kills one member as soon as the leader has applied one step of a failover."""

    def __init__(self, cluster, rand):
        self.cluster = cluster
        self.rand = rand
        self.event = None
        self.leader_dies = True
        self.victim = None
        for member in cluster.members:
            member.on_line = self.on_line

    def wait_for(self, step, leader_dies):
        self.victim = None
        self.leader_dies = leader_dies
        self.event = f" event=failover.{step} "

    def on_line(self, member, line):
        event = self.event
        if event is None or event not in line or not member.leads or " result=ok " not in line:
            return
        self.event = None
        others = [one for one in self.cluster.members if one.alive and one is not member]
        victim = member if self.leader_dies else self.rand.choice(others)
        os.kill(victim.process.pid, signal.SIGKILL)
        self.victim = victim


def lead_elsewhere(earth):
    """Who has led a failover begins no second one by itself for 10 s; another one knows of none."""
    leader = members.wait_until("one leader for all", earth.leader)
    other = next(one for one in earth.members if one is not leader)
    # Its answer may be lost with the old leader, and to ask again is refused: it leads.
    earth.client("member", "transfer", other.name, check=False)
    members.wait_until("another one leads", lambda: earth.leader() not in (None, leader))
    earth.wait_whole()


def region_dies_and_a_member_after(earth, assassin, step, leader_dies):
    """One failover; the world is whole again afterwards."""
    lead_elsewhere(earth)
    old = earth.primary()
    number = earth.failovers()[0]["id"]
    assassin.wait_for(step, leader_dies)
    killed_at = time.monotonic()
    earth.kill_region(old)
    victim = members.wait_until(f"a member dies after {step}", lambda: assassin.victim, AGAIN_S)
    members.wait_until("the failover is done", lambda: done_after(earth, number), AGAIN_S)
    earth.wait_writes(timeout_s=AGAIN_S)
    assert not victim.alive and not earth.member_of(old).alive
    made = [one for one in earth.failovers() if one["id"] > number]
    assert made[0]["candidate"] != old.name and made[-1]["old_primary"] == old.name, made
    assert earth.primary().name == made[0]["candidate"], made
    print(f"  {step}: {'leader' if leader_dies else 'member'} {victim.name} killed; attempts: "
          f"{len(made)}, writes again after {earth.writers.gap_s(killed_at):.2f} s", flush=True)
    earth.revive()


def done_after(earth, number):
    shard = earth.shard()
    last = shard and shard["last_failover"]
    return last and last["id"] > number and last["step"] == "done" and shard["opened"]


def every_step(leader_dies):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    with world.world(MEMBERS) as earth:
        assassin = Assassin(earth, random.Random(seed))
        for step in STEPS:
            region_dies_and_a_member_after(earth, assassin, step, leader_dies)
        earth.check()


def test_a_failover_survives_the_death_of_the_leader_after_each_of_its_steps():
    every_step(leader_dies=True)


def test_a_failover_survives_the_death_of_another_member_after_each_of_its_steps():
    every_step(leader_dies=False)


if __name__ == "__main__":
    members.run_tests([
        test_a_failover_survives_the_death_of_the_leader_after_each_of_its_steps,
        test_a_failover_survives_the_death_of_another_member_after_each_of_its_steps,
    ])
