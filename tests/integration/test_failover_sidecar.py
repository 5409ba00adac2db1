#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What dies or stands still beside a living database: its sidecar, its guardian, its postmaster. Each
instance has a client that writes to it directly, past everything that could route it elsewhere; that
client is the judge of what was acknowledged when."""
import concurrent.futures
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402
import writers  # noqa: E402

LEASE_S = 3.0
FROZEN_S = 60.0
BUSY_S = 5.0      # a transaction that outlives its postmaster, if nobody ends it
STEADY_S = 6.0    # two leases: a lease that was not kept would have ended
ROW = 5 * 10 ** 12


def sleep_until(when):
    while time.monotonic() < when:
        time.sleep(0.05)


def newest(earth):
    return earth.failovers()[0]["id"]


def sidecar_stands_still(mode):
    with world.world(mode=mode) as earth:
        old = earth.primary()
        stopped = time.monotonic()
        os.kill(old.process.pid, signal.SIGSTOP)
        try:
            members.wait_until("another primary acknowledges",
                               lambda: any(earth.writers.last_sent(one.name) > stopped
                                           for one in earth.instances if one is not old), 40)
            taken_over = time.monotonic() - stopped
            earth.writers.set_pause(writers.CALM_S, but=old.name)
            sleep_until(stopped + FROZEN_S)
        finally:
            earth.writers.set_pause(writers.PAUSE_S)
            os.kill(old.process.pid, signal.SIGCONT)
        # The last renewal was sent before the stop, so the lease ended at `stopped` + L at the latest.
        late = [row for row in earth.writers.acked(old.name) if row.acked > stopped + LEASE_S]
        assert not late, f"acknowledged after the end of the lease: {late}"
        assert earth.primary() is not old
        print(f"  {mode}: another primary acknowledged after {taken_over:.2f} s", flush=True)
        earth.wait_whole()
        missing = earth.check()
        assert all(row.instance == old.name for row in missing), missing


def test_a_stopped_sidecar_ends_its_databases_acknowledgements_with_the_lease():
    # Both modes at once: most of the time nothing happens.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(sidecar_stands_still, ("sync", "async")))


def test_a_restart_of_the_sidecar_leaves_database_guardian_and_lease_alone(earth):
    primary = earth.primary()
    for number in (signal.SIGTERM, signal.SIGKILL):
        guardian, postmaster = primary.guardian(), primary.postmaster()
        before = newest(earth)
        assert guardian and postmaster
        with pq.Connection(primary.port, 5) as session:
            ended = time.monotonic()
            primary.end_sidecar(number)
            primary.start()
            sleep_until(ended + STEADY_S)
            session.run("SELECT 1")
        assert primary.guardian() == guardian, "the guardian is another one"
        assert primary.postmaster() == postmaster, "the database was restarted"
        assert newest(earth) == before, earth.failovers()[0]
        gap = earth.writers.gap_s(ended)
        assert gap < LEASE_S, f"no row was acknowledged for {gap:.2f} s"
        earth.wait_writes(primary.name)
    earth.wait_whole()


def test_a_busy_backend_acknowledges_nothing_after_its_postmaster_was_killed(earth):
    primary = earth.primary()
    with pq.Connection(primary.port, 5) as busy:
        busy.run("SET application_name TO busy")
        busy.send(f"BEGIN; INSERT INTO rows VALUES ({ROW}); SELECT pg_sleep({BUSY_S}); COMMIT")
        members.wait_until("the backend is busy", lambda: primary.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busy' "
            "AND wait_event = 'PgSleep'") == "1")
        killed = time.monotonic()
        os.kill(primary.postmaster(), signal.SIGKILL)
        try:
            busy.end(2 * BUSY_S)
        except pq.Failed:
            pass
        else:
            raise AssertionError("the orphaned backend acknowledged its transaction")
    dead = time.monotonic()
    ended = dead - killed
    assert ended < BUSY_S, f"the orphaned backend lived for {ended:.2f} s"
    # Not one that another orphan acknowledged before it was killed.
    earth.wait_writes(since=dead)
    members.wait_until("the primary answers", lambda: earth.primary().is_writable())
    print(f"  backend ended after {ended:.2f} s, writes again after "
          f"{earth.writers.gap_s(killed):.2f} s", flush=True)
    assert earth.primary().ask(f"SELECT count(*) FROM rows WHERE id = {ROW}") == "0"
    earth.wait_whole()


def test_a_killed_guardian_is_replaced_and_its_database_fenced_before(earth):
    primary = earth.primary()
    guardian, postmaster = primary.guardian(), primary.postmaster()
    before = newest(earth)
    killed = time.monotonic()
    os.kill(guardian, signal.SIGKILL)
    members.wait_until("a new office with a new epoch", lambda: newest(earth) > before, 30)
    earth.wait_writes()
    print(f"  writes again after {earth.writers.gap_s(killed):.2f} s", flush=True)
    assert postmaster not in world.processes_of(primary.dir), "the database outlived it"
    earth.wait_whole()
    assert primary.guardian() not in (0, guardian)


if __name__ == "__main__":
    members.run_tests([
        test_a_stopped_sidecar_ends_its_databases_acknowledgements_with_the_lease,
        *world.sharing(
            test_a_restart_of_the_sidecar_leaves_database_guardian_and_lease_alone,
            test_a_busy_backend_acknowledges_nothing_after_its_postmaster_was_killed,
            test_a_killed_guardian_is_replaced_and_its_database_fenced_before),
    ])
