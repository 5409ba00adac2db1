#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Promotions that fail and databases that die again and again, on real processes and databases: what failed is remembered and
shown, the next one is tried, and no epochs are burnt meanwhile."""
import contextlib
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_disks  # noqa: E402
import members_faults  # noqa: E402
import world  # noqa: E402

DISK_MEBIBYTES = 200
LEFT_KIBIBYTES = 2048
MOVED_S = 20.0  # a promotion that fails, its fence, and the promotion of another
EPOCHS_MAX = 4  # for all of that
GONE_S = 8.0    # a step that does not get on may last 10 s


def move_wal(instance, disk):
    """The instance is down; its WAL is on a disk of its own from now on."""
    wal = os.path.join(instance.dir, "pgdata", "pg_wal")
    moved = os.path.join(disk.mount_point, "pg_wal")
    owner = os.stat(wal)
    shutil.copytree(wal, moved)
    for folder, _, files in os.walk(moved):
        for path in [folder] + [os.path.join(folder, one) for one in files]:
            os.chown(path, owner.st_uid, owner.st_gid)
    os.chmod(moved, 0o700)
    shutil.rmtree(wal)
    os.symlink(moved, wal)


def fill(disk):
    stat = os.statvfs(disk.mount_point)
    left = stat.f_bavail * stat.f_frsize - LEFT_KIBIBYTES * 1024
    with open(os.path.join(disk.mount_point, "filler"), "wb") as file:
        os.posix_fallocate(file.fileno(), 0, left)


def level(earth):
    """Every standby holds what the primary has written."""
    def is_level():
        shard = earth.shard()
        return shard and all(one["state"] == "primary" or int(one["lag_bytes"]) == 0
                             for one in shard["instances"])

    members.wait_until("the standbys hold everything", is_level)


def quiet_world(earth):
    """Up, with rows, and nobody writes."""
    earth.start()
    earth.wait_ready()
    earth.client("shard", "create", "main", "--mode", "sync", "--preferred", "r1")
    for one in earth.instances:
        one.start()
    earth.wait_whole()
    earth.primary().ask("CREATE TABLE rows (id bigint PRIMARY KEY)")
    earth.primary().ask("INSERT INTO rows SELECT generate_series(1, 100)")


def wait_moved(earth, old, what):
    """Seconds until another one than `old` is open."""
    began = time.monotonic()

    def is_moved():
        shard = earth.shard()
        return shard and shard["opened"] and shard["primary"] != old.name and \
            earth.instance(shard["primary"])

    new = members.wait_until(f"another primary after {what}", is_moved, MOVED_S)
    return new, time.monotonic() - began


def test_a_candidate_whose_disk_is_full_gives_way_to_the_next_and_its_reason_is_shown():
    with world.world(mode="sync", up=False) as earth:
        disk = None
        try:
            quiet_world(earth)
            old, full, other = earth.instances
            assert earth.primary() is old
            disk = members_disks.Disk(os.path.join(earth.dir, "small"), DISK_MEBIBYTES)
            os.chmod(disk.mount_point, 0o755)
            full.kill()
            move_wal(full, disk)
            full.start()
            earth.wait_whole()
            fill(disk)
            level(earth)
            before = int(earth.shard()["epoch"])
            earth.kill_region(old)
            new, took = wait_moved(earth, old, "a full disk")
            epochs = int(earth.shard()["epoch"]) - before
            tried = [one["candidate"] for one in reversed(earth.failovers()) if
                     int(one["epoch"]) > before]
            assert new is other, new.name
            assert tried[0] == full.name, tried
            assert epochs <= EPOCHS_MAX, f"{epochs} epochs for one failover: {tried}"
            shown = earth.client("status")[1]
            trouble = [line for line in shown.splitlines() if "was not promoted" in line]
            assert trouble and full.name in trouble[0], shown
            print(f"  open on {new.name} after {took:.2f} s and {epochs} epochs:{trouble[0]}",
                  flush=True)
            os.unlink(os.path.join(disk.mount_point, "filler"))
            members.wait_until("a write is acknowledged",
                               lambda: acknowledged(new, 101), world.UP_S)
            assert new.ask("SELECT count(*) FROM rows") == "101"
        finally:
            for one in earth.instances:
                with contextlib.suppress(AssertionError):
                    one.kill()
            if disk:
                disk.unmount()


def acknowledged(instance, row):
    with contextlib.suppress(world.pq.Failed, world.pq.Silent):
        instance.ask(f"INSERT INTO rows VALUES ({row}) ON CONFLICT DO NOTHING")
        return True
    return False


def test_the_third_death_in_place_in_a_row_moves_the_primary():
    with world.world(mode="sync") as earth:
        for death in range(1, 4):
            dies = earth.primary()
            before = earth.failovers()[0]["id"]
            os.kill(dies.postmaster(), signal.SIGKILL)
            members.wait_until("it is through", lambda: done_after(earth, before), MOVED_S)
            last = earth.failovers()[0]
            print(f"  death {death}: {last['old_primary']} to {last['candidate']}", flush=True)
            assert (last["candidate"] == dies.name) == (death < 3), (death, last)
            earth.wait_writes()
        earth.wait_whole()
        earth.check()


class HeldMember(members_faults.Faulty, world.WatchedMember):
    """Its disk may be held."""


class HeldWorld(world.World):
    member_type = HeldMember


def in_place_and_gone(earth):
    """A restart in place is begun, and everything in its region dies before it is known to be: the
    other members have it in their logs, and their disks are held until all there are dead. The
    failovers that there were, oldest first, and the seconds they took."""
    old = earth.primary()
    near = earth.member_of(old)
    if not near.leads:
        earth.client("member", "transfer", near.name, check=False)  # it may lead just now
        members.wait_until("the primary's region leads", lambda: near.leads)
    before = earth.failovers()[0]["id"]
    others = [one for one in earth.members if one is not near]
    told = log_of(old).count("event=epoch.over")
    hold(others, members_faults.WAITS)
    killed_at = time.monotonic()
    os.kill(old.postmaster(), signal.SIGKILL)
    members.wait_until("the sidecar tells it", lambda: log_of(old).count("event=epoch.over") > told)
    members.wait_until("it is in a log", lambda: any(
        one.fault[members_faults.SYNCS_MET] > 0 for one in others))
    near.kill()
    old.kill()
    hold(others, members_faults.AS_ALWAYS)
    earth.wait_ready()
    members.wait_until("it is through", lambda: done_after(earth, before), 30)
    took = time.monotonic() - killed_at
    made = [one for one in reversed(earth.failovers()) if int(one["id"]) > int(before)]
    assert made[0]["in_place"] and made[-1]["candidate"] != old.name, made
    return made, took


def log_of(one):
    with open(one.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def hold(those, fault):
    for one in those:
        one.fault[members_faults.SYNC] = fault


def test_a_restart_in_place_ends_at_once_when_its_region_dies_with_the_leader():
    with world.world(mode="sync", up=False, kind=HeldWorld) as earth:
        quiet_world(earth)
        made, took = in_place_and_gone(earth)
        print(f"  open again after {took:.2f} s: {made[0]['reason'][:40]}, then "
              f"{made[-1]['cause']} to {made[-1]['candidate']}", flush=True)
        assert "step promote" not in made[0]["reason"], "it was decided before the leader died"
        assert took < GONE_S, f"{took:.2f} s"


def done_after(earth, before):
    last = earth.failovers()[0]
    return int(last["id"]) > int(before) and last["step"] == "done"


if __name__ == "__main__":
    members_disks.enter_namespace()
    members.run_tests([
        test_a_candidate_whose_disk_is_full_gives_way_to_the_next_and_its_reason_is_shown,
        test_the_third_death_in_place_in_a_row_moves_the_primary,
        test_a_restart_in_place_ends_at_once_when_its_region_dies_with_the_leader,
    ])
