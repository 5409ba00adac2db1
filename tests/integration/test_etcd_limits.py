#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one client of etcd's API may ask of all members: work and answers are bounded, a refusal is
for who asked alone, and no request ends a member, then or at its next start."""
import os
import sys
import threading
from concurrent import futures

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcd3.etcdrpc as rpc  # noqa: E402
import etcdctl  # noqa: E402
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402

MEBIBYTE = 1 << 20
TXN_OPS = 128


def stub(cluster, member):
    return rpc.KVStub(members_grpc.channel(cluster, member, etcdctl.IDENTITY))


def put_of(key, value=b"v", lease=0):
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease))


def range_of(key, end):
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key, range_end=end))


def refused_with(code, call, request):
    try:
        call(request, timeout=30)
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error.details()
    raise AssertionError("it was not refused")


def load(kv, prefix, count, lease=0):
    """Keys, many to a transaction, some transactions at a time."""
    keys = [b"%s%06d" % (prefix, number) for number in range(count)]
    txns = [rpc.TxnRequest(success=[put_of(key, lease=lease) for key in keys[at:at + TXN_OPS]])
            for at in range(0, count, TXN_OPS)]
    with futures.ThreadPoolExecutor(4) as pool:
        for reply in pool.map(lambda txn: kv.Txn(txn, timeout=30), txns):
            assert reply.succeeded


def test_a_transaction_that_would_answer_too_much_is_refused_and_ends_no_member():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        for member in cluster.members:
            kv = stub(cluster, member)
            for number in range(4):
                kv.Put(rpc.PutRequest(key=b"big%d" % number, value=bytes(MEBIBYTE)), timeout=30)
            large = rpc.TxnRequest(success=[put_of(b"written")] +
                                   [range_of(b"b", b"c")] * (TXN_OPS - 1))
            said = refused_with(grpc.StatusCode.RESOURCE_EXHAUSTED, kv.Txn, large)
            assert "too large" in said, said
            fits = kv.Txn(rpc.TxnRequest(success=[range_of(b"b", b"big3")]), timeout=30)
            assert fits.responses[0].response_range.count == 3
        assert stub(cluster, cluster.members[0]).Range(
            rpc.RangeRequest(key=b"written"), timeout=30).count == 0
        for member in cluster.members:
            member.kill()
        for member in cluster.members:
            member.start()
        cluster.wait_ready()


def test_a_deletion_of_any_size_is_done_also_where_much_was_deleted_before():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        kv = stub(cluster, leader)
        everything = rpc.DeleteRangeRequest(key=b"k", range_end=b"l")
        for _ in range(2):
            load(kv, b"k", 60000)
            assert kv.DeleteRange(everything, timeout=30).deleted == 60000
        assert kv.DeleteRange(everything, timeout=30).deleted == 0
        # 240,000 versions: too many for a sort or a transaction, none for a plain read.
        said = refused_with(grpc.StatusCode.RESOURCE_EXHAUSTED, kv.Txn,
                            rpc.TxnRequest(success=[range_of(b"k", b"l")]))
        assert "too many keys" in said, said
        sort = rpc.RangeRequest(key=b"k", range_end=b"l", sort_order="DESCEND", limit=1)
        said = refused_with(grpc.StatusCode.RESOURCE_EXHAUSTED, kv.Range, sort)
        assert "too many keys" in said, said
        kv.Put(rpc.PutRequest(key=b"k059999z", value=b"last"), timeout=30)
        plain = rpc.RangeRequest(key=b"k", range_end=b"l", limit=1)
        assert [one.value for one in kv.Range(plain, timeout=30).kvs] == [b"last"]


def test_what_finds_no_place_in_an_entry_is_brought_in_another():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        kv = stub(cluster, leader)
        leases = rpc.LeaseStub(members_grpc.channel(cluster, leader, etcdctl.IDENTITY))
        ids = [leases.LeaseGrant(rpc.LeaseGrantRequest(TTL=600), timeout=30).ID for _ in range(4)]
        for lease in ids:
            load(kv, b"k%d/" % lease, 20000, lease)
        # 80,000 deletions, asked for at once: more than one entry may do.
        asked = [leases.LeaseRevoke.future(rpc.LeaseRevokeRequest(ID=lease), timeout=30)
                 for lease in ids]
        for one in asked:
            one.result()
        left = kv.Range(rpc.RangeRequest(key=b"k", range_end=b"l", count_only=True), timeout=30)
        assert left.count == 0


def test_a_long_read_is_of_one_revision_while_others_write():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        follower = next(one for one in cluster.members if one is not leader)
        kv = stub(cluster, leader)
        load(kv, b"k", 40000)
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                value = b"%d" % number
                kv.Txn(rpc.TxnRequest(success=[put_of(b"k000000", value),
                                               put_of(b"k039999", value)]), timeout=30)

        with futures.ThreadPoolExecutor(1) as pool:
            writer = pool.submit(write)
            revisions = set()
            for turn in range(12):
                member = leader if turn % 3 else follower
                request = rpc.RangeRequest(key=b"k", range_end=b"l", serializable=turn % 2 == 1)
                reply = stub(cluster, member).Range(request, timeout=30)
                assert reply.count == len(reply.kvs) == 40000 and not reply.more
                first, last = reply.kvs[0], reply.kvs[-1]
                assert (first.value, first.mod_revision) == (last.value, last.mod_revision)
                assert last.mod_revision <= reply.header.revision
                assert [one.key for one in reply.kvs] == sorted(one.key for one in reply.kvs)
                revisions.add(reply.header.revision)
            stop.set()
            writer.result()
        assert len(revisions) > 1, "nothing was written meanwhile"
        few = kv.Range(rpc.RangeRequest(key=b"k", range_end=b"l", limit=2), timeout=30)
        assert (len(few.kvs), few.count, few.more) == (2, 40000, True)
        none = kv.Range(rpc.RangeRequest(key=b"k", range_end=b"l", count_only=True), timeout=30)
        assert (len(none.kvs), none.count) == (0, 40000)


if __name__ == "__main__":
    members.run_tests([
        test_a_transaction_that_would_answer_too_much_is_refused_and_ends_no_member,
        test_a_deletion_of_any_size_is_done_also_where_much_was_deleted_before,
        test_what_finds_no_place_in_an_entry_is_brought_in_another,
        test_a_long_read_is_of_one_revision_while_others_write,
    ])
