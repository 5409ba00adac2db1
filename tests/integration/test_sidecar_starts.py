#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Settings that would stop a standby, and databases that do not start. A standby gets at least what
its primary had; a start that fails is followed by a longer pause and its reason is shown; nobody
waits for a primary that cannot start."""
import contextlib
import glob
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

BROKEN_S = 5.0
STARTS_MAX = 6  # in that time: after 0.25, 0.5, 1, 2 … s
SOON_S = 8.0


def shown(earth, instance):
    """What the leader shows of an instance."""
    for one in (earth.shard() or {"instances": []})["instances"]:
        if one["name"] == instance.name:
            return one
    return {"detail": ""}


def setting(instance, name):
    with contextlib.suppress(pq.Failed, pq.Silent):
        return int(instance.ask(f"SHOW {name}"))
    return 0


def set_and_restart(earth, **settings):
    """On the primary by hand, then its database is stopped in an orderly way."""
    primary = earth.primary()
    for name, value in settings.items():
        primary.ask(f"ALTER SYSTEM SET {name} = {value}")
    since = time.monotonic()
    os.kill(primary.postmaster(), signal.SIGINT)
    earth.wait_writes(since=since + 0.5, timeout_s=60)
    return since


def log_of(instance, name="postgres.log"):
    path = instance.log if name is None else os.path.join(instance.dir, "log", name)
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def test_settings_and_starts_that_would_stop_a_standby_do_not():
    with world.world() as earth:
        higher_settings_reach_the_standbys(earth)
        a_lower_setting_is_raised_to_what_is_needed(earth)
        a_standby_that_does_not_start_says_why_and_pauses(earth)
        a_primary_that_cannot_start_is_not_waited_for(earth)
        earth.check()


def higher_settings_reach_the_standbys(earth):
    old = earth.primary()
    wanted = {"max_connections": 300, "max_prepared_transactions": 20}
    set_and_restart(earth, **wanted)
    if earth.primary() is not old:
        set_and_restart(earth, **wanted)
    for one in earth.instances:
        for name, value in wanted.items():
            members.wait_until(f"{one.name} has {name}",
                               lambda one=one, name=name, value=value: setting(one, name) == value, 30)
    earth.wait_whole()
    # Paused by hand is shown, too, and left alone.
    standby = next(one for one in earth.instances if one is not earth.primary())
    standby.ask("SELECT pg_wal_replay_pause()")
    members.wait_until("paused replay is shown",
                       lambda: "replay is paused by hand" in shown(earth, standby)["detail"])
    standby.ask("SELECT pg_wal_replay_resume()")
    members.wait_until("it goes on", lambda: "paused" not in shown(earth, standby)["detail"])


def a_lower_setting_is_raised_to_what_is_needed(earth):
    primary = earth.primary()
    set_and_restart(earth, max_connections=60, max_locks_per_transaction=32)
    earth.wait_whole()
    for one in earth.instances:
        assert setting(one, "max_connections") == 300, (one.name, setting(one, "max_connections"))
        assert setting(one, "max_locks_per_transaction") == 64, one.name
    assert "event=settings.raised name=max_connections configured=60 needed=300" in log_of(
        primary, None), "it is not said"


def break_configuration(instance):
    path = os.path.join(instance.dir, "pgdata", "postgresql.base.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "a", encoding="utf-8") as file:
        file.write("\nthis is not a setting\n")
    return path, text


def starts(instance):
    return log_of(instance).count("contains errors")


def wait_noted(instance):
    """Whoever dies just after a change of timeline, before that is noted, cannot be proven and is built
    anew, which is not what is tested here. Writes go on, so notes are kept every second."""
    path = glob.glob(os.path.join(instance.dir, "state", "*.marks"))[0]
    for _ in range(2):
        before = os.stat(path).st_mtime_ns
        members.wait_until("it is noted", lambda: os.stat(path).st_mtime_ns != before)


def a_standby_that_does_not_start_says_why_and_pauses(earth):
    standby = next(one for one in earth.instances if one is not earth.primary())
    wait_noted(standby)
    path, text = break_configuration(standby)
    os.kill(standby.postmaster(), signal.SIGKILL)
    members.wait_until("the reason is shown", lambda: "syntax error in file" in shown(
        earth, standby)["detail"], 20)
    print("  " + shown(earth, standby)["detail"], flush=True)
    before, begun = starts(standby), time.monotonic()
    while time.monotonic() - begun < BROKEN_S:
        time.sleep(0.05)
    tried = starts(standby) - before
    print(f"  {tried} starts in {BROKEN_S:.0f} s", flush=True)
    assert 1 <= tried <= STARTS_MAX, tried
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    earth.wait_whole()
    assert "did not start" not in shown(earth, standby)["detail"]


def a_primary_that_cannot_start_is_not_waited_for(earth):
    old = earth.primary()
    path, text = break_configuration(old)
    killed = time.monotonic()
    os.kill(old.postmaster(), signal.SIGKILL)
    members.wait_until("another instance acknowledges", lambda: any(
        earth.writers.last_sent(one.name) > killed for one in earth.instances if one is not old), 60)
    took = time.monotonic() - killed
    print(f"  writes elsewhere after {took:.2f} s", flush=True)
    assert took < SOON_S, took
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    earth.wait_whole()


if __name__ == "__main__":
    members.run_tests([test_settings_and_starts_that_would_stop_a_standby_do_not])
