#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes through etcd's API are in the ledger: each log entry is proven, by two audit paths and
with no code of ours, to be under the root of the whole tree; and no index is left out."""
import hashlib
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcd_history  # noqa: E402
import etcdctl  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_path(leaf_hash, number, size, path):
    """RFC 9162, section 2.1.3.2."""
    result, last = leaf_hash, size - 1
    for sibling in map(bytes.fromhex, path):
        assert last > 0, "the path is too long"
        if number & 1 or number == last:
            result = node(sibling, result)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            result = node(result, sibling)
        number, last = number >> 1, last >> 1
    assert last == 0, "the path is too short"
    return result


class Ledger:
    def __init__(self, cluster):
        self.messages = members_grpc.load_messages(cluster.dir)
        self.link = members_grpc.channel(cluster, cluster.members[0], "operator")

    def ask(self, name, **fields):
        request = self.messages[name + "Request"](**fields)
        return members_grpc.call(self.messages, self.link, f"/indaba.v1.Ledger/{name}", request,
                                 name + "Response")


    def has_both_puts(self):
        return [leaf.kind for leaf in self.ask("ListLeaves").leaves].count("region.put") == 2


def check_entry(ledger, index, head):
    """True if it is one of a run."""
    place = ledger.ask("FindEntry", index=index)
    leaf = ledger.ask("ListLeaves", first=place.number, count=1).leaves[0]
    proof = ledger.ask("GetInclusionProof", number=place.number, size=head.size)
    leaf_hash = hashlib.sha256(b"\x00" + leaf.leaf).digest()
    root = root_of_path(leaf_hash, place.number, head.size, proof.hashes)
    assert root.hex() == head.root == proof.root
    if leaf.kind != "kv.digest":
        assert leaf.index == index and not place.run_entries
        return False
    version, first, entries, _ = struct.unpack("<BQII", leaf.payload[:17])
    assert (version, first, entries) == (1, place.run_first, place.run_entries)
    run_root = root_of_path(bytes.fromhex(place.entry_hash), index - first, entries, place.hashes)
    assert run_root == leaf.payload[17:] == bytes.fromhex(place.run_root)
    return True


def test_every_entry_of_the_log_is_proven_under_the_root():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        load = etcd_history.Workload(cluster, etcdctl.IDENTITY)
        members.wait_until("answers", lambda: load.answered() > 200)
        cluster.client("region", "put", "r1", "--rank", "3")  # ends the open run
        members.wait_until("answers", lambda: load.answered() > 400)
        load.stop()
        load.close()
        ledger = Ledger(cluster)
        cluster.client("region", "put", "r1", "--rank", "4")
        # Each member answers for its own ledger: the one that is asked may be a moment behind.
        members.wait_until("the member that is asked has the last leaf", ledger.has_both_puts)
        head = ledger.ask("GetHead")
        newest = ledger.ask("ListLeaves", from_end=True, count=1).leaves[0]
        in_runs = [check_entry(ledger, index, head) for index in range(1, newest.index + 1)]
        assert in_runs.count(True) > 20 and in_runs.count(False) > 3, in_runs
        print(f"  {in_runs.count(True)} entries in runs, {head.size} leaves")


if __name__ == "__main__":
    members.run_tests([test_every_entry_of_the_log_is_proven_under_the_root])
