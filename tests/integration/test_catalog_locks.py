#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody locks the catalogs that every login reads: nobody comes in any more, neither to the primary
nor, since the lock is replayed, to its standbys. The database lives and is left alone, `status` names
who holds the lock, and a session that holds it for long is ended."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

LOCK = "LOCK {} IN ACCESS EXCLUSIVE MODE"
OF_LOGINS = "pg_authid, pg_database"
MANY = OF_LOGINS + ", pg_auth_members, pg_db_role_setting, pg_class, pg_attribute, pg_proc, pg_type"
SOON_S = 30.0
LONGER_THAN_A_HANG_S = 9.0


def concern(earth, instance):
    return next((one.get("concern", "") for one in (earth.shard() or {"instances": []})["instances"]
                 if one["name"] == instance.name), "")


def wait_told(earth, instance, words):
    members.wait_until(f"{instance.name} says: {words}", lambda: words in concern(earth, instance),
                       SOON_S)


def newest_failover(earth):
    """Its number alone: what else is told of it may still change, it is confirmed only later."""
    return earth.failovers()[0]["id"]


def ended(session):
    try:
        session.run("SELECT 1")
    except pq.Failed:
        return True
    return False


def lets_in(instance):
    try:
        return instance.ask("SELECT 1") == "1"
    except (pq.Failed, pq.Silent):
        return False


def standbys(earth):
    primary = earth.primary()
    return [one for one in earth.instances if one is not primary]


def test_a_session_that_locks_everybody_out_is_ended_and_the_primary_stays(earth):
    primary = earth.primary()
    before = newest_failover(earth)
    with pq.Connection(primary.port, 5) as session:
        session.run("BEGIN")
        pid = session.run("SELECT pg_backend_pid()")[0][0]
        session.run(LOCK.format(OF_LOGINS))
        wait_told(earth, primary, f"nobody can log in: process {pid} has locked pg_authid")
        members.wait_until("it is ended", lambda: ended(session), SOON_S)
    earth.wait_writes(primary.name)
    members.wait_until("people come in again", lambda: lets_in(primary), SOON_S)
    members.wait_until("and it is told no more", lambda: not concern(earth, primary), SOON_S)
    members.wait_until("all goes on", earth.is_whole, SOON_S)
    assert newest_failover(earth) == before, "a primary that lived was taken from office"


def test_who_waits_for_a_lock_ahead_of_all_others_is_ended(earth):
    """The reader may stay: only the one behind it, whom every login waits for, is in the way."""
    primary = earth.primary()
    before = newest_failover(earth)
    with pq.Connection(primary.port, 5) as reader, pq.Connection(primary.port, 5) as waiting:
        reader.run("BEGIN")
        reader.run("SELECT count(*) FROM pg_authid, pg_database")
        waiting.run("BEGIN")
        waiting.send(LOCK.format("pg_authid"))
        members.wait_until("nobody comes in", lambda: not lets_in(primary), SOON_S)
        members.wait_until("people come in again", lambda: lets_in(primary), SOON_S)
        assert reader.run("SELECT 1") == [["1"]], "the reader was ended, too"
    assert newest_failover(earth) == before, "a primary that lived was taken from office"


def allow_prepared_transactions(earth):
    for one in standbys(earth) + [earth.primary()]:
        one.ask("ALTER SYSTEM SET max_prepared_transactions = 4")
        world.send([one.postmaster()], signal.SIGKILL)
        members.wait_until("it has them", lambda one=one: lets_in(one) and one.ask(
            "SHOW max_prepared_transactions") == "4", SOON_S)
        earth.wait_whole()


def test_a_prepared_transaction_that_locks_everybody_out_is_told_and_kept(earth):
    allow_prepared_transactions(earth)
    primary = earth.primary()
    before = newest_failover(earth)
    with pq.Connection(primary.port, 5) as session:
        session.run("BEGIN")
        session.run(LOCK.format(MANY))
        session.run("PREPARE TRANSACTION 'of somebody else'")
        locked = time.monotonic()
        wait_told(earth, primary, "prepared transaction 'of somebody else' has locked pg_authid")
        assert "of somebody else" in earth.client("status")[1]
        for one in standbys(earth):
            wait_told(earth, one, "nobody can log in: a transaction of its primary")
        # Who was connected goes on, and standbys go on confirming.
        earth.wait_writes(primary.name, since=locked + LONGER_THAN_A_HANG_S)
        assert not lets_in(primary)
        session.run("ROLLBACK PREPARED 'of somebody else'")
    members.wait_until("people come in again", lambda: lets_in(primary), SOON_S)
    members.wait_until("all goes on", earth.is_whole, SOON_S)
    assert newest_failover(earth) == before, "a primary that lived was taken from office"


world_tests = world.sharing(
    test_a_session_that_locks_everybody_out_is_ended_and_the_primary_stays,
    test_who_waits_for_a_lock_ahead_of_all_others_is_ended,
    test_a_prepared_transaction_that_locks_everybody_out_is_told_and_kept,
)

if __name__ == "__main__":
    members.run_tests(world_tests)
