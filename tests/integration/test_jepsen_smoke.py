#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A short run of jepsen/: a world on hosts of its own loses an instance, a member, a way, and the
judges find nothing; and what a host lacks is told, counted, and fails the run unless it may be
missing."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

sys.path.insert(0, os.path.join(members.ROOT, "jepsen"))
import hosts  # noqa: E402
import schedule  # noqa: E402

RUN = os.path.join(members.ROOT, "jepsen", "run.py")


def run(**settings):
    """(exit code, figures of the last line, all of it)."""
    done = subprocess.run([RUN], env={**os.environ, "DISTANCE": "near", "RUNS": "1", **settings},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=200, check=False)
    print(done.stdout)
    figures = re.fullmatch(r"jepsen: runs=(\d+) violations=(\d+) recovered_in_rto=(\d+) "
                           r"failed_recoveries=(\d+) not_run=(\d+)", done.stdout.splitlines()[-1])
    return done.returncode, [int(one) for one in figures.groups()], done.stdout


def test_a_short_run_finds_nothing():
    code, figures, said = run(WORKLOAD="set,register", NEMESIS="kill-instance,isolate", TIME="8", SEED="4",
                              ALLOW_MISSING="hosts")
    runs, violations, recovered, failed, _ = figures
    assert (code, runs, violations, failed) == (0, 1, 0, 0), said
    assert recovered >= 3, said
    for judge in ("set", "register", "rates", "recovery", "primary", "status", "ledger"):
        assert f"check: {judge} violations=0" in said, judge


def test_what_a_host_lacks_is_told_and_fails_unless_it_may_be_missing():
    chosen = schedule.chosen("isolate kill-member")
    lacks = {"hosts": "no TUN here"}
    can, cannot, bad = schedule.missing(chosen, "", lacks)
    assert [one.name for one in can] == ["kill-member"], can
    assert cannot == [("isolate", "no TUN here")] and bad == ["isolate"], (cannot, bad)
    for allowed in ("isolate", "partition", "kill,hosts"):
        assert schedule.missing(chosen, allowed, lacks)[2] == [], allowed
    assert schedule.missing(chosen, "", {}) == (chosen, [], [])


def test_a_seed_draws_one_plan():
    kinds = schedule.chosen("all")
    plans = [[str(entry) for entry in schedule.draw(seed, kinds, 60)] for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert {entry.kind for entry in schedule.draw(1, kinds, len(kinds))} >= set(kinds)


if __name__ == "__main__":
    if os.path.exists(os.path.join(hosts.PROGRAMS, "check")):
        members.run_tests([
            test_what_a_host_lacks_is_told_and_fails_unless_it_may_be_missing,
            test_a_seed_draws_one_plan,
            test_a_short_run_finds_nothing,
        ])
    print("skipped: make jepsen-programs")
    sys.exit(77)
