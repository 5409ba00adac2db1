#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcdctl's own check of a cluster's speed, at its small load, over mutual TLS: 150 writes a second
for a minute must all be done, and quickly."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))
import etcdctl  # noqa: E402
import members  # noqa: E402


def test_check_perf_passes_at_the_small_load():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        _, text, _ = etcdctl.run(cluster, "check", "perf", "--load", "s", timeout_s=150)
        print(text.splitlines()[-1], flush=True)
        assert text.rstrip().endswith("PASS"), text
        # It cleans up after itself: what it wrote was deleted in one go.
        assert etcdctl.lines(cluster, "get", "--prefix", "/etcdctl-check-perf/") == []


if __name__ == "__main__":
    members.run_tests([test_check_perf_passes_at_the_small_load])
