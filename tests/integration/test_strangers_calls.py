#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whoever has some certificate of the authority, and no role, at the API port of the leader: what he
sends may cost him his connection, and costs nobody else an office, or memory."""
import contextlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import strangers  # noqa: E402

BOMBERS = 8
BOMBS_S = 4
# An entry of 3.9 KB is put into HPACK's table; after that a byte stands for it.
ENTRY = b"\x40\x01x\x7f\xbd\x1d" + b"v" * 3900
NAMED_AGAIN = b"\xbe" * 12000
STREAMS = 100
WINDOW = 1 << 20  # what a stream may send before it is given more
GROWTH_KIB_MAX = 24 * 1024
DENIED = strangers.DENIED


def is_told(member, cause):
    page = member.get("/metrics")[1]
    count = page.split(f'indaba_connections_refused_total{{cause="{cause}"}} ')[1].split("\n")[0]
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return float(count) > 0 and f"event=connection.refused cause={cause} port=" in file.read()


def small_headers_that_stand_for_large_ones_cost_no_leader_its_office(cluster):
    leader = cluster.wait_ready()
    term = leader.status()["term"]
    until = time.monotonic() + BOMBS_S

    def throw():
        strangers.give_way()
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                link = strangers.WindowOfZero(cluster, leader, "nobody", "127.0.0.2")
                link.link.settimeout(1)
                link.begin("/x/y", ENTRY)
                while time.monotonic() < until:
                    link.begin("/x/y", NAMED_AGAIN)
            with contextlib.suppress(OSError):
                link.close()

    bombers = [threading.Thread(target=throw) for _ in range(BOMBERS)]
    for one in bombers:
        one.start()
    for one in bombers:
        one.join()
    status = members.wait_until("the leader answers", leader.status)
    assert (status["term"], status["role"]) == (term, "leader"), (term, status)
    members.wait_until("the cause is named", lambda: is_told(leader, "protocol"))


def requests_that_are_not_finished_hold_little_memory(cluster):
    leader = cluster.wait_ready()
    before = strangers.resident_kib(leader.process.pid)
    link = strangers.WindowOfZero(cluster, leader, "nobody", "127.0.0.2")
    most = 0
    with contextlib.suppress(OSError):
        for _ in range(STREAMS):
            stream = link.begin(DENIED)
            link.part(stream, b"\x00" + (4 << 20).to_bytes(4, "big") + bytes(WINDOW - 5))
            most = max(most, strangers.resident_kib(leader.process.pid) - before)
    for _ in range(20):
        members.wait_until("it answers others", leader.ready)
        most = max(most, strangers.resident_kib(leader.process.pid) - before)
    link.close()
    assert most < GROWTH_KIB_MAX, f"{most} KiB for {STREAMS} requests that are not whole"
    members.wait_until("the cause is named", lambda: is_told(leader, "unfinished"))


def test_who_has_a_certificate_and_no_role_costs_no_office_and_little_memory():
    with members.cluster() as cluster:
        cluster.issue("nobody", "/nobody/x")
        for attack in (requests_that_are_not_finished_hold_little_memory,
                       small_headers_that_stand_for_large_ones_cost_no_leader_its_office):
            attack(cluster)
            print(f"   {attack.__name__}", flush=True)


if __name__ == "__main__":
    members.run_tests([test_who_has_a_certificate_and_no_role_costs_no_office_and_little_memory])
