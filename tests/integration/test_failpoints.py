#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A sample of `make failpoints`: members and sidecars crash between two lines of what they promise, are
started again, and nothing that was acknowledged is lost."""
import functools
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

BINARY = os.environ.get("FAILPOINTS_INDABA", os.path.join(members.ROOT, "build", "failpoints",
                                                          "indaba"))
BETWEEN = ("wal.sync.after", "wal.vote.before", "failover.decided.after", "pg.promote.before")
STOPPED = "pg.put_aside.before"


@functools.cache
def swept():
    """(exit code, all that was said) of one sweep over all of them."""
    done = subprocess.run([os.path.join(members.ROOT, "jepsen", "failpoints.py"), *BETWEEN, STOPPED],
                          env={**os.environ, "FAILPOINTS_INDABA": BINARY, "ACTION": "crash"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=250, check=False)
    print(done.stdout)
    return done.returncode, done.stdout


def test_who_crashes_between_two_steps_comes_back():
    for point in BETWEEN:
        assert re.search(rf"^ok {re.escape(point)} ", swept()[1], re.MULTILINE), point


def test_a_folder_that_was_stopped_to_be_put_aside_is_put_aside_after_a_crash():
    """It tried for ever to start a database whose history is another one."""
    assert re.search(rf"^ok {re.escape(STOPPED)} ", swept()[1], re.MULTILINE)


def test_nothing_that_was_acknowledged_is_lost_by_any_of_it():
    code, said = swept()
    assert code == 0, said[-2000:]


if __name__ == "__main__":
    if os.path.exists(BINARY):
        members.run_tests([
            test_who_crashes_between_two_steps_comes_back,
            test_a_folder_that_was_stopped_to_be_put_aside_is_put_aside_after_a_crash,
            test_nothing_that_was_acknowledged_is_lost_by_any_of_it,
        ])
    print("skipped: make build/failpoints/indaba")
    sys.exit(77)
