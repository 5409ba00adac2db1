#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A crash at each failpoint once, on real processes: whoever met it is started again, everything comes
back, and nothing that was acknowledged is lost (make failpoints; ACTION=error or sleep for these).

    jepsen/failpoints.py [NAME …]     all of them, or those whose name contains a word

POINTS says of each place how it is reached; tests/lint/test_failpoints.py holds that these are all."""
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback

import hosts  # noqa: F401  (where the modules below are)
import members
import members_grpc
import members_writer
import pq
import test_members_snapshot as snapshots
import world
from armed import ACTIONS, BINARY, Armed, can_fail

MET_S = 30.0
BACK_S = 60.0


class ArmedMember(Armed, world.WatchedMember):
    pass


class ArmedInstance(Armed, world.Instance):
    pass


class Members(snapshots.SmallSnapshots):
    member_type = ArmedMember


class Earth(world.World):
    member_type, instance_type = ArmedMember, ArmedInstance


class Case:
    """One place, and who may meet it."""

    def __init__(self, earth, point, action, dice):
        self.earth, self.point, self.action, self.dice = earth, point, action, dice
        self.armed, self.before = [], {}
        self.asked = None  # a command that waits for what it asked for

    def end(self):
        if self.asked:
            self.asked.kill()
            self.asked.wait(20)

    def arm(self, *those):
        for one in those:
            self.before[one] = len(one.met())
            one.arm(self.point, self.action)
        self.armed += those

    def who_met(self):
        return next((one for one in self.armed if len(one.met()) > self.before[one]), None)

    def wait_met(self, meanwhile=None):
        """Whoever met it first; nobody else does after that."""
        def looked():
            if meanwhile and not self.who_met():
                meanwhile()
            return self.who_met()

        one = members.wait_until(f"somebody meets {self.point}", looked, MET_S)
        for other in self.armed:
            other.disarm()
        return one


# --- members: each takes a case ---------------------------------------------------------------------


def leader_of(case):
    return members.wait_until("a leader", case.earth.leader)


def follower_of(case):
    leader = leader_of(case)
    return case.dice.choice([one for one in case.earth.members if one is not leader])


def at_write(case):
    case.arm(case.dice.choice([leader_of, follower_of])(case))
    case.wait_met()


def at_vote(case):
    leader = leader_of(case)
    case.arm(*[one for one in case.earth.members if one is not leader])
    leader.kill()
    case.wait_met()


def at_truncate(case):
    """A leader appends what nobody hears, dies, and finds another history when it is back."""
    old = leader_of(case)
    others = [one for one in case.earth.members if one is not old]
    for one in others:  # not stopped: they would find it in their sockets
        one.kill()
    last = snapshots.metric(old, "indaba_raft_durable_index")
    link, messages = members_grpc.channel(case.earth, old, "operator"), case.earth.writer.messages
    asked = [link.unary_unary("/indaba.v1.Topology/PutRegion").future(
        messages["PutRegionRequest"](
            request_id=members_writer.new_request_id(),
            region=messages["Region"](name=f"alone-{number}", state="active")).SerializeToString(),
        timeout=MET_S) for number in range(3)]
    members.wait_until("it has appended alone", lambda: snapshots.metric(
        old, "indaba_raft_durable_index") >= last + 1)
    for one in asked:
        one.cancel()
    link.close()
    old.kill()
    for one in others:
        one.start()
    case.earth.progress(2)
    case.arm(old)
    old.start()
    case.wait_met()


def at_snapshot(case):
    case.arm(case.dice.choice([leader_of, follower_of])(case))
    case.wait_met(lambda: snapshots.write(case.earth, 20))


def at_install(case):
    away = follower_of(case)
    snapshots.cut_below(case.earth, away)
    case.arm(away)
    away.start()
    case.wait_met()


def at_vouch(case):
    """A command on the folder of a member that is down; again, if it ended too early."""
    away = follower_of(case)
    away.kill()
    case.arm(away)
    words = [members.INDABA, "member", "vouch", "--dir", away.dir, "--name", "n9", "--id", "ab" * 16,
             "--yes"]
    done = subprocess.run(words, env=away.environment(), capture_output=True, check=False, timeout=20)
    case.wait_met()
    if done.returncode != 0:
        subprocess.run(words, env=away.environment(), capture_output=True, check=True, timeout=20)


# --- worlds -----------------------------------------------------------------------------------------


def standbys(earth):
    primary = earth.primary()
    return [one for one in earth.instances if one is not primary]


def move(case):
    """Asks for a switchover, and does not wait for it."""
    to = case.dice.choice(standbys(case.earth))
    environment = dict(os.environ, INDABA_CERTS=case.earth.certs, INDABA_IDENTITY="operator",
                       INDABA_MEMBERS=",".join(f"{one.host}:{one.api}"
                                               for one in case.earth.members))
    case.asked = subprocess.Popen([members.INDABA, "failover", "start", "main", "--to", to.name,
                                   "--yes"], env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def at_switchover(case):
    case.arm(*case.earth.instances)
    move(case)
    case.wait_met()


def at_step(case):
    """A step of a failover, as the leader proposes it."""
    case.arm(leader_of(case))
    move(case)
    case.wait_met()


def at_lapse(case):
    """A sidecar stands still until its lease is over, and another one leads when it goes on."""
    primary = case.earth.primary()
    case.arm(primary)
    before = len(case.earth.failovers())
    primary.process.send_signal(signal.SIGSTOP)
    try:
        members.wait_until("somebody else is primary", lambda: case.who_met() or (
            len(case.earth.failovers()) > before and case.earth.failovers()[0]["step"] == "open"), 60)
    finally:
        primary.process.send_signal(signal.SIGCONT)
    case.wait_met()


def at_clone(case):
    one = case.dice.choice(standbys(case.earth))
    one.kill()
    shutil.rmtree(os.path.join(one.dir, "pgdata"))
    case.arm(one)
    one.start()
    case.wait_met()


def at_return(case):
    """A primary dies, and comes back when it is none."""
    primary = case.earth.primary()
    primary.kill()
    case.earth.wait_writes()
    case.arm(primary)
    primary.start()
    case.wait_met()


def at_diverged(case):
    """The same, but it has what nobody else has."""
    primary = case.earth.primary()
    others = standbys(case.earth)
    for one in others:  # not stopped: they would find it in their sockets
        one.kill()
    for statement in ("SELECT pg_logical_emit_message(false, 'failpoints', repeat('x', 10000))",
                      "SELECT pg_switch_wal()"):
        with contextlib.suppress(pq.Failed, pq.Silent):
            primary.ask(statement)
    primary.kill()
    for one in others:
        one.start()
    case.earth.wait_writes()
    case.arm(primary)
    primary.start()
    case.wait_met()


def before_and_after(*names):
    return [f"{name}.{when}" for name in names for when in ("before", "after")]


IN_MEMBERS = {
    at_write: before_and_after("wal.append", "wal.sync", "store.commit", "apply.entries"),
    at_vote: before_and_after("wal.vote"),
    at_truncate: before_and_after("wal.truncate", "wal.segment"),
    at_snapshot: before_and_after("snapshot.write", "snapshot.publish", "wal.cut"),
    at_install: before_and_after("snapshot.receive", "snapshot.sync", "snapshot.accept",
                                 "store.build", "store.exchange", "wal.restart"),
    at_vouch: before_and_after("small_file.rename"),
}
IN_WORLDS = {
    at_switchover: before_and_after("kept.write", "durable.rename", "engine.stop", "engine.start",
                                    "engine.writable", "guardian.spawn", "pg.prepare", "pg.cut",
                                    "pg.promote", "pg.follow", "pg.set_sync", "pg.slots",
                                    "pg.canary", "pg.confirm_sync"),
    at_step: before_and_after("failover.begin", "failover.excluded", "failover.completed",
                              "failover.decided", "failover.promoted", "failover.opened"),
    at_lapse: before_and_after("guardian.kill", "fence.ask") + ["fence.confirmed"],
    at_clone: before_and_after("pg.clone", "pg.clone_install"),
    at_return: before_and_after("pg.prove"),
    at_diverged: before_and_after("pg.put_aside"),
}
AT_BOOTSTRAP = before_and_after("pg.init")  # of a world that is not there yet
POINTS = {point: how for table in (IN_MEMBERS, IN_WORLDS) for how, points in table.items()
          for point in points}
POINTS.update(dict.fromkeys(AT_BOOTSTRAP))


# --- the sweep --------------------------------------------------------------------------------------


class Sweep:
    def __init__(self, action, seed, words):
        fails, _ = can_fail()
        self.action, self.seed, self.words = action, seed, words
        self.chosen = [point for point in POINTS if
                       (action != "error" or point in fails) and
                       (not words or any(word in point for word in words))]
        self.good, self.bad = 0, []

    def case(self, earth, point, how, back):
        began = time.monotonic()
        case = Case(earth, point, self.action, random.Random(f"{self.seed} {point}"))
        try:
            how(case)
            met = time.monotonic()
            who = case.who_met().name
            back()
        except Exception as error:
            self.bad.append(point)
            print(f"FAILED {point}: {error!r}", flush=True)
            raise
        finally:
            case.end()
        self.good += 1
        print(f"ok {point:26} {how.__name__[3:] if how else '':10} of {who}, back after "
              f"{time.monotonic() - met:.1f} s ({time.monotonic() - began:.1f} s)", flush=True)

    def all(self, kind, points, opened, back, judge):
        """In as few worlds as can be: after a failure the next point gets a new one."""
        left = [point for point in points if point in self.chosen]
        while left:
            try:
                with opened(kind) as earth:
                    while left:
                        point = left.pop(0)
                        self.case(earth, point, POINTS[point], lambda earth=earth: back(earth))
                    judge(earth)
            except Exception:  # told as a failure of its point, or of all in this world
                if not self.bad or self.bad[-1] != point:
                    self.bad.append("what was judged after " + point)
                print(traceback.format_exc(), flush=True)

    def run(self):
        members.INDABA = BINARY
        self.all(Members, OF_MEMBERS_ALONE, opened_members, members_back, members_judged)
        self.all(Earth, [one for one in POINTS if POINTS[one] in IN_WORLDS], opened_world, world_back,
                 lambda earth: earth.check())
        if set(AT_BOOTSTRAP) & set(self.chosen):
            self.bootstrap()
        print(f"failpoints: {self.good} of {len(self.chosen)} met ({self.action}), and all came back; "
              f"{len(self.bad)} failed {' '.join(self.bad)}".rstrip(), flush=True)
        return 1 if self.bad or self.good != len(self.chosen) else 0

    def bootstrap(self):
        """One after the other while the first database of a world is made."""
        with world.world(kind=Earth, up=False) as earth:
            points = [one for one in AT_BOOTSTRAP if one in self.chosen]
            earth.start()
            earth.wait_ready()
            earth.client("shard", "create", "main", "--mode", "sync", "--preferred", "r1")
            for point in points:
                case = Case(earth, point, self.action, random.Random(self.seed))
                case.arm(earth.instances[0])
                for one in earth.instances:
                    if not one.alive:
                        one.start()
                case.wait_met()
                self.good += 1
                print(f"ok {point:26} bootstrap", flush=True)
                members.wait_until("what crashed is gone", lambda: self.action != "crash" or
                                   not earth.instances[0].alive)
            earth.revive()


OF_MEMBERS_ALONE = [point for point, how in POINTS.items() if how in IN_MEMBERS]


@contextlib.contextmanager
def opened_members(kind):
    with members.cluster(3, kind) as cluster:
        messages = members_grpc.load_messages(cluster.dir)
        cluster.wait_ready()
        cluster.writer = members_writer.Writer(cluster, messages, 0.03)
        cluster.progress = lambda count: members_writer.wait_progress(cluster.writer, count)
        cluster.writer.start()
        cluster.progress(3)
        yield cluster
        cluster.writer.stopping.set()


def members_back(cluster):
    revive(cluster)
    cluster.wait_ready(BACK_S)
    cluster.progress(3)


def members_judged(cluster):
    cluster.writer.stop()
    members_writer.check_everything(cluster, cluster.writer)


@contextlib.contextmanager
def opened_world(kind):
    with world.world(kind=kind) as earth:
        yield earth


def world_back(earth):
    began = time.monotonic()
    revive(earth, earth.instances)
    earth.wait_ready(BACK_S)
    earth.wait_whole()
    earth.wait_writes(since=began)


def revive(cluster, more=()):
    """What fails must end first; then whoever starts processes there starts them."""
    for one in [*cluster.members, *more]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(0.3)
        if not one.alive:
            one.start()


def main():
    action = os.environ.get("ACTION") or "crash"
    if action not in ACTIONS:
        raise SystemExit(f"no such action: {action}; there are {', '.join(ACTIONS)}")
    return Sweep(action, os.environ.get("SEED") or "1", sys.argv[1:]).run()


if __name__ == "__main__":
    sys.exit(main())
