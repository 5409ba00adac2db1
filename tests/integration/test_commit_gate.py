#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The commit gate by itself: one database, its guardian standing still where it would kill, and no
sidecar. What must not be answered is not, whoever asks and however."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gate_server  # noqa: E402
import members  # noqa: E402
import pq  # noqa: E402

REFUSED = "25006"
QUIET_S = 1.0
NOBODY = "indaba_1_2_00000000000000aa"


def refused(server, statement):
    try:
        server.ask(statement)
    except pq.Failed as failed:
        return failed.state == REFUSED
    return False


def test_who_was_made_writable_by_nobody_commits_nothing(server):
    assert server.ask("SELECT current_setting('indaba.gate')") == "in force"
    assert refused(server, "CREATE TABLE rows (id bigint)")
    assert refused(server, "CREATE DATABASE more")
    server.open()
    server.ask("CREATE TABLE rows (id bigint)")
    server.ask("INSERT INTO rows VALUES (1)")
    assert server.ask("SELECT count(*) FROM rows") == "1"


def test_a_promotion_by_hand_is_refused(server):
    for statement in ("SELECT pg_promote()", "SELECT * FROM pg_promote(false)"):
        try:
            server.ask(statement)
            raise AssertionError("it was run")
        except pq.Failed as failed:
            assert "coordinators" in str(failed), failed


def test_settings_of_the_sidecar_are_not_altered(server):
    for name, value in (("synchronous_standby_names", "''"), ("fsync", "off"), ("Port", "1")):
        try:
            server.ask(f"ALTER SYSTEM SET {name} = {value}")
            raise AssertionError("it was set")
        except pq.Failed as failed:
            assert "sidecar alone" in str(failed), failed
    server.ask("ALTER SYSTEM SET work_mem = '8MB'")
    server.ask("ALTER SYSTEM RESET fsync")


def test_a_weaker_level_of_a_session_waits_for_the_members_all_the_same(server):
    server.members(1, 1, 1, NOBODY)
    for level in ("off", "local", "remote_write", "on"):
        with server.connection() as session:
            session.run(f"SET synchronous_commit = {level}")
            session.send("INSERT INTO rows VALUES (2)")
            assert not gate_server.is_over(session, QUIET_S / 2), "it ended"
    for statement in ("NOTIFY news", "PREPARE TRANSACTION 'one'", "CREATE TABLE more (id int)"):
        with server.connection() as session:
            session.run("SET synchronous_commit = off")
            if statement.startswith("PREPARE"):
                session.run("BEGIN; INSERT INTO rows VALUES (3)")
            session.send(statement)
            assert not gate_server.is_over(session, QUIET_S / 2), statement
    members.wait_until("they are gone", lambda: server.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'") == "0")


def test_a_cancelled_wait_is_no_success_whatever_is_logged(server):
    server.set(f"log_min_messages = fatal\nsynchronous_standby_names = '{NOBODY}'")
    members.wait_until("commits wait", lambda: server.ask("SHOW synchronous_standby_names"))
    with server.connection() as session:
        pid = session.run("SELECT pg_backend_pid()")[0][0]
        session.send("INSERT INTO rows VALUES (4)")
        members.wait_until("it waits", lambda: server.ask(
            f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == "SyncRep")
        server.ask(f"SELECT pg_cancel_backend({pid})")
        members.wait_until("it waits for the gate", lambda: server.ask(
            f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == "Extension")
        assert not gate_server.is_over(session, QUIET_S / 2)
        server.ask(f"SELECT pg_cancel_backend({pid})")
        assert gate_server.is_over(session, 5), "the connection has not ended"


def test_who_only_receives_under_a_members_name_confirms_nothing(server):
    folder = os.path.join(server.dir, "received")
    os.mkdir(folder)
    if server.as_user:
        os.chmod(folder, 0o777)
    receiver = subprocess.Popen(
        [*server.as_user, f"{gate_server.BIN}/pg_receivewal", "-h", "127.0.0.1", "-p",
         str(server.port), "-U", "postgres", "-D", folder, "--synchronous"],
        env={**os.environ, "PGAPPNAME": NOBODY}, cwd="/")
    try:
        members.wait_until("it is the synchronous standby", lambda: server.ask(
            "SELECT count(*) FROM pg_stat_replication WHERE sync_priority > 0"
            " AND flush_lsn IS NOT NULL") == "1")
        with server.connection() as session:
            session.send("INSERT INTO rows VALUES (5)")
            assert not gate_server.is_over(session, QUIET_S)
    finally:
        receiver.terminate()
        receiver.wait(10)


def test_a_wait_that_lasts_beyond_the_deadline_ends_without_an_answer(server):
    server.open(seconds=2)
    server.ask("CREATE TABLE rows (id bigint)")
    with server.connection() as waits, server.connection() as slow, server.connection() as held:
        held.run("BEGIN; INSERT INTO rows VALUES (1)")
        held.run("PREPARE TRANSACTION 'one'")
        slow.send("INSERT INTO rows VALUES (2); SELECT pg_sleep(2.2)")
        server.members(1, 1, 1, NOBODY)
        server.freeze_guardian()
        waits.send("INSERT INTO rows VALUES (3)")
        assert gate_server.is_over(waits, 5), "it still waits"
        assert gate_server.is_over(slow, 5), "it still runs"
        for statement in ("INSERT INTO rows VALUES (4)", "COMMIT PREPARED 'one'",
                          "ROLLBACK PREPARED 'one'", "CREATE DATABASE more", "NOTIFY news"):
            with contextlib.suppress(pq.Failed):
                raise AssertionError(f"answered: {statement} {server.ask(statement)}")
        assert server.ask("SELECT count(*) FROM pg_prepared_xacts") == "1", "reads go on"
    assert "is not answered: its lease is over" in server.log()


def test_no_backend_outlives_its_postmaster(server):
    with server.connection() as busy:
        busy.send("SELECT count(*) FROM generate_series(1, 100000000)")
        members.wait_until("it computes", lambda: server.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'") == "2")
        server.guardian.kill()
        members.wait_until("nobody is left", lambda: not server.processes(), 2)
        assert gate_server.is_over(busy, 1)


class Client(threading.Thread):
    """Writes, one message after the other, until its connection ends."""

    def __init__(self, server, *messages):
        super().__init__(daemon=True)
        self.session, self.messages, self.answers = server.connection(), messages, []

    def run(self):
        with contextlib.suppress(pq.Failed, pq.Silent):
            while True:
                for message in self.messages:
                    self.session.run(message, 20)
                    self.answers.append(time.monotonic())


def test_what_was_frozen_sends_no_answer_when_it_thaws(server):
    write = "SELECT pg_logical_emit_message(true, 'gate', 'row')"
    clients = [Client(server, write) for _ in range(16)] + [
        Client(server, f"{write}; {write}; NOTIFY news"),
        Client(server, f"BEGIN; {write}; COMMIT"), Client(server, "NOTIFY news"),
        Client(server, f"BEGIN; {write}; PREPARE TRANSACTION 'a'", "COMMIT PREPARED 'a'")]
    server.open(seconds=3)
    late = thaw(server, clients)
    assert late == 0, f"{late} commits were answered after the thaw"
    assert sum(len(one.answers) for one in clients) > len(clients)


def thaw(server, clients):
    """Freezes all of it under load until its lease is over, lets all but the guardian go on, and
    counts what is answered then."""
    for one in clients:
        one.start()
    members.wait_until("they write", lambda: all(one.answers for one in clients))
    server.freeze_guardian()
    while (frozen := server.processes()) != server.processes():
        pass
    gate_server.world.send(frozen, signal.SIGSTOP)
    time.sleep(max(0, server.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)) + 0.1)
    thawed = time.monotonic()
    gate_server.world.send(server.processes(), signal.SIGCONT)
    for one in clients:
        one.join(10)
        assert not one.is_alive(), "its connection has not ended"
    return sum(moment > thawed for one in clients for moment in one.answers)


def main():
    with gate_server.server() as server:
        test_who_was_made_writable_by_nobody_commits_nothing(server)
        test_a_promotion_by_hand_is_refused(server)
        test_settings_of_the_sidecar_are_not_altered(server)
        test_a_weaker_level_of_a_session_waits_for_the_members_all_the_same(server)
        test_a_cancelled_wait_is_no_success_whatever_is_logged(server)
        test_who_only_receives_under_a_members_name_confirms_nothing(server)
    with gate_server.server() as server:
        test_a_wait_that_lasts_beyond_the_deadline_ends_without_an_answer(server)
        test_no_backend_outlives_its_postmaster(server)
    with gate_server.server() as server:
        test_what_was_frozen_sends_no_answer_when_it_thaws(server)


if __name__ == "__main__":
    main()
