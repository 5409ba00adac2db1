#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The commit gate in a whole world: what a superuser types, what dies and what freezes lets no commit
out that another primary may lack; and the gate itself keeps no database from starting."""
import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gate_server  # noqa: E402
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

IN_FORCE = "in force"
QUEUED = 10
number = iter(range(-1, -10 ** 6, -1))


def gates(earth):
    return {one["name"]: one.get("gate", "") for one in earth.shard()["instances"]}


def standby_of(earth):
    primary = earth.primary()
    return next(one for one in earth.instances if one is not primary)


def moved(earth, old):
    shard = earth.shard()
    return shard and shard["primary"] != old.name and shard["opened"]


def test_every_instance_tells_whether_the_gate_is_in_force(earth):
    members.wait_until("all of them tell", lambda: set(gates(earth).values()) == {IN_FORCE})


def test_a_promotion_by_hand_commits_nothing(earth):
    standby = standby_of(earth)
    with contextlib.suppress(pq.Failed):
        raise AssertionError(f"promoted: {standby.ask('SELECT pg_promote()')}")
    # Nobody can refuse a signal.
    signal_file = os.path.join(standby.dir, "pgdata", "promote")
    os.kill(standby.process.pid, signal.SIGSTOP)
    try:
        with open(signal_file, "w", encoding="utf-8"):
            pass
        os.kill(standby.postmaster(), signal.SIGUSR1)
        members.wait_until("it is promoted", standby.is_writable)
        with contextlib.suppress(pq.Failed):
            raise AssertionError(f"answered: {standby.ask(f'INSERT INTO rows VALUES ({next(number)})')}")
    finally:
        os.kill(standby.process.pid, signal.SIGCONT)
    earth.wait_whole()


def freeze_and_thaw(earth):
    """Stops the primary's region with commits under way until another one is open; how many of them
    were answered after it went on."""
    old = earth.primary()
    sessions = [pq.Connection(old.port, 5) for _ in range(QUEUED)]
    for one in sessions:
        one.run(f"BEGIN; INSERT INTO rows VALUES ({next(number)})")
    member = earth.member_of(old)
    frozen = world.processes_of(old.dir) + [old.process.pid, member.process.pid]
    world.send(frozen, signal.SIGSTOP)
    for one in sessions:
        one.send("COMMIT")
    members.wait_until("another primary is open", lambda: moved(earth, old), 40)
    thawed = time.monotonic()
    world.send(frozen, signal.SIGCONT)
    late = 0
    for one in sessions:
        with contextlib.suppress(pq.Failed, pq.Silent):
            one.end(5)
            late += not one.warned
        one.close()
    late += sum(row.acked > thawed for row in earth.writers.acked(old.name) if row.sent < thawed)
    earth.revive()
    return late


def test_a_region_that_thaws_acknowledges_nothing(earth):
    assert freeze_and_thaw(earth) == 0


def test_a_busy_backend_does_not_outlive_sidecar_and_guardian(earth):
    old = earth.primary()
    with pq.Connection(old.port, 5) as busy:
        pid = busy.run("SELECT pg_backend_pid()")[0][0]
        busy.send("BEGIN; SELECT count(*) FROM generate_series(1, 30000000); "
                  f"INSERT INTO rows VALUES ({next(number)}); COMMIT")
        members.wait_until("it computes", lambda: old.ask(
            f"SELECT state FROM pg_stat_activity WHERE pid = {pid}") == "active")
        world.send([old.process.pid, old.guardian()], signal.SIGKILL)
        old.process.wait(10)
        assert gate_server.is_over(busy, 30), "it still runs"
    earth.revive()


def test_no_setting_of_a_superuser_lets_a_commit_out_unconfirmed(earth):
    primary = earth.primary()
    with pq.Connection(primary.port, 5) as admin, pq.Connection(primary.port, 5) as client:
        checkpointer = int(admin.run("SELECT pid FROM pg_stat_activity"
                                     " WHERE backend_type = 'checkpointer'")[0][0])
        senders = [int(pid) for pid, in admin.run("SELECT pid FROM pg_stat_replication")]
        with open(os.path.join(primary.dir, "pgdata", "postgresql.auto.conf"), "a",
                  encoding="utf-8") as file:
            file.write("synchronous_standby_names = ''\n")
        world.send(senders, signal.SIGSTOP)
        try:
            os.kill(checkpointer, signal.SIGHUP)  # it alone says whether commits wait at all
            admin.run("SELECT pg_reload_conf()")
            time.sleep(0.1)  # nothing tells when the checkpointer has read its files
            client.send(f"INSERT INTO rows VALUES ({next(number)})")
            assert not gate_server.is_over(client, 1), "it ended"
        finally:
            world.send(senders, signal.SIGCONT)
        with contextlib.suppress(pq.Failed):
            client.end(20)  # confirmed now, or its connection was ended
    earth.wait_whole()


def restart_database(instance):
    pid = instance.postmaster()
    os.kill(pid, signal.SIGKILL)
    members.wait_until("it runs again", lambda: instance.postmaster() not in (0, pid))


def test_libraries_of_the_user_come_first_and_what_cannot_be_loaded_is_told(earth):
    standby = standby_of(earth)
    standby.ask("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    restart_database(standby)
    earth.wait_whole()
    listed = standby.ask("SHOW shared_preload_libraries")
    assert listed.startswith("pg_stat_statements, ") and listed.endswith('indaba_gate.so"'), listed
    members.wait_until("it is in force", lambda: gates(earth)[standby.name] == IN_FORCE)
    # A file system from which nothing is executed is one of the reasons why it cannot be loaded.
    run = os.path.join(standby.dir, "run")
    library = os.path.join(run, "indaba_gate.so")
    os.kill(standby.process.pid, signal.SIGSTOP)
    os.unlink(library)
    os.mkdir(library)
    os.kill(standby.process.pid, signal.SIGCONT)
    restart_database(standby)
    earth.wait_whole()
    members.wait_until("why it is not loaded is told",
                       lambda: gates(earth)[standby.name].startswith("not loaded: "))
    assert standby.ask("SHOW shared_preload_libraries") == "pg_stat_statements"
    os.rmdir(library)
    standby.ask("ALTER SYSTEM RESET shared_preload_libraries")
    restart_database(standby)
    earth.wait_whole()
    members.wait_until("it is in force again", lambda: gates(earth)[standby.name] == IN_FORCE)


class GatedWorld(world.World):
    def __init__(self, count, mode):
        super().__init__(count, mode)
        for one in self.instances:
            one.gate = "on"


def main():
    with world.world(mode="async", kind=GatedWorld) as earth:
        test_every_instance_tells_whether_the_gate_is_in_force(earth)
        test_a_promotion_by_hand_commits_nothing(earth)
        test_a_busy_backend_does_not_outlive_sidecar_and_guardian(earth)
        test_a_region_that_thaws_acknowledges_nothing(earth)
        earth.check()
    with world.world(kind=GatedWorld) as earth:
        test_no_setting_of_a_superuser_lets_a_commit_out_unconfirmed(earth)
        test_libraries_of_the_user_come_first_and_what_cannot_be_loaded_is_told(earth)
        test_a_region_that_thaws_acknowledges_nothing(earth)
        earth.check()


if __name__ == "__main__":
    main()
