#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Data folders that are spread over file systems: pgdata as a mount point, and a tablespace that
outlives its folder. Needs root, for the mounts."""
import contextlib
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402
from test_sidecar_folders import (  # noqa: E402
    Fourth, data, shown, standbys, stranded, wait_streams)


class Apart(world.Instance):
    """An instance on a machine of its own, as far as one path goes: what it sees there is a folder of
    its own (instances of one machine cannot share the path of a tablespace)."""

    def __init__(self, earth, number):
        super().__init__(earth, number)
        self.space = os.path.join(earth.dir, "space")
        self.own_space = os.path.join(earth.dir, f"space-{self.name}")

    def prepare(self):
        super().prepare()
        for path in (self.space, self.own_space):
            os.makedirs(path, exist_ok=True)
        shutil.chown(self.own_space, world.database_user(), world.database_user())

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c",
                 f"mount --bind {self.own_space} {self.space} && "
                 f"exec {members.INDABA} sidecar --config {self.config}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def rows_of(instance):
    with contextlib.suppress(pq.Failed, pq.Silent):
        return instance.ask("SELECT count(*) FROM far_away")
    return ""


def noted(instance):
    with contextlib.suppress(OSError), open(os.path.join(instance.dir, "state", "tablespaces"),
                                            encoding="utf-8") as file:
        return file.read().strip()
    return ""


def test_a_lost_folder_with_a_tablespace_outside_is_built_again():
    if os.geteuid() != 0:
        print("  needs root", flush=True)
        return
    with world.world(up=False) as earth:
        earth.instances = [Apart(earth, number) for number in range(3)]
        for one in earth.instances:
            one.prepare()
        earth.up()
        primary = earth.primary()
        standby = standbys(earth)[0]
        primary.ask(f"CREATE TABLESPACE far LOCATION '{standby.space}'")
        primary.ask("CREATE TABLE far_away TABLESPACE far AS SELECT generate_series(1, 1000)")
        members.wait_until("it is replayed", lambda: rows_of(standby) == "1000")
        members.wait_until("it is noted where it lies", lambda: noted(standby) == standby.space)
        standby.kill()
        shutil.rmtree(data(standby))
        standby.start()
        wait_streams(earth, standby)
        assert rows_of(standby) == "1000"
        assert any(name.startswith("lost-") for name in stranded(standby)), stranded(standby)
        earth.wait_whole()
        earth.check()


@contextlib.contextmanager
def mounted(path):
    os.makedirs(path, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_mount_point_is_built_into_or_refused_without_a_copy():
    if os.geteuid() != 0:
        print("  needs root", flush=True)
        return
    with world.world() as earth, contextlib.ExitStack() as stack:
        fourth = Fourth(earth)
        fourth.prepare()
        stack.enter_context(mounted(data(fourth)))
        with open(data(fourth, "somebodys"), "w", encoding="utf-8") as file:
            file.write("file")
        stack.callback(fourth.kill)
        fourth.start()
        members.wait_until("it is refused", lambda: "mount point with something in it" in shown(
            earth, fourth), 20)
        assert os.listdir(data(fourth)) == ["somebodys"]
        os.unlink(data(fourth, "somebodys"))
        earth.instances.append(fourth)
        wait_streams(earth, fourth)
        assert not [name for name in os.listdir(data(fourth)) if name.startswith(".indaba")]
        earth.wait_whole()
        earth.check()
        fourth.kill()


if __name__ == "__main__":
    members.run_tests([
        test_a_lost_folder_with_a_tablespace_outside_is_built_again,
        test_a_mount_point_is_built_into_or_refused_without_a_copy,
    ])
