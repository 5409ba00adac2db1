#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A lease as long as one is between regions that are far apart: its holder keeps its session between
the few renewals that it needs, and finds the next leader in time when one stands still."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

LEASE_MS = 6000
RENEWALS = 3  # one every quarter of it


class FarWorld(world.World):
    def config_of(self, member):
        return super().config_of(member).replace("lease_ms: 3000", f"lease_ms: {LEASE_MS}")


def granted(member):
    for line in member.get("/metrics")[1].splitlines():
        if line.startswith("indaba_leases_granted_total "):
            return int(line.split()[1])
    return 0


def silences(earth):
    found = []
    for one in earth.instances:
        with open(one.log, encoding="utf-8") as log:
            found += [line for line in log if "event=session.silent" in line]
    return found


def test_a_long_lease_is_renewed_on_one_session_and_outlives_its_leader():
    with world.world(kind=FarWorld) as earth:
        leader = earth.leader()
        before = granted(leader)
        members.wait_until("it is renewed", lambda: granted(leader) >= before + RENEWALS, 30)
        assert not silences(earth), silences(earth)
        failovers = len(earth.failovers())
        # The timers that this lease is the preset of: elections of up to 3 s.
        earth.client("cluster", "set", "--timers", "continent", "--wait")
        leader = earth.leader()

        frozen = time.monotonic()
        leader.process.send_signal(signal.SIGSTOP)
        try:
            rest = [one for one in earth.members if one is not leader]
            members.wait_until("another leads", lambda: any(
                (one.status() or {}).get("leader") not in ("", None, leader.name) for one in rest))
            following = next(one for one in rest if one.leads)
            members.wait_until("it renews the lease", lambda: granted(following) >= RENEWALS, 30)
        finally:
            leader.process.send_signal(signal.SIGCONT)
        earth.wait_ready()
        assert len(earth.failovers()) == failovers, earth.failovers()[0]
        gap = earth.writers.gap_s(frozen)
        print(f"  longest gap between rows {gap:.2f} s", flush=True)
        assert gap < LEASE_MS / 1000 / 2, gap
        earth.wait_whole()
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_a_long_lease_is_renewed_on_one_session_and_outlives_its_leader,
    ])
