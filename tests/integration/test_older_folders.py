#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Data folders that are set back: an image some seconds old is put in the place of a primary's or a
standby's folder, with the sidecar's state folder or without. Nobody who holds less than was
acknowledged may lead or be counted, whoever is heard first; and whatever nobody touched comes back
as fast as before."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

ROWS_BEHIND = 500  # acknowledged after an image was taken: some seconds
OWN_END_MS = 1000  # so long the end of the old primary's own folder is waited for

# What is said of a standby's folder that was set back: its sidecar may not be able to prove what it
# is; if it can, the others know that it once held more.
SET_BACK = ("holds less than it once acknowledged", "another folder is in its place",
            "it went to another timeline while its sidecar was away",
            "its WAL is not what its sidecar saw in it")


class Image:
    """Parts of an instance's folder as a crash at that moment would have left them. Most of it is
    copied while the instance runs; it stands still for what was changed meanwhile."""

    def __init__(self, instance, *parts):
        self.instance = instance
        self.parts = parts
        self.dir = instance.dir + ".image"
        shutil.rmtree(self.dir, ignore_errors=True)
        os.mkdir(self.dir)
        pairs = [(os.path.join(instance.dir, part), os.path.join(self.dir, part)) for part in parts]
        for source, target in pairs:
            copy(source, target, check=False, stderr=subprocess.DEVNULL)  # of files that go as well
        pids = world.processes_of(instance.dir)
        world.send(pids, signal.SIGSTOP)
        try:
            for source, target in pairs:
                copy(source, target, "--update")
                remove_what_is_gone(source, target)
        finally:
            world.send(pids, signal.SIGCONT)

    def put_back(self):
        """Only while nothing of the instance runs."""
        for part in self.parts:
            path = os.path.join(self.instance.dir, part)
            shutil.rmtree(path)
            copy(os.path.join(self.dir, part), path)


def copy(source, target, *options, check=True, stderr=None):
    subprocess.run(["cp", "-aT", "--reflink=auto", *options, source, target], check=check,
                   stderr=stderr)


def remove_what_is_gone(source, target):
    for folder, folders, files in os.walk(target):
        there = os.path.join(source, os.path.relpath(folder, target))
        gone = [name for name in folders + files if not os.path.lexists(os.path.join(there, name))]
        for path in (os.path.join(folder, name) for name in gone):
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def write_more(earth, rows=ROWS_BEHIND):
    wanted = len(earth.writers.acked()) + rows
    members.wait_until(f"{rows} more rows are acknowledged",
                       lambda: len(earth.writers.acked()) >= wanted, 60)


def image_of_the_primary(earth, *parts):
    """(primary, image of it, newest failover): rows were written behind the image, all by that primary.
    On a busy machine it may stand still for so long that another one lawfully takes over."""
    def taken():
        earth.wait_whole()
        primary, newest = earth.primary(), earth.failovers()[0]["id"]
        image = Image(primary, *parts)
        write_more(earth)
        return earth.failovers()[0]["id"] == newest and (primary, image, newest)

    return members.wait_until("the primary stays one while it is copied", taken, 120)


def kill_everything(earth):
    """The members first: who leads would see the others die, and begin a failover."""
    for one in earth.members + earth.instances:
        one.kill()


def start_members(earth):
    for one in earth.members:
        one.start()
    earth.wait_ready(60)


def welcomes(instance):
    with open(instance.log, encoding="utf-8") as file:
        return file.read().count("event=session.welcome")


def start_and_greet(instance):
    before = welcomes(instance)
    instance.start()
    members.wait_until("a leader has heard it", lambda: welcomes(instance) > before)


def waiting(earth):
    shard = earth.shard()
    return shard["waiting"] if shard else ""


def why_it_does_not_count(earth, instance):
    """As `waiting` says it of a folder that was set back; "" if it says nothing of that."""
    of_it = waiting(earth).partition(f" {instance.name} (")[2]
    return next((why for why in SET_BACK if of_it.startswith(why)), "")


def is_open(earth):
    shard = earth.shard()
    return shard and shard["opened"] and shard["last_failover"]["step"] == "done"


def no_row_is_missing(earth, what):
    primary = earth.primary()
    acked = earth.writers.acked()
    held = {int(row[0]) for row in pq.Connection(primary.port, 5).run("SELECT id FROM rows", 30)}
    lost = [row for row in acked if row.number not in held]
    assert not lost, f"{what}: {len(lost)} acknowledged rows are missing on {primary.name}"


def kill_postmaster_of(primary):
    os.kill(primary.postmaster(), signal.SIGKILL)


def test_no_older_copy_of_a_primarys_folder_leads_whoever_is_heard_first():
    with world.world(mode="sync") as earth:
        old = earth.primary()
        id_before = earth.failovers()[0]["id"]
        killed = time.monotonic()
        kill_postmaster_of(old)
        members.wait_until("it is open again", lambda: is_open(earth)
                           and earth.failovers()[0]["id"] > id_before)
        earth.wait_writes(old.name)
        last = earth.failovers()[0]
        assert last["in_place"] and last["candidate"] == old.name, last
        print(f"  postmaster killed: {earth.writers.gap_s(killed):.2f} s without a row", flush=True)

        # The old primary is heard first; its state folder knows more than its data folder.
        old, image, newest = image_of_the_primary(earth, "pgdata")
        kill_everything(earth)
        image.put_back()
        start_members(earth)
        old.start()
        members.wait_until("it is said who is missing", lambda: "missing:" in waiting(earth), 30)
        print(f"  waiting: {waiting(earth)}", flush=True)
        assert earth.failovers()[0]["id"] == newest, "begun before anybody else was heard"
        for one in earth.instances:
            if one is not old:
                one.start()
        earth.wait_whole()
        assert earth.primary() is not old
        no_row_is_missing(earth, "old primary first")

        # The machine was set back as a whole, and the others are heard first.
        old, image, _ = image_of_the_primary(earth, "pgdata", "state")
        kill_everything(earth)
        image.put_back()
        start_members(earth)
        for one in earth.instances:
            if one is not old:
                one.start()
        members.wait_until("another one is open",
                           lambda: is_open(earth) and earth.primary() is not old, 60)
        old.start()
        earth.wait_whole()
        no_row_is_missing(earth, "standbys first")

        # As a whole again, and heard first; its guardian lives and its leader remembers.
        old, image, _ = image_of_the_primary(earth, "pgdata")
        old.end_sidecar(signal.SIGKILL)
        kill_postmaster_of(old)
        members.wait_until("its guardian has ended it",
                           lambda: len(world.processes_of(old.dir)) <= 1)
        image.put_back()
        old.start()
        earth.wait_whole()
        no_row_is_missing(earth, "under a living guardian")
        earth.check()


def test_a_shard_that_was_stopped_as_a_whole_comes_back_with_its_primary():
    with world.world(mode="sync") as earth:
        old = earth.primary()
        for one in earth.instances:
            one.process.terminate()
        for one in earth.instances:
            world.send([one.guardian()], signal.SIGTERM)
        members.wait_until("all have ended",
                           lambda: not any(world.processes_of(one.dir) for one in earth.instances))
        begun = time.monotonic()
        for one in earth.instances:
            one.process.wait(20)
            one.start()
        earth.wait_writes(since=begun)
        print(f"  stopped and started: first row after {time.monotonic() - begun:.2f} s, "
              f"primary {earth.primary().name}", flush=True)
        earth.wait_whole()
        assert earth.primary() is old or waited_for_its_end(earth.failovers()[0])
        earth.check()


def waited_for_its_end(failover):
    """As long as that is waited for; then somebody else who holds everything leads, lawfully."""
    times = {one["step"]: one["wall_ms"] for one in failover["steps"]}
    return times["decide"] - times["complete"] >= OWN_END_MS


def test_an_asynchronous_shard_and_one_without_standbys_come_back_after_a_power_cut():
    for mode, count in (("async", 3), ("async", 1)):
        with world.world(count=count, mode=mode) as earth:
            write_more(earth, 100)
            old = earth.primary()
            # The primary last: while its standbys live they may succeed it, lawfully and at once.
            for one in [other for other in earth.instances if other is not old] + [old]:
                one.kill()
            begun = time.monotonic()
            # Whoever is not heard while the others are may lawfully be succeeded in async mode.
            start_and_greet(old)
            for one in earth.instances:
                if one is not old:
                    one.start()
            earth.wait_writes(since=begun)
            print(f"  {mode}, {count} instances: first row after {time.monotonic() - begun:.2f} s",
                  flush=True)
            earth.wait_whole()
            assert earth.primary() is old
            assert not earth.check()


def receiver_of(instance):
    return int(instance.ask("SELECT pid FROM pg_stat_wal_receiver"))


def set_back_a_standby(earth, *parts):
    """`parts` of one standby are set back while the other one lags; then the primary dies, and with it
    the leader's memory. Nobody may be promoted before the primary is back."""
    old = earth.primary()
    back, behind = [one for one in earth.instances if one is not old]
    image = Image(back, *parts)
    write_more(earth)
    frozen = receiver_of(behind)
    os.kill(frozen, signal.SIGSTOP)
    try:
        write_more(earth, 300)
        leader = earth.leader()
        id_before = earth.failovers()[0]["id"]
        world.send([old.process.pid, leader.process.pid, old.postmaster()], signal.SIGKILL)
        back.kill()
        leader.process.wait(20)
        image.put_back()
        back.start()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGCONT)
    members.wait_until("it is said of it why it does not count",
                       lambda: why_it_does_not_count(earth, back), 40)
    print(f"  waiting: {waiting(earth)}", flush=True)
    assert earth.failovers()[0]["id"] == id_before or not is_open(earth), "somebody was promoted"
    old.process.wait(20)
    old.start()
    leader.start()
    earth.wait_writes()
    assert earth.failovers()[0]["id"] > id_before
    earth.wait_whole()
    no_row_is_missing(earth, f"standby set back with {parts}")


def test_a_standby_below_what_it_acknowledged_is_not_counted():
    with world.world(mode="sync") as earth:
        set_back_a_standby(earth, "pgdata")
        set_back_a_standby(earth, "pgdata", "state")
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_no_older_copy_of_a_primarys_folder_leads_whoever_is_heard_first,
        test_a_shard_that_was_stopped_as_a_whole_comes_back_with_its_primary,
        test_an_asynchronous_shard_and_one_without_standbys_come_back_after_a_power_cut,
        test_a_standby_below_what_it_acknowledged_is_not_counted,
    ])
