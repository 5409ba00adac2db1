#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Machines that go off in the very second in which their shard goes to a new timeline: their
databases have followed, and no sidecar has seen it yet. What was led there by record comes back as
it is, even if the primary does not; what somebody promoted by hand in that second is built anew,
though number and place of its timeline are those of the record."""
import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402
import writers  # noqa: E402
from test_foreign_history import (built, by_hand, confirms_nothing, data, off,  # noqa: E402
                                  settled, standbys, write_junk)

QUIET_S = 0.5


def epoch_promised(instance):
    """The epoch in its keeper.state: magic, version, epoch."""
    with open(os.path.join(instance.dir, "state", "keeper.state"), "rb") as file:
        return struct.unpack("<IIQ", file.read(16))[2]


def wait_promised(instance, above):
    """Looked for without a pause: what follows must come before the promotion."""
    until = time.monotonic() + 30
    while epoch_promised(instance) <= above:
        assert time.monotonic() < until, f"{instance.name} promises nothing"


def timelines(instance):
    return {int(name[:8], 16) for name in os.listdir(data(instance, "pg_wal")) if len(name) == 24}


def follows(instance, timeline):
    """Its database has received something of that timeline."""
    received = instance.ask("SELECT coalesce(max(received_tli), 0) FROM pg_stat_wal_receiver"
                            " WHERE flushed_lsn IS NOT NULL"
                            " AND status = 'streaming'")
    return int(received) >= timeline and max(timelines(instance)) >= timeline


def led_unseen(earth, one):
    """The primary restarts in place; the sidecar of a standby has promised to follow it, and sees
    nothing of what its database does then."""
    primary = earth.primary()
    promised, before = epoch_promised(one), max(timelines(primary))
    world.send([primary.postmaster()], signal.SIGKILL)
    wait_promised(one, promised)
    one.process.send_signal(signal.SIGSTOP)
    assert max(timelines(one)) == before, "too late: it was seen to be led"
    earth.wait_writes()
    assert earth.primary() is primary
    members.wait_until(f"{one.name} has followed", lambda: follows(one, before + 1), 20)


def doubts(instance):
    with open(instance.log, encoding="utf-8") as file:
        return file.read().count("event=lineage.doubted")


def a_machine_that_went_off_unseen_comes_back(earth):
    _, one, _ = standbys(earth)
    clones = built(one)
    led_unseen(earth, one)
    off(one)
    one.start()
    settled(earth)
    assert (built(one), doubts(one)) == (clones, 0), "a standby that was led by record was rebuilt"


def without_the_primary_it_counts(earth):
    primary, one, other = standbys(earth)
    clones = built(one)
    led_unseen(earth, one)
    earth.wait_writes()
    for each in earth.instances:
        off(each)
    begun = time.monotonic()
    for each in (one, other):
        each.start()
    earth.wait_writes(since=begun)
    print(f"  two of three without the primary: a row after {time.monotonic() - begun:.1f} s",
          flush=True)
    assert earth.primary() is not primary
    assert (built(one), doubts(one)) == (clones, 0), "it was built anew"
    primary.start()
    settled(earth)


def pause_s(earth, seconds):
    for each in earth.writers.all:
        each.pause_s = seconds


def promoted_by_hand_in_that_second(earth):
    """It stood at the very place at which the record's primary went on, and the number that was free
    is the one that was reserved. Let follow by hand, what it wrote is overwritten with the WAL of the
    primary; what it replayed is not."""
    primary, one, other = standbys(earth)
    pause_s(earth, 4 * QUIET_S)
    members.wait_until("nobody has written for a while", lambda:
                       time.monotonic() - earth.writers.last_sent(None) > QUIET_S)
    promised, before = epoch_promised(one), max(timelines(primary))
    world.send([primary.postmaster()], signal.SIGKILL)
    pause_s(earth, writers.PAUSE_S)
    wait_promised(one, promised)
    off(one)
    assert max(timelines(one)) == before, "too late: it was led"
    members.wait_until("the primary is back", primary.is_writable, 30)
    by_hand(one, "-o", "-c primary_conninfo=", "start")
    by_hand(one, "promote")
    write_junk(one, 10)
    by_hand(one, "-m", "immediate", "stop")
    mine, record = (history(each, before + 1) for each in (one, primary))
    print(f"  by hand {mine}, by record {record}", flush=True)
    assert mine == record, "not the same place: the test shows nothing"
    with open(data(one, "standby.signal"), "w", encoding="utf-8"):
        pass
    by_hand(one, "start")
    members.wait_until("it streams", lambda: follows(one, before + 1), 20)
    by_hand(one, "-m", "immediate", "stop")
    one.start()
    confirms_nothing(earth, one, other, "promoted by hand in that second")


def history(instance, timeline):
    """Parent and place of that timeline by the file in its folder."""
    with open(data(instance, "pg_wal", f"{timeline:08X}.history"), encoding="utf-8") as file:
        return file.read().split("\n")[-2].split("\t")[:2]


def test_who_was_led_to_a_new_timeline_unseen_comes_back_and_who_went_there_by_hand_does_not():
    with world.world() as earth:
        settled(earth)
        a_machine_that_went_off_unseen_comes_back(earth)
        without_the_primary_it_counts(earth)
        promoted_by_hand_in_that_second(earth)
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_who_was_led_to_a_new_timeline_unseen_comes_back_and_who_went_there_by_hand_does_not,
    ])
