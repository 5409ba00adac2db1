#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody with the rights of a superuser, or an editor, changes what safety rests on while the world
runs: it is put back within a probe or two, told, and counted. What cannot be prevented is told too."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

BACK_S = 8.0  # a probe is 250 ms; the rest is for a busy machine
REJECT = "local all all reject\nhost all all 0.0.0.0/0 reject\n"


def in_force(instance, name):
    """As a new session sees it, or what refuses it."""
    try:
        return instance.ask(f"SHOW {name}")
    except (pq.Failed, pq.Silent) as refused:
        return str(refused)


def change(instance, *statements):
    """By a superuser, and loaded after each. The sidecar stands still meanwhile: it would put back what
    is not even in force yet."""
    with pq.Connection(instance.port, 5) as session:
        os.kill(instance.process.pid, signal.SIGSTOP)
        try:
            for statement in statements:
                session.run(statement)
                loaded = session.run("SELECT pg_conf_load_time()")
                session.run("SELECT pg_reload_conf()")
                members.wait_until("it is loaded", lambda: session.run(
                    "SELECT pg_conf_load_time()") != loaded)
        finally:
            os.kill(instance.process.pid, signal.SIGCONT)


def edit(instance, line):
    """By somebody with an editor, and loaded."""
    os.kill(instance.process.pid, signal.SIGSTOP)
    try:
        with open(os.path.join(instance.dir, "pgdata", "postgresql.auto.conf"), "a",
                  encoding="utf-8") as file:
            file.write(line)
        with open(os.path.join(instance.dir, "log", "postgres.log"), encoding="utf-8") as log:
            log.seek(0, os.SEEK_END)
            os.kill(instance.postmaster(), signal.SIGHUP)
            members.wait_until("the server says that it took it",
                               lambda: "primary_conninfo" in log.read(), 3)
    finally:
        os.kill(instance.process.pid, signal.SIGCONT)


def has_upstream(instance):
    with open(os.path.join(instance.dir, "pgdata", "postgresql.auto.conf"), encoding="utf-8") as file:
        return "primary_conninfo" in file.read()


def row(earth, instance):
    return next(one for one in earth.shard()["instances"] if one["name"] == instance.name)


def could_lose(earth):
    return [text for text in earth.shard()["can_lose"] if text.startswith("could lose")]


def lapses(earth):
    """Leaves of the ledger that begin one."""
    return earth.client("ledger", "tail", "--count", "200")[1].count("sync.lapsed")


def wait_mended(earth):
    members.wait_until("nothing could be lost any more",
                       lambda: not could_lose(earth) and earth.is_whole(), 30)


def standby_of(earth):
    primary = earth.primary()
    return next(one for one in earth.instances if one is not primary)


def test_what_a_superuser_sets_is_put_back_at_once_and_counted(earth):
    primary, standby = earth.primary(), standby_of(earth)
    wrong = {"synchronous_standby_names": "''", "fsync": "off", "full_page_writes": "off",
             "synchronous_commit": "off"}
    wanted = {name: in_force(primary, name) for name in wrong}
    for name, value in wrong.items():
        change(primary, f"ALTER SYSTEM SET {name} = {value}")
        members.wait_until(f"{name} is put back",
                           lambda: in_force(primary, name) == wanted[name], BACK_S)
        members.wait_until(f"{name} is told", lambda: could_lose(earth), BACK_S)
    assert "put back" in row(earth, primary)["concern"]
    wait_mended(earth)
    assert lapses(earth) == 1, "one leaf for what went on for a while"

    # A standby that does not sync confirms what it may not hold.
    change(standby, "ALTER SYSTEM SET fsync = off")
    members.wait_until("a standby's fsync is put back",
                       lambda: in_force(standby, "fsync") == "on", BACK_S)
    members.wait_until("that is told", lambda: could_lose(earth), BACK_S)


def test_a_reload_counts_even_if_all_is_well_again(earth):
    wait_mended(earth)
    before = lapses(earth)
    names = in_force(earth.primary(), "synchronous_standby_names").replace("'", "''")
    change(earth.primary(), "ALTER SYSTEM SET synchronous_standby_names = ''",
           f"ALTER SYSTEM SET synchronous_standby_names = '{names}'",
           "ALTER SYSTEM RESET synchronous_standby_names")
    members.wait_until("it is told", lambda: could_lose(earth), BACK_S)
    wait_mended(earth)
    assert lapses(earth) == before + 1


def test_an_overwritten_pg_hba_conf_is_put_back(earth):
    for one in (earth.primary(), standby_of(earth)):
        with open(os.path.join(one.dir, "pgdata", "pg_hba.conf"), "w", encoding="utf-8") as file:
            file.write(REJECT)
        os.kill(one.postmaster(), signal.SIGHUP)
        members.wait_until("sessions are let in again",
                           lambda: in_force(one, "fsync") == "on", BACK_S)
        members.wait_until("it is told", lambda: row(earth, one)["concern"], BACK_S)
    wait_mended(earth)


def test_settings_of_roles_and_databases_are_told_and_left(earth):
    """Longer names than there is place for are cut, here inside a character of two bytes: the leader
    takes the report all the same, and the sidecar's own page shows it."""
    primary = earth.primary()
    epoch = earth.shard()["epoch"]
    weak = ["role app", "role bbbbbbbb", "role " + 20 * "\u00e4"]
    with pq.Connection(primary.port, 5) as session:
        for name in (one.removeprefix("role ") for one in weak):
            session.run(f'CREATE ROLE "{name}"')
            session.run(f'ALTER ROLE "{name}" SET synchronous_commit = off')
        session.run("ALTER DATABASE postgres SET synchronous_commit = local")
    members.wait_until("both are told",
                       lambda: "role app (synchronous_commit=off)" in (
                           told := earth.client("status")[1]) and "database postgres" in told, 75)
    # What was put back before is told first, for a minute.
    members.wait_until("its own row says so",
                       lambda: weak[1] in row(earth, primary)["concern"], 75)
    told = row(earth, primary)["concern"]
    assert told.endswith("\u00e4?"), told
    assert json.loads(primary.get("/status")[1])["concern"] == told
    assert earth.shard()["epoch"] == epoch and earth.primary() is primary
    assert in_force(primary, "synchronous_commit") == "local", "what is theirs is theirs"
    assert not could_lose(earth), could_lose(earth)
    primary.ask("ALTER DATABASE postgres RESET synchronous_commit")
    # Nothing but a gate inside PostgreSQL stops these.
    assert "pg_cancel_backend" in earth.client("status")[1]


def named(instance):
    return "application_name=indaba_" in (instance.ask("SELECT conninfo FROM pg_stat_wal_receiver")
                                          or "")


def test_standbys_that_read_their_files_alone_get_their_names_back(earth):
    """The files name nobody. Whoever makes the startup process alone read them takes the name from its
    receiver, and nothing confirms any more."""
    wait_mended(earth)
    standbys = [one for one in earth.instances if one is not earth.primary()]
    for one in standbys:
        os.kill(int(one.ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")),
                signal.SIGHUP)
    members.wait_until("both have their names", lambda: all(named(one) for one in standbys), BACK_S)
    earth.wait_writes()


def test_a_cut_that_is_undone_does_not_count(earth):
    """The primary dies while a standby's sidecar stands still: the other one is cut and waits. Nobody is
    let in there any more; somebody sets its upstream again with an editor."""
    old = earth.primary()
    cut, still = (one for one in earth.instances if one is not old)
    conninfo = in_force(cut, "primary_conninfo").replace("'", "''")
    newest = earth.failovers()[0]["id"]
    os.kill(still.process.pid, signal.SIGSTOP)
    try:
        old.kill()
        members.wait_until("one standby is cut, and final",
                           lambda: earth.failovers()[0]["id"] > newest and
                           row(earth, cut)["goal"] == "cut" and
                           "final" in row(earth, cut)["detail"], 20)
        before = earth.failovers()[0]
        edit(cut, f"primary_conninfo = '{conninfo}'\n")
        after = members.wait_until("a new attempt begins",
                                   lambda: (now := earth.failovers()[0])["epoch"] >
                                   before["epoch"] and now, BACK_S)
        assert "received again" in after["evidence"], after["evidence"]
        # It is told as soon as it is seen; what was written is taken out after that.
        members.wait_until("what was written is gone", lambda: not has_upstream(cut), BACK_S)
    finally:
        os.kill(still.process.pid, signal.SIGCONT)
    earth.wait_writes()
    earth.revive()


def test_a_failover_after_a_lapse_does_not_claim_that_nothing_was_lost(earth):
    wait_mended(earth)
    assert not earth.failovers()[0]["could_lose"], "nothing was wrong before the last one"
    old = earth.primary()
    with pq.Connection(old.port, 5) as session:
        senders = [int(one[0]) for one in session.run("SELECT pid FROM pg_stat_replication")]
    world.send(senders, signal.SIGSTOP)
    change(old, "ALTER SYSTEM SET synchronous_standby_names = ''")
    members.wait_until("it is told", lambda: could_lose(earth), BACK_S)
    members.wait_until("the setting is back",
                       lambda: "indaba" in in_force(old, "synchronous_standby_names"), BACK_S)
    assert could_lose(earth), "no standby is seen to hold it"
    earth.kill_region(old)
    members.wait_until("another primary is open",
                       lambda: (shard := earth.shard()) and shard["primary"] != old.name and
                       shard["opened"], 40)
    last = earth.failovers()[0]
    assert "synchronous_standby_names" in last["could_lose"], last
    assert "COULD LOSE" in earth.client("status")[1]


def main():
    with world.world() as earth:
        test_what_a_superuser_sets_is_put_back_at_once_and_counted(earth)
        test_a_reload_counts_even_if_all_is_well_again(earth)
        test_an_overwritten_pg_hba_conf_is_put_back(earth)
        test_settings_of_roles_and_databases_are_told_and_left(earth)
        test_standbys_that_read_their_files_alone_get_their_names_back(earth)
        test_a_cut_that_is_undone_does_not_count(earth)
        earth.writers.stop()
        assert not earth.writers.missing(earth.primary().port)
        test_a_failover_after_a_lapse_does_not_claim_that_nothing_was_lost(earth)


if __name__ == "__main__":
    main()
