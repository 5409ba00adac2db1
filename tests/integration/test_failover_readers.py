#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Readers of a standby hold no failover up: neither a lock that replay waits for, nor an endless
wait that the settings allow them, nor replay paused by hand, nor a process that does not end. What
came of a planned move is on record."""
import contextlib
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

SOON_S = 8.0  # twice what it takes on a busy machine without a reader


@contextlib.contextmanager
def readers(earth, old):
    """On every standby a reader in a transaction, with a lock that replay now waits for; replay of
    the last one is paused by hand besides."""
    standbys = [one for one in earth.instances if one is not old]
    with contextlib.ExitStack() as stack:
        for one in standbys:
            reader = stack.enter_context(pq.Connection(one.port, 5, "options='-c statement_timeout=0'"))
            reader.run("SET application_name TO indaba_sidecar")  # whatever it calls itself
            reader.run("BEGIN; SELECT count(*) FROM locked")
        old.ask("ALTER TABLE locked ADD COLUMN IF NOT EXISTS more int")
        old.ask("ALTER TABLE locked DROP COLUMN more")
        for one in standbys:
            members.wait_until("replay waits for the reader", lambda one=one: one.ask(
                "SELECT wait_event_type FROM pg_stat_activity WHERE backend_type = 'startup'")
                in ("Lock", "IPC"), 20)
        standbys[-1].ask("SELECT pg_wal_replay_pause()")
        yield standbys


def acknowledged_s(earth, old, since):
    members.wait_until("another instance acknowledges", lambda: any(
        earth.writers.last_sent(one.name) > since for one in earth.instances if one is not old), 90)
    return time.monotonic() - since


def test_readers_of_standbys_hold_no_failover_up():
    with world.world() as earth:
        for one in earth.instances:
            one.ask("ALTER SYSTEM SET max_standby_streaming_delay = -1")
            one.ask("SELECT pg_reload_conf()")
        earth.primary().ask("CREATE TABLE locked (id int)")
        kill_moves(earth)
        planned_move_moves(earth)  # an operator is not held back by the failover before
        frozen_reader_costs_a_restart(earth)
        earth.wait_whole()
        earth.check()


def planned_move_moves(earth):
    old = earth.primary()
    with readers(earth, old) as standbys:
        asked = time.monotonic()
        to = standbys[-1].name
        code, out, err = earth.client("failover", "start", "main", "--to", to, "--yes", "--wait",
                                      "--timeout", "25000", check=False)
        took = time.monotonic() - asked
        print(f"  planned: {took:.2f} s, exit {code}", flush=True)
        assert code == 0 and took < SOON_S, (code, took, out, err)
        assert earth.primary().name == to, earth.failovers()[0]
        assert earth.failovers()[0]["cause"] == "operator", earth.failovers()[0]
    earth.wait_writes(to)
    earth.wait_whole()
    for one in earth.instances:  # the doors are open again
        assert one.ask("SELECT 1") == "1"


def kill_moves(earth):
    old = earth.primary()
    stop = threading.Event()
    with readers(earth, old) as standbys:
        knocking = [threading.Thread(target=knock, args=(one, stop)) for one in standbys]
        for one in knocking:
            one.start()
        try:
            killed = time.monotonic()
            earth.kill_region(old)
            took = acknowledged_s(earth, old, killed)
        finally:
            stop.set()
            for one in knocking:
                one.join()
    print(f"  killed: writes elsewhere after {took:.2f} s", flush=True)
    assert took < SOON_S, took
    earth.revive()


def knock(instance, stop):
    """Readers come in again as soon as they are ended."""
    while not stop.is_set():
        with contextlib.suppress(pq.Failed, pq.Silent), pq.Connection(instance.port, 1) as one:
            one.run("BEGIN; SELECT count(*) FROM locked")
            while not stop.is_set():
                one.run("SELECT 1")
                time.sleep(0.01)
        time.sleep(0.01)


def log_of(instance):
    with open(instance.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def frozen_reader_costs_a_restart(earth):
    """A backend that takes no signal is no reason to wait."""
    old = earth.primary()
    with contextlib.ExitStack() as stack:
        frozen = []
        for one in earth.instances:
            if one is not old:
                reader = stack.enter_context(pq.Connection(one.port, 5))
                frozen.append(int(reader.run("SELECT pg_backend_pid()")[0][0]))
        world.send(frozen, signal.SIGSTOP)
        asked = time.monotonic()
        code, out, err = earth.client("failover", "start", "main", "--yes", "--wait",
                                      "--timeout", "25000", check=False)
        took = time.monotonic() - asked
        world.send(frozen, signal.SIGCONT)
    print(f"  with a frozen reader: {took:.2f} s, exit {code}", flush=True)
    assert code == 0 and earth.primary() is not old, (code, out, err, earth.failovers()[0])
    assert any("event=cut.stops" in log_of(one) for one in earth.instances), "nobody was stopped"


if __name__ == "__main__":
    members.run_tests([test_readers_of_standbys_hold_no_failover_up])
