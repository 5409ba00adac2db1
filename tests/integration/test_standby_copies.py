#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A base backup under way streams WAL, but it is no standby: it confirms nothing, it is in no sync
record, and no failover waits for it. Method: pg_basebackup is slowed down for as long as a file
says so; a fourth instance is built meanwhile, later a standby whose folder was lost."""
import contextlib
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

BIN = "/usr/lib/postgresql/15/bin"
SLOW = "--max-rate=512k"
STANDS_STILL_S = 6.5  # wal_sender_timeout of a standby is 5 s
AS_WITHOUT_S = 12.0  # a failover without a copy under way takes half of that on a busy machine


class Fourth(world.Instance):
    """A second instance in the first region."""

    def __init__(self, earth):
        super().__init__(earth, 0)
        self.name = "pg4"
        self.dir = os.path.join(earth.dir, self.name)
        self.config = os.path.join(earth.dir, self.name + ".yaml")
        self.log = os.path.join(earth.dir, self.name + ".log")


def slow_binaries(earth):
    """A folder of PostgreSQL's programs whose pg_basebackup takes more options out of a file."""
    folder = os.path.join(earth.dir, "bin")
    os.mkdir(folder)
    for name in os.listdir(BIN):
        if name != "pg_basebackup":
            os.symlink(os.path.join(BIN, name), os.path.join(folder, name))
    with open(os.path.join(folder, "pg_basebackup"), "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {BIN}/pg_basebackup $(cat {folder}/more) "$@"\n')
    os.chmod(os.path.join(folder, "pg_basebackup"), 0o755)
    os.chmod(folder, 0o755)
    return folder


def set_pace(folder, options):
    path = os.path.join(folder, "more")
    with open(path, "w", encoding="utf-8") as file:
        file.write(options)
    os.chmod(path, 0o644)


def use(instance, folder):
    with open(instance.config, encoding="utf-8") as file:
        text = file.read()
    with open(instance.config, "w", encoding="utf-8") as file:
        file.write(text.replace("postgres: {", f"postgres: {{bin: {folder}, "))


def hurry(earth, folder):
    """Copies begin anew, at full speed. One that has read its pace may be about to begin."""
    set_pace(folder, "")

    def none_is_slow():
        copies = [pid for pid in world.processes_of(earth.dir) if command_of(pid) == "pg_basebackup"]
        slow = [pid for pid in copies if SLOW in words_of(pid) or "/bin/sh" in words_of(pid)]
        world.send(slow, signal.SIGTERM)
        return not slow

    members.wait_until("no copy is slow", none_is_slow)


def words_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")
    return []


def command_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()
    return ""


def copy_streams(primary):
    """The base backup has begun, and with it its stream of WAL."""
    return primary.ask("SELECT count(*) FROM pg_stat_replication WHERE state = 'backup'") == "1"


def of_shard(earth, name):
    return next(one for one in earth.shard()["instances"] if one["name"] == name)


def has_left_record(earth, name):
    with contextlib.suppress(StopIteration, TypeError):
        return not of_shard(earth, name)["in_sync_set"] and len(earth.shard()["sync"]) == 1
    return False


def lose_folder(instance):
    """Its database ends and its folder is gone; the sidecar lives."""
    postmaster = instance.postmaster()
    shutil.rmtree(os.path.join(instance.dir, "pgdata"), ignore_errors=True)
    world.send([postmaster], signal.SIGKILL)
    members.wait_until(f"the database of {instance.name} has ended",
                       lambda: not os.path.exists(f"/proc/{postmaster}"))
    shutil.rmtree(os.path.join(instance.dir, "pgdata"), ignore_errors=True)


def new_primary_s(earth, old, since):
    members.wait_until("another instance acknowledges", lambda: any(
        earth.writers.last_sent(one.name) > since for one in earth.instances if one is not old), 60)
    return time.monotonic() - since


def test_a_failover_with_a_copy_under_way_takes_no_longer_than_without():
    with world.world(up=False) as earth:
        folder = slow_binaries(earth)
        set_pace(folder, "")
        for one in earth.instances:
            use(one, folder)
        earth.up()
        earth.primary().ask("CREATE TABLE ballast AS SELECT md5(i::text) AS text"
                            " FROM generate_series(1, 100000) i")
        fourth_is_no_standby_while_it_is_copied(earth, folder)
        the_whole_one_leads_when_the_others_are_lost(earth, folder)
        earth.wait_whole()
        earth.check()


def fourth_is_no_standby_while_it_is_copied(earth, folder):
    old = earth.primary()
    fourth = Fourth(earth)
    fourth.prepare()
    use(fourth, folder)
    set_pace(folder, SLOW)
    fourth.start()
    try:
        members.wait_until("the copy is under way", lambda: copy_streams(old), 30)
        its_stream_may_stand_still(old)
        assert not of_shard(earth, "pg4")["in_sync_set"], earth.shard()["sync"]
        priorities = old.ask("SELECT string_agg(application_name || ' ' || sync_priority, ', ')"
                             " FROM pg_stat_replication WHERE application_name ~ '4'")
        # Nor is a receiver that gives no name of its own: it would go by cluster_name.
        for one in earth.instances:
            assert one.ask("SHOW cluster_name") not in old.ask("SHOW synchronous_standby_names")
        killed = time.monotonic()
        world.send([old.process.pid, old.guardian()], signal.SIGKILL)
        old.process.wait(20)
        took = new_primary_s(earth, old, killed)
        print(f"  another primary acknowledged after {took:.2f} s", flush=True)
        assert took < AS_WITHOUT_S, f"{took:.2f} s with a copy under way ({priorities})"
    finally:
        hurry(earth, folder)
        earth.instances.append(fourth)
    earth.revive()


def its_stream_may_stand_still(primary):
    """For longer than a standby's may: on a narrow line it waits behind the copy's own files."""
    def senders():
        return primary.ask("SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_replication")

    def streams():
        return [pid for pid in world.processes_of(primary.world.dir)
                if command_of(pid) == "pg_basebackup" and command_of(parent_of(pid)) ==
                "pg_basebackup"]

    stream = members.wait_until("the copy's stream runs beside it", streams)
    before, stopped = senders(), time.monotonic()
    world.send(stream, signal.SIGSTOP)
    try:
        while time.monotonic() < stopped + STANDS_STILL_S:
            time.sleep(0.1)
        assert senders() == before, (before, senders())
    finally:
        world.send(stream, signal.SIGCONT)


def parent_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="latin-1") as file:
        return int(file.read().rpartition(")")[2].split()[1])
    return 0


def the_whole_one_leads_when_the_others_are_lost(earth, folder):
    """A standby is rebuilt, and while it is, the primary's folder is lost, too."""
    fourth = earth.instances.pop()
    fourth.kill()
    members.wait_until("the fourth has left the record",
                       lambda: has_left_record(earth, "pg4"), 40)  # T_shrink
    old = earth.primary()
    lost, whole = [one for one in earth.instances if one is not old]
    set_pace(folder, SLOW)
    lose_folder(lost)
    members.wait_until("it is rebuilt", lambda: copy_streams(old), 30)
    members.wait_until("the lost folder has left the record",
                       lambda: has_left_record(earth, lost.name), 15)
    gone = time.monotonic()
    lose_folder(old)
    members.wait_until("the whole one leads", lambda: earth.shard()["opened"] and
                       earth.shard()["primary"] == whole.name, 30)
    print(f"  the whole one was opened after {time.monotonic() - gone:.2f} s", flush=True)
    hurry(earth, folder)
    earth.wait_writes(whole.name)
    earth.instances.append(fourth)
    fourth.start()


if __name__ == "__main__":
    members.run_tests([
        test_a_failover_with_a_copy_under_way_takes_no_longer_than_without,
    ])
