#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a superuser leaves behind on every instance, and nobody notices before the next failover:
commands that a promotion waits for, slots that leave none for siblings, settings with which no
server starts. There is a primary all the same, and everybody comes back."""
import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

OUTAGE_S = 20.0


def everywhere(earth, *statements):
    for one in earth.instances:
        for statement in statements:
            one.ask(statement)


def dies(earth, what):
    """The primary's host dies, and is back a little later."""
    primary = earth.primary()
    primary.kill()
    killed = time.monotonic()
    earth.wait_writes(since=killed, timeout_s=OUTAGE_S)
    print(f"  {what}: writes after {time.monotonic() - killed:.1f} s", flush=True)
    primary.start()
    earth.wait_whole()
    print(f"  {what}: whole after {time.monotonic() - killed:.1f} s", flush=True)


def test_a_promotion_waits_for_no_command_of_a_superuser(earth):
    everywhere(earth, "ALTER SYSTEM SET recovery_end_command = 'sleep 600'",
               "ALTER SYSTEM SET archive_cleanup_command = 'sleep 600'", "SELECT pg_reload_conf()")
    dies(earth, "recovery_end_command")
    for one in earth.instances:
        assert one.ask("SHOW recovery_end_command") == "", one.name


OTHERS_SQL = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'of_somebody%'"
ROOM_SQL = ("SELECT current_setting('max_replication_slots')::int - count(*) FROM pg_replication_slots"
            " WHERE slot_name !~ '^indaba_'")


def has_room(one):
    try:
        return int(one.ask(ROOM_SQL)) >= 9
    except (pq.Failed, pq.Silent):  # it is being started again
        return False


def test_slots_of_others_leave_room_for_the_siblings(earth):
    standbys = [one for one in earth.instances if one is not earth.primary()]
    for one in standbys:
        with contextlib.suppress(pq.Failed):  # it may be started again before it answers
            one.ask("SELECT pg_create_physical_replication_slot('of_somebody_' || i) FROM"
                    " generate_series(1, current_setting('max_replication_slots')::int"
                    " - (SELECT count(*) FROM pg_replication_slots)) i")
    for one in standbys:
        members.wait_until("it has room", lambda one=one: has_room(one), 30)
    dies(earth, "no slot left")
    for one in earth.instances:  # else whoever was promoted first was never opened
        with open(os.path.join(one.dir, "log/postgres.log"), encoding="utf-8") as log:
            assert "all replication slots are in use" not in log.read(), one.name
    for one in standbys:
        members.wait_until("it has room", lambda one=one: has_room(one), 30)
        assert int(one.ask(OTHERS_SQL)) > 0, f"{one.name} lost slots that are not ours"


def test_settings_with_which_no_server_starts_are_set_back(earth):
    everywhere(earth, "ALTER SYSTEM SET work_mem = '5MB'", "SELECT pg_reload_conf()")
    for one in earth.instances:
        world.send([one.postmaster()], signal.SIGKILL)  # the next start is with it, and comes up
        members.wait_until("it is back", earth.is_whole, 30)
    everywhere(earth, "ALTER SYSTEM SET shared_preload_libraries = 'no such library'")
    for one in earth.instances:
        one.kill()
    began = time.monotonic()
    for one in earth.instances:
        one.start()
    earth.wait_writes(since=began, timeout_s=30)
    print(f"  none started: writes after {time.monotonic() - began:.1f} s", flush=True)
    earth.wait_whole()
    for one in earth.instances:
        assert one.ask("SHOW work_mem") == "5MB", f"{one.name} lost settings that had been good"
        members.wait_until("it is told", lambda name=one.name: "settings.refused" in next(
            other["concern"] for other in earth.shard()["instances"] if other["name"] == name))


world_tests = world.sharing(
    test_a_promotion_waits_for_no_command_of_a_superuser,
    test_slots_of_others_leave_room_for_the_siblings,
    test_settings_with_which_no_server_starts_are_set_back,
)

if __name__ == "__main__":
    members.run_tests(world_tests)
