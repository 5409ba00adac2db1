#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An operator's hand on real processes and databases: a planned failover by name loses nothing that
was acknowledged and is on record with who asked; the status is shown without a quorum, marked."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402


def test_a_planned_failover_to_a_named_standby_loses_nothing_and_names_the_operator():
    with world.world(mode="sync") as earth:
        old = earth.primary()
        new = next(one for one in earth.instances if one is not old)
        _, out, _ = earth.client("failover", "start", "main", "--to", new.name, "--reason",
                                 "rack work", "--yes", "--wait", "--timeout", "25000")
        steps = [line.split()[0] for line in out.splitlines()[1:]]
        assert steps[-1] == "done", out
        print("  " + "\n  ".join(out.splitlines()), flush=True)
        assert earth.primary() is new
        last = earth.failovers()[0]
        assert last["cause"] == "operator" and last["candidate"] == new.name, last
        leaves = earth.client("ledger", "tail")[1]
        assert "failover.request" in leaves and "rack work" in leaves, leaves
        asked = [line for line in leaves.splitlines() if "failover.request" in line]
        assert "/operator/test" in asked[0], asked
        earth.wait_writes(new.name)
        earth.wait_whole()
        earth.check()


def test_a_failover_that_cannot_be_is_refused_with_a_reason():
    with world.world(mode="sync") as earth:
        primary = earth.primary()
        code, _, err = earth.client("failover", "start", "main", "--to", primary.name, "--yes", check=False)
        assert code == 4 and "is the primary already" in err, (code, err)
        code, _, err = earth.client("failover", "start", "main", "--to", "nobody", "--yes", check=False)
        assert code == 4 and "has no instance" in err, (code, err)
        code, _, err = earth.client("failover", "start", "nothing", "--yes", check=False)
        assert code == 4 and "there is no shard" in err, (code, err)
        earth.check()


def test_status_without_a_quorum_shows_the_stale_view_of_any_member():
    with members.cluster() as cluster:
        cluster.wait_ready()
        cluster.client("shard", "create", "orders", "--mode", "sync")
        left = cluster.members[1]
        members.wait_until("the one that will be left has applied it",
                           lambda: "orders" in cluster.client("status", "--stale", member=left)[1])
        for one in cluster.members:
            if one is not left:
                one.kill()
        code, out, err = cluster.client("status")
        assert code == 0, (code, err)
        assert "STALE: from n2 alone, as of index" in out and "orders" in out, out
        assert "stale view" in err, err


if __name__ == "__main__":
    members.run_tests([
        test_a_planned_failover_to_a_named_standby_loses_nothing_and_names_the_operator,
        test_a_failover_that_cannot_be_is_refused_with_a_reason,
        test_status_without_a_quorum_shows_the_stale_view_of_any_member,
    ])
