#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many connections that have sent thousands of calls each, to a member that was stopped meanwhile:
when it goes on, whoever asked last has his answer after a part of theirs, not after all of them."""
import contextlib
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import strangers  # noqa: E402

SENDERS = 48
CALLS = 4000  # of each, some 112 KB: what a socket that nobody reads has room for
PART_OF = 3  # what is answered first is less than one part of so many
PAGE_S = 1.1  # so long a page is not made anew
DENIED_TOTAL = "indaba_api_denied_total"
PAGE = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
NO_FRAME = bytes((0, 0, 1, 0, 0, 0, 0, 0, 0, 0))  # data of stream 0: it ends the connection


def read_to_the_end(link):
    """As it comes: nothing is decrypted."""
    data = b""
    link.setblocking(True)
    with contextlib.suppress(ConnectionError):
        while more := os.read(link.fileno(), 1 << 18):
            data += more
    return data


def denied(page):
    return next(float(line.split(" ")[1]) for line in page.split("\n")
                if line.startswith(DENIED_TOTAL + " "))


def who_asked_last_waits_for_a_part_of_what_others_sent(cluster, identity):
    leader = cluster.wait_ready()
    member = next(one for one in cluster.members if one is not leader)
    senders = [strangers.WindowOfZero(cluster, member, identity, "127.0.0.2")
               for _ in range(SENDERS)]
    # Its settings: it is in, and not merely on its way.
    for sender in senders:
        assert sender.link.recv(1)
    # It is accepted, and waits for its request to become whole.
    last = strangers.connect(member.ops, "127.0.0.3", 60)
    last.sendall(PAGE[:-2])
    before = strangers.metric(member, DENIED_TOTAL)
    asked_s = time.monotonic()
    member.process.send_signal(signal.SIGSTOP)
    try:
        for sender in senders:
            sender.link.sendall(sender.begin_many(strangers.DENIED, CALLS) + NO_FRAME)
        last.sendall(PAGE[-2:])
        members.wait_until("a page made anew", lambda: time.monotonic() > asked_s + PAGE_S)
    finally:
        member.process.send_signal(signal.SIGCONT)
    readers = [threading.Thread(target=read_to_the_end, args=(sender.link,))
               for sender in senders]
    for reader in readers:
        reader.start()
    first = denied(read_to_the_end(last).decode()) - before
    answered_s = time.monotonic()
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive(), "a connection that broke the protocol did not end"
    members.wait_until("a page made anew", lambda: time.monotonic() > answered_s + PAGE_S)
    total = strangers.metric(member, DENIED_TOTAL) - before
    for link in [sender.link for sender in senders] + [last]:
        link.close()
    print(f"   {identity}: {first:.0f} of {total:.0f} calls were answered before", flush=True)
    assert total >= SENDERS * 128, total
    assert first < total / PART_OF, (first, total)


def test_who_asked_last_waits_for_a_part_of_what_others_sent():
    with members.cluster() as cluster:
        cluster.issue("nobody", "/nobody/x")
        cluster.issue("app", "/client/app")
        for identity in ("nobody", "app"):
            who_asked_last_waits_for_a_part_of_what_others_sent(cluster, identity)


if __name__ == "__main__":
    members.run_tests([test_who_asked_last_waits_for_a_part_of_what_others_sent])
