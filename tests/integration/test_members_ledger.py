#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A ledger of which the disk has lost or damaged a row: whoever asks for that row is told so, and the
member goes on. The damage is made by hand, in the file of its store."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

# Of a leaf before its kind: version, index, term, kind in the log, wall clock, length of the kind.
BEFORE_KIND = 1 + 8 + 8 + 1 + 8 + 4
KEY = 8


def rewrite(member, change):
    """Changes the bytes of every leaf about a region in the store of a member that stands still:
    `change(content, leaf)`, where the leaf begins, its key right before it."""
    path = os.path.join(member.dir, "store", "data.mdb")
    with open(path, "rb") as file:
        content = bytearray(file.read())
    at, found = 0, 0
    while (at := content.find(b"region.put", at)) >= 0:
        leaf = at - BEFORE_KIND
        if content[leaf] == 1 and content[leaf - KEY:leaf - 1] == bytes(KEY - 1):
            change(content, leaf)
            found += 1
        at += 1
    assert found, "no leaf about a region in the store"
    with open(path, "wb") as file:
        file.write(content)


def lose(content, leaf):
    """Nobody finds it any more under its number."""
    content[leaf - 1] -= 1


def damage(content, leaf):
    content[leaf] = 99


def test_a_lost_or_damaged_row_of_the_ledger_is_an_error_of_the_call():
    with members.cluster() as cluster:
        cluster.wait_ready()
        cluster.client("region", "put", "recorded")
        for member, harm in zip(cluster.members, (lose, damage)):
            cluster.wait_ready()
            index = member.status()["applied"]
            member.kill(signal.SIGTERM)
            rewrite(member, harm)
            member.start()
            cluster.wait_ready()
            members.wait_until("it has applied all", lambda at=member, i=index:
                               at.status()["applied"] >= i)
            code, _, said = cluster.client("ledger", "tail", "--count", "100", member=member,
                                           check=False)
            assert code != 0 and "missing or damaged" in said, (code, said)
            assert "region" in cluster.client("ledger", "tail", "--count", "100",
                                              member=cluster.members[2])[1]
            assert member.alive and member.ready()
            assert cluster.client("ledger", "verify", check=False)[0] == 1


if __name__ == "__main__":
    members.run_tests([test_a_lost_or_damaged_row_of_the_ledger_is_an_error_of_the_call])
