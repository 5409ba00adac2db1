#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""When an outage is over, on real processes and databases: a failover is done when the shard is open,
and confirmed when enough standbys hold a write of the new history. Clients' first acknowledgement is
the judge; what is not confirmed holds nothing up."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402
import writers  # noqa: E402

LATE_S = 1.5   # a probe, a report and a commit, on a busy machine
EARLY_S = 0.5  # the writers try again so often, at the worst


def last(earth):
    shard = earth.shard()
    return shard and shard["last_failover"]


def test_a_shard_without_standbys_is_open_and_says_that_no_write_can_be_acknowledged():
    with world.world(mode="sync", up=False) as earth:
        earth.start()
        earth.wait_ready()
        earth.client("shard", "create", "main", "--mode", "sync", "--preferred", "r1")
        earth.instances[0].start()
        members.wait_until("it is open", lambda: (earth.shard() or {}).get("opened"), world.UP_S)
        members.wait_until("it says so", lambda: "no write can be acknowledged yet" in
                           earth.shard()["waiting"])
        assert last(earth)["step"] == "done" and int(last(earth)["confirmed_wall_ms"]) == 0
        assert "NOT CONFIRMED" in earth.client("status")[1]
        # Standbys join all the same: then it is confirmed.
        for one in earth.instances[1:]:
            one.start()
        earth.wait_whole()
        members.wait_until("it is confirmed", lambda: int(last(earth)["confirmed_wall_ms"]) > 0)
        assert "NOT CONFIRMED" not in earth.client("status")[1]
        assert earth.shard()["waiting"] == ""

        earth.primary().ask("CREATE TABLE rows (id bigint PRIMARY KEY)")
        earth.writers = writers.Writers(earth.instances)
        earth.wait_writes()
        old = earth.primary()
        before = last(earth)["id"]
        apart = time.time() - time.monotonic()
        earth.kill_region(old)
        killed = time.monotonic()
        members.wait_until("the next one is confirmed",
                           lambda: (last(earth) or {"id": before})["id"] != before and
                           int(last(earth)["confirmed_wall_ms"]) > 0, 30)
        earth.wait_writes()
        confirmed = int(last(earth)["confirmed_wall_ms"]) / 1000 - apart
        first = min(row.acked for row in earth.writers.acked() if row.acked > killed and
                    row.instance != old.name)
        done = [int(one["wall_ms"]) for one in last(earth)["steps"] if one["step"] == "done"][0]
        print(f"  killed; done after {done / 1000 - apart - killed:.2f} s, first acknowledged after "
              f"{first - killed:.2f} s, confirmed after {confirmed - killed:.2f} s", flush=True)
        assert first - EARLY_S < confirmed < first + LATE_S, (first - killed, confirmed - killed)
        shown = earth.client("failover", "show", str(last(earth)["id"]))[1]
        assert "confirmed: a write was held by enough standbys" in shown, shown
        earth.revive()
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_a_shard_without_standbys_is_open_and_says_that_no_write_can_be_acknowledged,
    ])
