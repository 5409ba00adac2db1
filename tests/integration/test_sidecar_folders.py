#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Data folders that are not as the sidecar left them: another database's, wiped under a running
standby, a mount point, one whose WAL is gone at the primary. Nobody's data is put aside unasked, and
what can be built is built."""
import contextlib
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

BIN = "/usr/lib/postgresql/15/bin"
FOLLOWS_S = 60.0
LABEL = """START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
CHECKPOINT LOCATION: 0/2000060
BACKUP METHOD: streamed
BACKUP FROM: primary
START TIME: 2026-01-01 00:00:00 UTC
LABEL: somebody's
START TIMELINE: 1
"""


class Fourth(world.Instance):
    """A second instance in the first region."""

    def __init__(self, earth):
        super().__init__(earth, 0)
        self.name = "pg4"
        self.dir = os.path.join(earth.dir, self.name)
        self.config = os.path.join(earth.dir, self.name + ".yaml")
        self.log = os.path.join(earth.dir, self.name + ".log")


def data(instance, *names):
    return os.path.join(instance.dir, "pgdata", *names)


def as_database(command):
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid", world.database_user(), "--regid", world.database_user(),
                   "--clear-groups"] + command
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")


def make_foreign(path):
    """Somebody's database at this path; its identifier."""
    os.makedirs(path)
    if os.geteuid() == 0:
        shutil.chown(path, world.database_user(), world.database_user())
    as_database([f"{BIN}/initdb", "-D", path, "-A", "trust", "--no-sync"])
    return identifier(path)


def identifier(path):
    shown = subprocess.run([f"{BIN}/pg_controldata", "-D", path], check=True, capture_output=True,
                           text=True).stdout
    return next(line.split()[-1] for line in shown.splitlines() if "system identifier" in line)


def stranded(instance):
    return os.listdir(os.path.join(instance.dir, "stranded"))


def shown(earth, instance):
    for one in (earth.shard() or {"instances": []})["instances"]:
        if one["name"] == instance.name:
            return one["detail"]
    return ""


def streams(earth, instance, lsn="0/0"):
    """It is in the sync set, and has the primary's WAL up to there."""
    with contextlib.suppress(pq.Failed, pq.Silent, AssertionError, StopIteration):
        one = next(one for one in earth.shard()["instances"] if one["name"] == instance.name)
        return one["connected"] and one["state"] == "standby" and one["in_sync_set"] and \
            instance.ask(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'") == "t"
    return False


def wait_streams(earth, instance):
    lsn = earth.primary().ask("SELECT pg_current_wal_flush_lsn()")
    members.wait_until(f"{instance.name} streams", lambda: streams(earth, instance, lsn), FOLLOWS_S)


def standbys(earth):
    primary = earth.primary()
    return [one for one in earth.instances if one is not primary]


def test_folders_that_are_not_as_they_were_left():
    with world.world() as earth:
        a_database_that_is_not_ours_is_refused(earth)
        a_folder_with_another_identifier_is_left_alone(earth)
        a_pipe_for_a_log_or_a_record_holds_no_sidecar_up(earth)
        a_wiped_folder_is_built_again(earth)
        a_label_of_a_backup_holds_no_start_up(earth)
        a_standby_whose_wal_is_gone_is_built_again(earth)
        earth.check()


def a_database_that_is_not_ours_is_refused(earth):
    fourth = Fourth(earth)
    fourth.prepare()
    owner = make_foreign(data(fourth))
    before = sorted(os.listdir(data(fourth)))
    try:
        done = subprocess.run([members.INDABA, "sidecar", "--config", fourth.config],
                              capture_output=True, text=True, timeout=15, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and "this sidecar did not make" in said, (done.returncode, said)
        assert sorted(os.listdir(data(fourth))) == before and identifier(data(fourth)) == owner
    finally:
        fourth.kill()


def a_folder_with_another_identifier_is_left_alone(earth):
    standby = standbys(earth)[0]
    standby.kill()
    os.rename(data(standby), data(standby) + ".kept")
    owner = make_foreign(data(standby))
    before = stranded(standby)
    standby.start()
    members.wait_until("it is said", lambda: "holds another database" in shown(earth, standby), 20)
    assert identifier(data(standby)) == owner and stranded(standby) == before
    standby.kill()
    shutil.rmtree(data(standby))
    os.rename(data(standby) + ".kept", data(standby))
    standby.start()
    wait_streams(earth, standby)


def a_pipe_for_a_log_or_a_record_holds_no_sidecar_up(earth):
    standby = standbys(earth)[0]
    standby.kill()
    logs = [os.path.join(standby.dir, "log", name) for name in ("guardian.log", "postgres.log")]
    for path in logs:
        os.rename(path, path + ".kept")
        os.mkfifo(path)
    begun = time.monotonic()
    standby.start()
    wait_streams(earth, standby)
    print(f"  with pipes for logs it streams after {time.monotonic() - begun:.1f} s", flush=True)
    standby.kill()
    for path in logs:
        if os.path.exists(path):
            os.unlink(path)
        os.rename(path + ".kept", path)
    identity = os.path.join(standby.dir, "state", "identity")
    os.rename(identity, identity + ".kept")
    os.mkfifo(identity)
    standby.start()
    members.wait_until("it ends, for it does not know whose folder that is",
                       lambda: not standby.alive, 15)
    os.rename(identity + ".kept", identity)
    standby.start()
    wait_streams(earth, standby)


def a_wiped_folder_is_built_again(earth):
    standby = standbys(earth)[0]
    for name in os.listdir(data(standby)):
        path = data(standby, name)
        shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.unlink(path)
    members.wait_until("it is noticed", lambda: not streams(earth, standby), 30)
    begun = time.monotonic()
    wait_streams(earth, standby)
    print(f"  a wiped folder was built again in {time.monotonic() - begun:.1f} s", flush=True)


def a_label_of_a_backup_holds_no_start_up(earth):
    """Somebody restored the wrong file. PostgreSQL would wait for the end of that backup for ever."""
    for one in (standbys(earth)[0], earth.primary()):
        one.kill()
        path = data(one, "backup_label")
        with open(path, "w", encoding="utf-8") as file:
            file.write(LABEL)
        shutil.chown(path, world.database_user(), world.database_user())
        begun = time.monotonic()
        one.start()
        earth.wait_writes(since=begun)
        wait_streams(earth, one)
        print(f"  with a label it streams after {time.monotonic() - begun:.1f} s", flush=True)
        assert not os.path.exists(path)


def a_standby_whose_wal_is_gone_is_built_again(earth):
    primary, standby = earth.primary(), standbys(earth)[-1]
    standby.kill()
    for name, value in (("wal_keep_size", "0"), ("min_wal_size", "'32MB'"),
                        ("max_wal_size", "'64MB'")):
        primary.ask(f"ALTER SYSTEM SET {name} = {value}")
    primary.ask("SELECT pg_reload_conf()")
    slot = primary.ask("SELECT slot_name FROM pg_replication_slots WHERE NOT active")
    primary.ask(f"SELECT pg_drop_replication_slot('{slot}')")
    for _ in range(8):
        primary.ask("SELECT pg_switch_wal()")
        pq.ask(primary.port, "CHECKPOINT", 20)
    before = len(stranded(standby))
    begun = time.monotonic()
    standby.start()
    wait_streams(earth, standby)
    print(f"  without its WAL it was built again in {time.monotonic() - begun:.1f} s", flush=True)
    assert len(stranded(standby)) == before + 1, stranded(standby)
    with open(standby.log, encoding="utf-8") as file:
        assert "the primary has not the WAL any more that it needs" in file.read()


if __name__ == "__main__":
    members.run_tests([test_folders_that_are_not_as_they_were_left])
