#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Slots of standbys that somebody dropped, and WAL that is gone with them: slots are made again, and
where nobody of the record can follow any more, a healthy primary does not stay alone for good."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402


def write_much(instance):
    """Some segments, which no standby is waited for, and none of which are kept: whoever drops slots
    does it again."""
    for _ in range(3):
        instance.ask("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT"
                     " active AND slot_name LIKE 'indaba%'")
        with pq.Connection(instance.port, 20) as connection:
            connection.run("SET synchronous_commit = local")
            connection.run("INSERT INTO much SELECT repeat(md5(i::text), 30) FROM"
                           " generate_series(1, 20000) i", 20)
            connection.run("SELECT pg_switch_wal()")
            connection.run("CHECKPOINT", 20)


def test_a_slot_that_was_dropped_is_made_again(earth):
    primary = earth.primary()
    one = next(one for one in earth.instances if one is not primary)
    slot = "indaba_" + one.ask("SHOW cluster_name").rpartition("-")[2]
    dropped = (f"SELECT pg_terminate_backend(active_pid), pg_drop_replication_slot('{slot}')"
               f" FROM pg_replication_slots WHERE slot_name = '{slot}' AND NOT active")
    world.send([one.postmaster()], signal.SIGSTOP)
    try:
        primary.ask("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE"
                    f" slot_name = '{slot}'")
        members.wait_until("the slot is dropped", lambda: primary.ask(dropped) is not None)
        members.wait_until("it is there again", lambda: primary.ask(
            f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}'") == "1")
    finally:
        world.send([one.postmaster()], signal.SIGCONT)
    earth.wait_whole()


def test_standbys_that_all_lack_the_next_wal_are_built_anew_beside_their_primary(earth):
    primary = earth.primary()
    others = [one for one in earth.instances if one is not primary]
    primary.ask("CREATE TABLE much (text text)")
    primary.ask("ALTER SYSTEM SET wal_keep_size = 0")
    primary.ask("SELECT pg_reload_conf()")
    for one in others:
        one.ask("ALTER SYSTEM SET log_error_verbosity = verbose")
        one.kill()
    write_much(primary)
    began = time.monotonic()
    for one in others:
        one.start()
    earth.wait_writes(since=began, timeout_s=60)
    print(f"  no WAL left for any standby: writes after {time.monotonic() - began:.1f} s",
          flush=True)
    earth.wait_whole()


def stranger_of(earth, primary, *options):
    """Somebody else who has the password, and receives WAL."""
    kept = os.path.join(earth.dir, "stranger")
    os.makedirs(kept, exist_ok=True)
    return subprocess.Popen(
        ["/usr/lib/postgresql/15/bin/pg_receivewal", "-D", kept, "--synchronous", "--no-loop",
         "-d", f"host={primary.host} port={primary.port} user=indaba_replication"
               f" password={world.PASSWORD} {options[0]}", *options[1:]],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stream_as(earth, primary, name):
    """It must be ended soon."""
    stranger = stranger_of(earth, primary, f"application_name={name}")
    try:
        stranger.wait(10)
    except subprocess.TimeoutExpired as never:
        raise AssertionError(f"somebody else streams as {name}") from never
    finally:
        stranger.kill()
        stranger.wait()


def test_who_streams_under_the_name_of_a_standby_is_ended_and_told(earth):
    primary = earth.primary()
    name = primary.ask("SELECT min(application_name) FROM pg_stat_replication WHERE"
                       " application_name LIKE 'indaba\\_%'")
    for spelling in (name, name.upper()):  # both match synchronous_standby_names
        stream_as(earth, primary, spelling)
    members.wait_until("it is told", lambda: any(
        "under the name of a standby" in one["concern"] for one in earth.shard()["instances"]))
    members.wait_until("it is on record", lambda: "sync.mended" in earth.client(
        "ledger", "tail", "--count", "50")[1], 20)
    frozen = [pid for one in earth.instances if one is not primary for pid in one.receivers()]
    world.send(frozen, signal.SIGSTOP)
    try:
        time.sleep(0.3)  # what was confirmed before is answered
        before = len(earth.writers.acked())
        time.sleep(1)
        assert len(earth.writers.acked()) == before, "acknowledged though no standby can confirm"
    finally:
        world.send(frozen, signal.SIGCONT)
    earth.wait_whole()


def lie(instance, until):
    """Somebody with no rights has the log of a standby say what its receiver would, as its own name."""
    lies = ("DO $$BEGIN RAISE 'requested WAL segment 000000010000000000000002 has already been"
            " removed'; END$$")
    while not until.is_set():
        with contextlib.suppress(pq.Failed, pq.Silent):
            with pq.Connection(instance.port, 5, "user=reader application_name='FATAL:  could not"
                               " receive data from WAL stream:'") as connection:
                while not until.wait(0.02):
                    with contextlib.suppress(pq.Failed):
                        connection.run(lies, 5)


def test_no_words_of_a_client_have_a_standby_built_anew(earth):
    primary = earth.primary()
    primary.ask("CREATE ROLE reader LOGIN")
    one = next(one for one in earth.instances if one is not primary)
    slot = "indaba_" + one.ask("SHOW cluster_name").rpartition("-")[2]
    pid = f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'"
    frozen = one.receivers()
    world.send(frozen, signal.SIGSTOP)
    primary.ask(pid.replace("active_pid", "pg_terminate_backend(active_pid)"))
    members.wait_until("its slot is free", lambda: not primary.ask(pid))
    stranger = stranger_of(earth, primary, "application_name=stranger", "--slot", slot)
    told = threading.Event()
    liar = threading.Thread(target=lie, args=(one, told), daemon=True)
    try:
        members.wait_until("its slot is taken", lambda: primary.ask(pid))
        world.send(frozen, signal.SIGCONT)
        liar.start()
        members.wait_until("it leaves the record", lambda: any(
            shown["name"] == one.name and not shown["in_sync_set"]
            for shown in (earth.shard() or {"instances": []})["instances"]), 40)
        until = time.monotonic() + 4  # looks come meanwhile, and find the lie
        while time.monotonic() < until:
            with open(one.log, encoding="utf-8") as file:
                assert "action=rebuild" not in file.read(), "thrown away on the word of a client"
            time.sleep(0.1)
    finally:
        world.send(frozen, signal.SIGCONT)
        told.set()
        stranger.kill()
        stranger.wait()
    liar.join(20)
    with open(os.path.join(one.dir, "log", "postgres.log"), encoding="utf-8") as file:
        assert "WAL stream: ERROR:  requested WAL segment" in file.read(), "the lie is in the log"
    earth.wait_whole()


world_tests = world.sharing(
    test_no_words_of_a_client_have_a_standby_built_anew,
    test_who_streams_under_the_name_of_a_standby_is_ended_and_told,
    test_a_slot_that_was_dropped_is_made_again,
    test_standbys_that_all_lack_the_next_wal_are_built_anew_beside_their_primary,
)

if __name__ == "__main__":
    members.run_tests(world_tests)
