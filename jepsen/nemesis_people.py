# SPDX-License-Identifier: Apache-2.0
"""People as nemeses: the superuser of the database, and the operator with an editor. What they do is
not undone by them, unless `end` says so: the world has to live with it."""
import contextlib
import os
import shutil
import signal
import subprocess

import hosts  # noqa: F401  (where the modules below are)
import members
import pq
import world
from nemesis import AT_ONCE, HEALED, Nemesis, anybody, primary, standby

PEOPLE = "people"
# What is ours to set, and what is not, with values that somebody might think of.
MANAGED = [("synchronous_standby_names", "''"), ("synchronous_commit", "'local'"), ("fsync", "off"),
           ("full_page_writes", "off"), ("primary_conninfo", "''"), ("hot_standby", "off"),
           ("wal_level", "'minimal'"), ("max_wal_senders", "0"), ("archive_mode", "on"),
           ("wal_sender_timeout", "0"), ("wal_receiver_status_interval", "0"),
           ("recovery_target_timeline", "'current'"), ("listen_addresses", "'127.0.0.1'"),
           ("port", "1"), ("hba_file", "'/nowhere'"), ("cluster_name", "'mine'"),
           ("max_standby_streaming_delay", "-1"), ("recovery_min_apply_delay", "'1h'")]
FOREIGN = [("work_mem", "'1MB'"), ("max_connections", "300"), ("shared_buffers", "'32MB'"),
           ("statement_timeout", "'10s'"), ("default_transaction_read_only", "on")]


def try_to(instance, statement, timeout_s=5.0):
    """A person shrugs when it fails."""
    with contextlib.suppress(pq.Failed, pq.Silent):
        return pq.ask(instance.port, statement, timeout_s, instance.host)
    return None


class AlterManaged(Nemesis):
    """ALTER SYSTEM of something that safety rests on, and a reload."""

    name, family, survives = "alter-system", PEOPLE, HEALED
    settings = MANAGED

    def begin(self):
        self.one = anybody(self.earth, self.dice)
        self.setting, value = self.dice.choice(self.settings)
        try_to(self.one, f"ALTER SYSTEM SET {self.setting} = {value}")
        try_to(self.one, "SELECT pg_reload_conf()")
        return f"{self.setting} = {value} on {self.one.name}"

    def end(self):
        """Only what is nobody's but theirs."""
        if self.settings is FOREIGN:
            try_to(self.one, f"SET default_transaction_read_only = off; "
                             f"ALTER SYSTEM RESET {self.setting}")
            try_to(self.one, "SELECT pg_reload_conf()")


class AlterForeign(AlterManaged):
    name, settings = "alter-system-foreign", FOREIGN


class PromoteByHand(Nemesis):
    """pg_promote() on a standby, as in the old days."""

    name, family, survives = "pg-promote", PEOPLE, HEALED

    def begin(self):
        one = standby(self.earth, self.dice)
        try_to(one, "SELECT pg_promote(false)")
        return one.name


class TerminateSessions(Nemesis):
    """Every session but the own one is ended: ours, the clients', the standbys'."""

    name, family = "terminate-sessions", PEOPLE

    def begin(self):
        one = anybody(self.earth, self.dice)
        for _ in range(self.dice.randrange(1, 6)):
            try_to(one, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE pid <> pg_backend_pid()")
        return one.name


class CancelWaits(Nemesis):
    """Commits that wait for a standby are cancelled: they come back with a warning."""

    name, family = "cancel-waits", PEOPLE

    def begin(self):
        one = primary(self.earth, self.dice)
        for _ in range(self.dice.randrange(1, 20)):
            try_to(one, "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity "
                        "WHERE wait_event = 'SyncRep'")
        return one.name


class LongLock(Nemesis):
    """A transaction on the primary locks the tables and stays."""

    name, family, survives = "long-lock", PEOPLE, HEALED

    def __init__(self, earth, seed):
        super().__init__(earth, seed)
        self.connection = None

    def begin(self):
        one = primary(self.earth, self.dice)
        with contextlib.suppress(pq.Failed, pq.Silent):
            self.connection = pq.Connection(one.port, 2, host=one.host)
            tables = self.connection.run(
                "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'")
            self.connection.run(f"BEGIN; LOCK TABLE {tables[0][0]} IN ACCESS EXCLUSIVE MODE")
        return one.name

    def end(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class OpenReader(LongLock):
    """A reader on a standby that stays, and the primary drops what it looked at."""

    name, survives = "open-reader", AT_ONCE

    def begin(self):
        one = standby(self.earth, self.dice)
        with contextlib.suppress(pq.Failed, pq.Silent):
            self.connection = pq.Connection(one.port, 2, host=one.host)
            self.connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ; "
                                "SELECT count(*) FROM pg_class")
        try_to(primary(self.earth, self.dice), "VACUUM FULL pg_class")
        return one.name


class LeftBehind(Nemesis):
    """A two-phase commit that nobody ends."""

    name, family = "two-phase", PEOPLE

    def begin(self):
        one = primary(self.earth, self.dice)
        number = self.dice.randrange(10 ** 9)
        try_to(one, "ALTER SYSTEM SET max_prepared_transactions = 5")
        try_to(one, f"BEGIN; CREATE TABLE left_{number} (id int); "
                    f"PREPARE TRANSACTION 'left {number}'")
        return one.name


class DropThings(Nemesis):
    """Roles and slots that are ours are dropped."""

    name, family, survives = "drop-things", PEOPLE, HEALED

    def begin(self):
        one = primary(self.earth, self.dice)
        what = self.dice.choice([
            "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots",
            "DO $$ DECLARE r text; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolreplication "
            "AND rolname <> 'postgres' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$"])
        try_to(one, what)
        return f"{one.name}: {what.split()[0]} …"


# --- the operator -----------------------------------------------------------------------------------


class StopByHand(Nemesis):
    """pg_ctl stop, of whatever runs there."""

    name, family = "stop-by-hand", PEOPLE

    def begin(self):
        one, pid = anybody(self.earth, self.dice), 0
        how = self.dice.choice([signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
        pid = one.postmaster()
        if pid:
            world.send([pid], how)
        return f"{one.name}, signal {int(how)}"


class EditedFile(Nemesis):
    """A file below the data folder is emptied, filled with nonsense, or deleted."""

    name, family, survives = "edited-file", PEOPLE, HEALED
    FILES = ["postgresql.auto.conf", "postgresql.conf", "pg_hba.conf", "postmaster.pid",
             "standby.signal", "pg_ident.conf"]

    def begin(self):
        one = anybody(self.earth, self.dice)
        path = os.path.join(one.dir, "pgdata", self.dice.choice(self.FILES))
        how = self.dice.choice(["empty", "nonsense", "delete"])
        with contextlib.suppress(OSError):
            if how == "delete":
                os.unlink(path)
            else:
                with open(path, "r+" if how == "nonsense" else "w", encoding="latin-1") as file:
                    file.write("" if how == "empty" else "what is this\n")
        try_to(one, "SELECT pg_reload_conf()")
        return f"{how} {os.path.basename(path)} of {one.name}"


class OlderFolder(Nemesis):
    """An instance is stopped, copied, runs on, and later finds the copy in its folder's place; its
    state folder with it, or not."""

    name, family, hold_s = "older-folder", PEOPLE, (3.0, 6.0)

    def begin(self):
        self.one = standby(self.earth, self.dice)
        self.whole = self.dice.random() < 0.5
        self.kept = self.one.dir + ".kept"
        self.one.kill()
        shutil.rmtree(self.kept, ignore_errors=True)
        subprocess.run(["cp", "-a", self.one.dir, self.kept], check=True, timeout=120)
        self.one.start()
        return f"{self.one.name}, {'all of it' if self.whole else 'pgdata alone'}"

    def end(self):
        if not os.path.exists(self.kept):
            return
        self.one.kill()
        part = "" if self.whole else "pgdata"
        shutil.rmtree(os.path.join(self.one.dir, part))
        os.rename(os.path.join(self.kept, part), os.path.join(self.one.dir, part))
        shutil.rmtree(self.kept, ignore_errors=True)
        self.one.start()


class WipedFolder(Nemesis):
    """A standby's data folder is deleted while it is down."""

    name, family = "wiped-folder", PEOPLE

    def begin(self):
        one = standby(self.earth, self.dice)
        one.kill()
        shutil.rmtree(os.path.join(one.dir, "pgdata"))
        one.start()
        return one.name


class TwoSidecars(Nemesis):
    """A second sidecar on the same folder."""

    name, family = "two-sidecars", PEOPLE

    def begin(self):
        one = anybody(self.earth, self.dice)
        with open(one.log, "ab") as log:
            self.process = subprocess.Popen(
                [*one.launcher, members.INDABA, "sidecar", "--config", one.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return one.name

    def end(self):
        self.process.kill()
        self.process.wait(20)


class Switchover(Nemesis):
    """A planned move, to whoever is drawn."""

    name, family = "switchover", PEOPLE

    def begin(self):
        one = self.dice.choice(self.earth.instances)
        code, _, _ = self.earth.client("failover", "start", "main", "--to", one.name, "--yes",
                                       check=False)
        return f"to {one.name}: exit code {code}"


class FrozenShard(Nemesis):
    """Frozen and forgotten for a while, and a database dies meanwhile."""

    name, family, survives = "freeze-shard", PEOPLE, HEALED

    def begin(self):
        one = anybody(self.earth, self.dice)
        self.earth.client("shard", "freeze", "main", check=False)
        one.kill()
        return one.name

    def end(self):
        self.earth.start_dead()
        self.earth.client("shard", "thaw", "main", check=False)


ALL = [AlterManaged, AlterForeign, PromoteByHand, TerminateSessions, CancelWaits, LongLock, OpenReader,
       LeftBehind, DropThings, StopByHand, EditedFile, OlderFolder, WipedFolder, TwoSidecars, Switchover,
       FrozenShard]
