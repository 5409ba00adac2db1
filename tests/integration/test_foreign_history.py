#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Folders of standbys that people ran: started writable by hand, promoted by hand, let follow again.
The number of a timeline, a name and a high position say nothing: such a folder confirms no write, is
no candidate, and is built anew. Whatever only our own processes ran comes back as it is."""
import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

BIN = "/usr/lib/postgresql/15/bin"
KEPT_ASIDE = "the folder before was kept aside: "
FROZEN_S = 1.2  # so long nobody else could confirm


def data(instance, *names):
    return os.path.join(instance.dir, "pgdata", *names)


def by_hand(instance, *words):
    """pg_ctl, as the database's user."""
    command = [f"{BIN}/pg_ctl", "-D", data(instance), "-w", "-t", "20",
               "-l", os.path.join(instance.dir, "log", "hand.log"), *words]
    log = os.path.join(instance.dir, "log", "hand.log")
    with open(log, "a", encoding="utf-8"):
        os.chmod(log, 0o666)
    name = world.database_user()
    other = {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
    if os.geteuid() != 0:
        other = {}
    done = subprocess.run(command, check=False, timeout=60, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **other)
    with open(log, encoding="utf-8") as file:
        assert done.returncode == 0, f"pg_ctl {words}: {file.read()[-2000:]}"


def off(instance):
    """As a host that was switched off: nothing runs, and no lock is left."""
    postmaster = instance.postmaster()
    instance.kill()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(postmaster, 0)
    with contextlib.suppress(FileNotFoundError):
        os.remove(data(instance, "postmaster.pid"))
    for name in os.listdir(os.path.join(instance.dir, "sock")):
        os.remove(os.path.join(instance.dir, "sock", name))


def write_junk(instance, rows=20000):
    connection = pq.Connection(instance.port, 5)
    connection.run("SET synchronous_commit = local")
    connection.run(f"CREATE TABLE junk AS SELECT md5(i::text) FROM generate_series(1, {rows}) i", 20)


def built(instance):
    """How many base backups made its folders, as far as its log tells."""
    with open(instance.log, encoding="utf-8") as file:
        return file.read().count("action=clone error=ok")


def standbys(earth):
    primary = earth.primary()
    first, second = [one for one in earth.instances if one is not primary]
    return primary, first, second


def acknowledged_by(earth, other, seconds=FROZEN_S):
    """Rows that are acknowledged while `other` cannot confirm."""
    frozen = other.receivers()
    assert frozen, f"{other.name} does not stream"
    world.send(frozen, signal.SIGSTOP)
    try:
        time.sleep(0.2)  # what it had confirmed before is answered
        before = len(earth.writers.acked())
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.05)
        return len(earth.writers.acked()) - before
    finally:
        world.send(frozen, signal.SIGCONT)


def streams(primary, instance):
    """The name under which it does; "" if it does not."""
    with contextlib.suppress(pq.Failed, pq.Silent):
        number = instance.ask("SHOW cluster_name").rpartition("-")[2]
        return primary.ask("SELECT coalesce(max(application_name), '') FROM pg_stat_replication WHERE"
                           f" state = 'streaming' AND application_name ~"
                           f" '^indaba(_[0-9]+_{number}_|-[a-z]+-[0-9]+-{number}$)'")
    return ""


def settled(earth):
    """Whole by record, and by what the primary itself sees."""
    earth.wait_whole()
    primary, first, second = standbys(earth)
    for one in (first, second):
        members.wait_until(f"{one.name} streams under its name", lambda one=one: streams(
            primary, one).startswith("indaba_"), 30)
    earth.wait_writes()


def is_known(earth, instance):
    """Its sidecar was welcomed, and the database was looked at."""
    for one in (earth.shard() or {"instances": []})["instances"]:
        if one["name"] == instance.name:
            return one["connected"]
    return False


def concern(earth, instance):
    shard = earth.shard() or {"instances": []}
    return next((one.get("concern", "") for one in shard["instances"]
                 if one["name"] == instance.name), "")


def confirms_nothing(earth, instance, other, what):
    """`instance` has just been given back to its sidecar: nothing is acknowledged on its word."""
    clones = built(instance)
    said = False
    begun = time.monotonic()
    frozen = other.receivers()
    world.send(frozen, signal.SIGSTOP)
    try:
        members.wait_until("its sidecar is heard", lambda: is_known(earth, instance), 20)
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            said = said or KEPT_ASIDE in concern(earth, instance)
            time.sleep(0.02)
        primary = earth.primary()
        held = primary.ask("SELECT pg_current_wal_flush_lsn()")
        assert held
        before = len(earth.writers.acked())
        until = time.monotonic() + FROZEN_S
        while time.monotonic() < until:
            said = said or KEPT_ASIDE in concern(earth, instance)
            time.sleep(0.05)
        got = len(earth.writers.acked()) - before
        clone_confirms = built(instance) > clones
    finally:
        world.send(frozen, signal.SIGCONT)
    assert got == 0 or clone_confirms, f"{what}: {got} rows acknowledged on the word of its history"
    # A small copy may be done, and nothing be said of it any more, before anybody looks.
    members.wait_until(f"{what}: it is said why it is built anew", lambda: said or
                       KEPT_ASIDE in concern(earth, instance) or built(instance) > clones, 30)
    members.wait_until(f"{what}: it is built anew", lambda: built(instance) > clones, 30)
    settled(earth)
    members.wait_until(f"{what}: nothing is said of the folder before any more",
                       lambda: KEPT_ASIDE not in concern(earth, instance), 10)
    print(f"  {what}: rebuilt and whole after {time.monotonic() - begun:.1f} s", flush=True)


def started_writable(earth):
    _, away, other = standbys(earth)
    off(away)
    os.remove(data(away, "standby.signal"))
    by_hand(away, "start")
    write_junk(away)
    by_hand(away, "-m", "fast", "stop")
    away.start()
    confirms_nothing(earth, away, other, "started writable by hand")


def promoted_with_a_number_that_is_reserved_later(earth):
    primary, away, other = standbys(earth)
    off(away)
    by_hand(away, "start")
    by_hand(away, "promote")
    write_junk(away)
    taken = away.ask("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
    by_hand(away, "-m", "fast", "stop")
    before = earth.failovers()[0]["id"]
    world.send([primary.postmaster()], signal.SIGKILL)
    # A row proves nothing: sessions of a postmaster that was killed may go on for a moment.
    members.wait_until("a failover has ended", lambda: (last := earth.failovers()[0])["id"] > before
                       and last["step"] == "done")
    primary = earth.primary()
    assert taken == primary.ask("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), taken
    assert primary is not other
    away.start()
    confirms_nothing(earth, away, other, "promoted by hand, its timeline reserved later")


def written_and_let_follow_by_hand(earth):
    """Its sidecar is away all the time: the settings that it left behind let nobody confirm."""
    primary, away, other = standbys(earth)
    off(away)
    by_hand(away, "start")
    members.wait_until("it streams", lambda: streams(primary, away), 20)
    got = acknowledged_by(earth, other)
    assert got == 0, f"let follow by hand: {got} rows acknowledged on its word"
    by_hand(away, "-m", "fast", "stop")
    os.remove(data(away, "standby.signal"))
    by_hand(away, "start")
    write_junk(away, 10)
    by_hand(away, "-m", "immediate", "stop")
    with open(data(away, "standby.signal"), "w", encoding="utf-8"):
        pass
    by_hand(away, "start")
    by_hand(away, "-m", "fast", "stop")
    away.start()
    confirms_nothing(earth, away, other, "written, then let follow by hand")


def wal_of(instance):
    return sorted(name for name in os.listdir(data(instance, "pg_wal")) if len(name) == 24)


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def in_a_new_segment(primary, *others):
    """WAL goes on in a segment of its own, and all sidecars have noted that they saw it there."""
    def notes():
        files = [os.path.join(one.dir, "state", "keeper.state.marks") for one in (primary, *others)]
        return [os.stat(file).st_mtime_ns if os.path.exists(file) else 0 for file in files]

    primary.ask("CHECKPOINT")
    segment = primary.ask("SELECT pg_walfile_name(pg_switch_wal())")
    for one in others:
        members.wait_until(f"{one.name} is in a new segment", lambda one=one: wal_of(
            one)[-1] > segment and lsn(one.ask("SELECT pg_last_wal_replay_lsn()"))
            % (1 << 24) > 1 << 14)
    for _ in range(2):
        before = notes()
        members.wait_until("it is noted", lambda b=before: all(
            now != then for now, then in zip(notes(), b)))
    return primary.ask("SELECT pg_current_wal_flush_lsn()")


def write_in_the_place_of_its_newest(instance, seen):
    """The disk was full, so somebody removed the newest segment, and started it; it is written to
    until it has as much as before, and more."""
    os.remove(data(instance, "pg_wal", wal_of(instance)[-1]))
    with contextlib.suppress(FileNotFoundError):
        os.remove(data(instance, "standby.signal"))
    by_hand(instance, "start")
    assert lsn(instance.ask("SELECT pg_current_wal_flush_lsn()")) < lsn(seen)
    with pq.Connection(instance.port, 5) as connection:
        connection.run("SET synchronous_commit = local")
        connection.run("CREATE TABLE elsewhere (text text)")
        while lsn(connection.run("SELECT pg_current_wal_insert_lsn()")[0][0]) < lsn(seen) + (1 << 20):
            connection.run("INSERT INTO elsewhere SELECT md5(i::text) FROM"
                           " generate_series(1, 20000) i", 20)


def newest_segment_removed(earth):
    primary, away, other = standbys(earth)
    seen = in_a_new_segment(primary, away)
    off(away)
    write_in_the_place_of_its_newest(away, seen)
    by_hand(away, "-m", "immediate", "stop")
    with open(data(away, "standby.signal"), "w", encoding="utf-8"):
        pass
    by_hand(away, "-o", "-c primary_conninfo=", "start")  # ends as a standby ends
    by_hand(away, "-m", "fast", "stop")
    away.start()
    confirms_nothing(earth, away, other, "its newest segment written anew by hand")


def newest_segment_of_a_primary_removed(earth):
    primary, *others = standbys(earth)
    seen = in_a_new_segment(primary, *others)
    for one in earth.instances:
        off(one)
    write_in_the_place_of_its_newest(primary, seen)
    by_hand(primary, "-m", "fast", "stop")
    begun = time.monotonic()
    for one in earth.instances:
        one.start()
    earth.wait_writes(since=begun)
    settled(earth)
    print(f"  all off, the primary's WAL written anew: whole after {time.monotonic() - begun:.1f} s",
          flush=True)


def promoted_while_it_runs(earth):
    _, one, other = standbys(earth)
    clones = built(one)
    begun = time.monotonic()
    one.ask("SELECT pg_promote(false)")
    members.wait_until("it is ended", lambda: not one.is_writable(), 5)
    print(f"  promoted under its guardian: ended after {time.monotonic() - begun:.2f} s", flush=True)
    if built(one) == clones:
        confirms_nothing(earth, one, other, "promoted under its guardian")
    else:
        settled(earth)


def what_nobody_touched_is_not_rebuilt(earth):
    _, one, other = standbys(earth)
    clones = built(one) + built(other)

    def lone():
        one.end_sidecar(signal.SIGKILL)

    for restart in (lambda: off(one), lambda: world.send([one.postmaster()], signal.SIGKILL), lone):
        before = one.postmaster()
        restart()
        if not one.alive:
            one.start()
        if restart is not lone:
            members.wait_until("it runs again", lambda b=before: one.postmaster() not in (0, b), 20)
        settled(earth)
    off(other)
    by_hand(other, "start")  # as the standby that it is
    by_hand(other, "-m", "fast", "stop")
    other.start()
    settled(earth)
    assert built(one) + built(other) == clones, "a standby that only followed was built anew"


def test_wal_that_was_removed_and_made_anew_is_not_taken_for_what_was_there():
    with world.world() as earth:
        settled(earth)
        newest_segment_removed(earth)
        newest_segment_of_a_primary_removed(earth)
        earth.check()


def test_a_history_that_somebody_else_wrote_confirms_nothing_and_is_built_anew():
    with world.world() as earth:
        settled(earth)
        what_nobody_touched_is_not_rebuilt(earth)
        started_writable(earth)
        promoted_with_a_number_that_is_reserved_later(earth)
        written_and_let_follow_by_hand(earth)
        promoted_while_it_runs(earth)
        primary = earth.primary()
        killed = time.monotonic()
        earth.kill_region(primary)
        earth.wait_writes(since=killed)
        earth.revive()
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_wal_that_was_removed_and_made_anew_is_not_taken_for_what_was_there,
        test_a_history_that_somebody_else_wrote_confirms_nothing_and_is_built_anew,
    ])
