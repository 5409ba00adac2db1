#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A sample of `make failpoints`: members and a sidecar crash between two lines of what they promise, are
started again, and nothing that was acknowledged is lost."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

BINARY = os.environ.get("FAILPOINTS_INDABA", os.path.join(members.ROOT, "build", "failpoints",
                                                          "indaba"))
SAMPLE = ("wal.sync.after", "wal.vote.before", "failover.decided.after", "pg.promote.before")


def test_who_crashes_between_two_steps_comes_back_and_nothing_is_lost():
    done = subprocess.run([os.path.join(members.ROOT, "jepsen", "failpoints.py"), *SAMPLE],
                          env={**os.environ, "FAILPOINTS_INDABA": BINARY, "ACTION": "crash"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=200, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:]
    for point in SAMPLE:
        assert re.search(rf"^ok {re.escape(point)} ", done.stdout, re.MULTILINE), point


if __name__ == "__main__":
    if os.path.exists(BINARY):
        members.run_tests([test_who_crashes_between_two_steps_comes_back_and_nothing_is_lost])
    print("skipped: make build/failpoints/indaba")
    sys.exit(77)
