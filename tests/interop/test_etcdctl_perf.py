#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcdctl's own check of a cluster's speed, at its small load, over mutual TLS: it runs through, and
cleans up after itself. Its verdict holds times against fixed bounds, which says as much of the machine
and its other work as of us: `make bench` shows it, beside etcd's in the same run."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))
import etcdctl  # noqa: E402
import members  # noqa: E402


def test_check_perf_runs_through_at_the_small_load():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        _, text, _ = etcdctl.run(cluster, "check", "perf", "--load", "s", check=False,
                                  timeout_s=150)
        verdict = [line for line in text.splitlines() if "/ 60" not in line[:20]]
        print(f"  {verdict}", flush=True)
        assert "Throughput" in text and verdict[-1] in ("PASS", "FAIL"), text
        assert "error" not in text.lower(), text
        # It cleans up after itself: what it wrote was deleted in one go.
        assert etcdctl.lines(cluster, "get", "--prefix", "/etcdctl-check-perf/") == []


if __name__ == "__main__":
    members.run_tests([test_check_perf_runs_through_at_the_small_load])
