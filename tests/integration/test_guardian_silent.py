#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A guardian that stands still can end nothing. Its sidecar says so, and ends it: the database dies
with it, and another guardian sees to what is left. On an asynchronous shard, where nothing but the
lease keeps two primaries from acknowledging."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

SOON_S = 60.0


def freeze_guardian(instance):
    pid = members.wait_until("it has a guardian", instance.guardian)
    os.kill(pid, signal.SIGSTOP)
    return pid


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_guardian_that_stands_still_is_told_and_ended(earth):
    standby = next(one for one in earth.instances if one is not earth.primary())
    frozen = freeze_guardian(standby)
    members.wait_until("it is told", lambda: "guardian" in next(
        one["concern"] for one in earth.shard()["instances"] if one["name"] == standby.name), SOON_S)
    members.wait_until("it is ended", lambda: is_gone(frozen), SOON_S)
    earth.wait_whole()


def test_a_primary_without_its_guardian_acknowledges_beside_nobody(earth):
    """The lease ends while the guardian stands still; whose rows they are is checked at the end."""
    old = earth.primary()
    frozen = freeze_guardian(old)
    began = time.monotonic()
    members.wait_until("it is ended", lambda: is_gone(frozen), SOON_S)
    earth.wait_writes()
    print(f"  writes after {time.monotonic() - began:.1f} s", flush=True)
    earth.wait_whole()
    earth.wait_writes()


world_tests = world.sharing(
    test_a_guardian_that_stands_still_is_told_and_ended,
    test_a_primary_without_its_guardian_acknowledges_beside_nobody,
    mode="async",
)

if __name__ == "__main__":
    members.run_tests(world_tests)
