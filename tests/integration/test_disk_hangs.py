#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The file system of a database stands still: reads and sessions go on, nothing that is written ever
becomes durable. That is told, and is evidence of death like silence: with a second witness."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_disks  # noqa: E402
import world  # noqa: E402

SHORT_S = 2.5      # a disk that is slow for a moment
OVER_S = 30.0      # before, nothing happened for as long as it stood still


def freeze(instance, still):
    members_disks.Disk.command("fsfreeze", "-f" if still else "-u", instance.dir)


def concern(earth, instance):
    return next(one for one in earth.shard()["instances"]
                if one["name"] == instance.name).get("concern", "")


def test_a_short_pause_of_the_disk_costs_no_failover(earth):
    primary, before = earth.primary(), earth.failovers()[0]["id"]
    freeze(primary, True)
    time.sleep(SHORT_S)  # that is the fault itself
    freeze(primary, False)
    earth.wait_writes(primary.name)
    assert earth.failovers()[0]["id"] == before, earth.failovers()[0]


def test_a_primary_whose_disk_hangs_is_told_and_replaced(earth):
    old = earth.primary()
    freeze(old, True)
    frozen = time.monotonic()
    try:
        members.wait_until("it is told", lambda: "its disk hangs" in concern(earth, old), OVER_S)
        earth.wait_writes(since=frozen, timeout_s=OVER_S)
        last = earth.failovers()[0]
        assert last["cause"] == "disk" and last["old_primary"] == old.name, last
        assert "takes no writes" in last["evidence"], last
        print(f"  acknowledged again after {time.monotonic() - frozen:.1f} s: {last['evidence']}",
              flush=True)
    finally:
        freeze(old, False)
    earth.wait_whole()


def test_a_standby_whose_disk_hangs_moves_nothing(earth):
    primary, before = earth.primary(), earth.failovers()[0]["id"]
    standby = next(one for one in earth.instances if one is not primary)
    freeze(standby, True)
    frozen = time.monotonic()
    try:
        while time.monotonic() < frozen + 8:
            earth.wait_writes(primary.name)
    finally:
        freeze(standby, False)
    assert earth.failovers()[0]["id"] == before, earth.failovers()[0]
    earth.wait_whole()


def main():
    members_disks.enter_namespace()
    with world.world(up=False) as earth:
        disks = [members_disks.Disk(one.dir, 700) for one in earth.instances]
        for one in earth.instances:
            os.chmod(one.dir, 0o755)
        try:
            earth.up()
            test_a_short_pause_of_the_disk_costs_no_failover(earth)
            test_a_primary_whose_disk_hangs_is_told_and_replaced(earth)
            test_a_standby_whose_disk_hangs_moves_nothing(earth)
            earth.check()
        finally:
            for one, disk in zip(earth.instances, disks):
                one.kill()
                disk.unmount()


if __name__ == "__main__":
    main()
