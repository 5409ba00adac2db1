#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Root opens nothing that the database's user could have put there: whoever is superuser in a
database can run programs as its system user (COPY TO PROGRAM), but becomes nobody else by it. On
real processes, with root's sidecar."""
import contextlib
import os
import pwd
import signal
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

BAIT = "written by somebody else\n"


def shell(instance, command):
    """As a superuser does it. The exit code does not matter: trying is the point."""
    with contextlib.suppress(pq.Failed):
        instance.ask(f"COPY (SELECT 1) TO PROGRAM $prog${command}; true$prog$")


def bait(earth, name):
    """A file of root's that is no business of the database's user."""
    path = os.path.join(earth.dir, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(BAIT)
    os.chmod(path, 0o600)
    return path


def untouched(path):
    status = os.stat(path)
    with open(path, encoding="utf-8") as file:
        return status.st_uid == 0 and status.st_mode & 0o777 == 0o600 and file.read() == BAIT


def restart(instance):
    pid = instance.postmaster()
    os.kill(pid, signal.SIGKILL)
    members.wait_until("another postmaster runs", lambda: instance.postmaster() not in (0, pid), 30)


def check_the_databases_user_owns_only_its_own(standby):
    user = pwd.getpwnam(world.database_user())
    for name in ("", "run", "log", "state", "stranded"):
        status = os.lstat(os.path.join(standby.dir, name))
        assert stat.S_ISDIR(status.st_mode) and status.st_uid == 0, (name, status)
        assert not status.st_mode & 0o022, (name, oct(status.st_mode))
    for name in ("pgdata", "sock"):
        assert os.lstat(os.path.join(standby.dir, name)).st_uid == user.pw_uid, name
    assert os.lstat(os.path.join(standby.dir, "run", "indaba.conf")).st_uid == 0


def check_links_of_the_superuser_lead_nowhere(earth, primary):
    """In the place of the log, of the folders of ours, of what we write into the data folder."""
    file = bait(earth, "bait")
    folder = os.path.join(earth.dir, "bait.d")
    os.mkdir(folder, 0o700)
    there = os.path.join(folder, "00000002.history")
    inside = bait(earth, "bait.d/keep")
    for command in (
            f"rm -f {primary.dir}/log/postgres.log; ln -s {file} {primary.dir}/log/postgres.log",
            f"rm -f {primary.dir}/log/guardian.log; ln -s {file} {primary.dir}/log/guardian.log",
            f"mv {primary.dir}/state {primary.dir}/gone; mkdir {primary.dir}/state",
            f"mv {primary.dir}/run {primary.dir}/gone; ln -s {folder} {primary.dir}/run",
            f"mv {primary.dir}/stranded {primary.dir}/gone",
            f"ln -sf {file} {primary.dir}/pgdata/postgresql.conf.new",
            f"rm -f {primary.dir}/pgdata/standby.signal; ln -s {file} "
            f"{primary.dir}/pgdata/standby.signal",
            f"ln -s {folder} {primary.dir}/pgdata.new"):
        shell(primary, command)
    restart(primary)
    primary.kill()
    primary.start()
    earth.wait_whole()
    assert untouched(file) and untouched(inside), (os.stat(file), os.listdir(folder))
    check_the_databases_user_owns_only_its_own(primary)
    assert os.listdir(folder) == ["keep"] and not os.path.exists(there), os.listdir(folder)
    assert not os.path.lexists(os.path.join(primary.dir, "gone"))


def check_a_folder_of_wal_that_is_a_link_is_not_written_to_by_root(earth, standby):
    """The history files of a promotion, and what a rebuild removes, go there with the rights of the
    database's user."""
    folder = os.path.join(earth.dir, "wal.d")
    os.mkdir(folder, 0o700)
    standby.end_sidecar(signal.SIGKILL)
    standby.kill()
    wal = os.path.join(standby.dir, "pgdata", "pg_wal")
    os.rename(wal, wal + ".kept")
    mark = os.path.join(folder, "000000FF.history")
    with open(mark, "w", encoding="utf-8") as file:
        file.write("# indaba: timeline 255 reserved for another epoch\n")
    os.symlink(folder, wal)
    standby.start()
    members.wait_until("it has tried", lambda: "action.failed" in open(
        standby.log, encoding="utf-8", errors="replace").read(), 20)
    assert os.listdir(folder) == ["000000FF.history"], os.listdir(folder)
    assert os.stat(mark).st_uid == 0
    standby.kill()
    os.unlink(wal)
    os.rename(wal + ".kept", wal)
    standby.start()
    earth.wait_whole()


def check_a_folder_that_others_may_write_in_is_refused(earth, standby):
    """At the start, before anything is opened in it; also when it is one of those above."""
    user = pwd.getpwnam(world.database_user())
    above = os.path.join(earth.dir, "above")
    os.mkdir(above, 0o755)
    os.chown(above, user.pw_uid, user.pw_gid)
    below = os.path.join(above, "pg")
    shared = os.path.join(earth.dir, "shared")
    os.mkdir(shared, 0o777)
    os.chmod(shared, 0o777)
    for path in (above, below, shared):
        config = os.path.join(earth.dir, "refused.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(standby.config_text(dir=path))
        done = subprocess.run([members.INDABA, "sidecar", "--config", config], check=False,
                              capture_output=True, text=True, timeout=10)
        assert done.returncode == 1 and "root" in done.stderr, (path, done)
        assert not os.path.exists(path) or not os.listdir(path), os.listdir(path)


def test_a_superuser_of_the_database_becomes_nobody_else_by_links():
    if os.geteuid() != 0:
        print("skipped: needs root")
        return
    with world.world(mode="sync") as earth:
        primary = earth.primary()
        standby = next(one for one in earth.instances if one is not primary)
        check_the_databases_user_owns_only_its_own(standby)
        check_a_folder_that_others_may_write_in_is_refused(earth, standby)
        check_links_of_the_superuser_lead_nowhere(earth, primary)
        check_a_folder_of_wal_that_is_a_link_is_not_written_to_by_root(
            earth, next(one for one in earth.instances if one is not earth.primary()))
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_a_superuser_of_the_database_becomes_nobody_else_by_links,
    ])
