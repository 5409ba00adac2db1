#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""python-etcd3, a client of etcd that has nothing to do with etcd's own: watches with everything
that a watch can ask, many on one stream, a slow reader, leases and transactions, over mutual TLS."""
import os
import queue
import signal
import statistics
import sys
import threading
import time

import etcd3
import etcd3.etcdrpc as rpc
import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))
import etcdctl  # noqa: E402
import members  # noqa: E402


def client(cluster, member):
    return etcd3.client(host="127.0.0.1", port=member.api, ca_cert=f"{cluster.certs}/ca.pem",
                        cert_cert=f"{cluster.certs}/app.pem", cert_key=f"{cluster.certs}/app.key",
                        timeout=10)


class Stream:
    """A raw Watch stream: says what a test wants, and pauses when it wants."""

    def __init__(self, etcd):
        self.questions = queue.Queue()
        self.answers = etcd.watcher._watch_stub.Watch(iter(self.questions.get, None))

    def ask(self, **what):
        self.questions.put(rpc.WatchRequest(**what))

    def create(self, **what):
        self.ask(create_request=rpc.WatchCreateRequest(**what))
        answer = next(self.answers)
        assert answer.created, answer
        return answer

    def events(self, count):
        """The next events as (watch id, type, key, mod_revision)."""
        got = []
        while len(got) < count:
            answer = next(self.answers)
            assert not answer.canceled, answer
            got += [(answer.watch_id, event.type, event.kv.key, event.kv.mod_revision)
                    for event in answer.events]
        assert len(got) == count, got
        return got

    def close(self):
        self.questions.put(None)
        self.answers.cancel()


def test_keys_transactions_and_leases():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        one, two = (client(cluster, member) for member in cluster.members[:2])
        one.put("k", "v")
        assert two.get("k")[0] == b"v"
        assert two.get("missing")[0] is None
        assert two.replace("k", "v", "w") and not two.replace("k", "v", "x")
        succeeded, _ = one.transaction(
            compare=[one.transactions.value("k") == "w", one.transactions.version("k") > 1],
            success=[one.transactions.put("done", "yes"), one.transactions.delete("k")],
            failure=[one.transactions.put("done", "no")])
        assert succeeded and two.get("done")[0] == b"yes" and two.get("k")[0] is None
        lease = two.lease(60)
        one.put("held", "1", lease=lease)
        assert 50 < lease.remaining_ttl <= 60 and lease.granted_ttl == 60
        assert list(lease.keys) == [b"held"]
        assert [answer.TTL for answer in lease.refresh()] == [60]
        lease.revoke()
        assert one.get("held")[0] is None
        assert [answer.TTL for answer in one.refresh_lease(lease.id)] == [0]


def test_a_range_can_be_only_counted():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        etcd = client(cluster, cluster.members[0])
        for number in range(7):
            etcd.put(f"n/{number}", "x")
        request = rpc.RangeRequest(key=b"n/", range_end=b"n0", count_only=True)
        answer = etcd.kvstub.Range(request, timeout=10, credentials=etcd.call_credentials)
        assert answer.count == 7 and not answer.kvs and not answer.more
        request = rpc.RangeRequest(key=b"n/", range_end=b"n0", min_mod_revision=4,
                                   max_create_revision=6)
        answer = etcd.kvstub.Range(request, timeout=10)
        assert [pair.mod_revision for pair in answer.kvs] == [4, 5, 6] and answer.count == 7


def test_many_watchers_share_a_stream_with_filters_and_their_own_ids():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        etcd = client(cluster, cluster.members[0])
        stream = Stream(client(cluster, cluster.members[1]))
        assert stream.create(key=b"a").watch_id == 0
        # This client's messages are older than the field watch_id, so it is added as bytes.
        seven = rpc.WatchCreateRequest.FromString(
            rpc.WatchCreateRequest(key=b"a").SerializeToString() + b"\x38\x07")
        stream.ask(create_request=seven)
        assert next(stream.answers).watch_id == 7
        puts = stream.create(key=b"a", range_end=b"c",
                             filters=[rpc.WatchCreateRequest.NODELETE]).watch_id
        gone = stream.create(key=b"\0", range_end=b"\0",
                             filters=[rpc.WatchCreateRequest.NOPUT]).watch_id
        stream.ask(create_request=seven)
        refused = next(stream.answers)
        assert refused.created and refused.canceled and b"duplicate" in refused.SerializeToString()
        etcd.put("a", "1")
        revision = etcd.get("a")[1].mod_revision
        assert sorted(stream.events(3)) == sorted([(0, 0, b"a", revision), (7, 0, b"a", revision),
                                                   (puts, 0, b"a", revision)])
        stream.ask(cancel_request=rpc.WatchCancelRequest(watch_id=7))
        answer = next(stream.answers)
        assert answer.canceled and answer.watch_id == 7
        etcd.delete("a")
        assert sorted(stream.events(2)) == sorted([(0, 1, b"a", revision + 1),
                                                   (gone, 1, b"a", revision + 1)])
        stream.close()


def test_progress_is_told_when_asked_and_never_ahead_of_events():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        etcd = client(cluster, cluster.members[0])
        stream = Stream(etcd)
        stream.create(key=b"p")
        for number in range(5):
            etcd.put("p", str(number))
        assert [event[3] for event in stream.events(5)] == [2, 3, 4, 5, 6]
        # However long the member reads what was written, it has answered that it is.
        large = [rpc.RequestOp(request_put=rpc.PutRequest(key=f"other/{part:03}".encode(),
                                                          value=b"x" * 5000)) for part in range(99)]
        for number in range(30):
            written = etcd.kvstub.Txn(rpc.TxnRequest(success=large), timeout=10).header.revision
            stream.questions.put(rpc.WatchRequest.FromString(b"\x1a\x00"))  # progress_request
            answer = next(stream.answers)
            assert answer.watch_id == -1 and not answer.events, answer
            assert answer.header.revision == written == 7 + number, (answer, written)
        stream.close()


def test_a_watch_goes_on_when_its_client_has_nothing_more_to_ask():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        etcd = client(cluster, cluster.members[0])
        stream = Stream(etcd)
        stream.create(key=b"k")
        stream.questions.put(None)
        written = etcd.put("k", "1").header.revision
        assert stream.events(1) == [(0, 0, b"k", written)]
        etcd.delete("k")
        assert stream.events(1) == [(0, 1, b"k", written + 1)]
        stream.answers.cancel()

        # No key is in these, which is said at once; they take no id.
        stream = Stream(etcd)
        for key, end in ((b"b", b"a"), (b"b", b"b"), (b"", b"\0\0"), (b"b", b"\0\0")):
            stream.ask(create_request=rpc.WatchCreateRequest(key=key, range_end=end))
            answer = next(stream.answers)
            empty = key != b""  # an empty one stands for the first
            assert answer.created and answer.canceled == empty, (key, end, answer)
            assert answer.watch_id == (-1 if empty else 0), answer
            assert (b"mvcc: watcher range is empty" in answer.SerializeToString()) == empty
        # A filter of another time is passed over.
        newer = rpc.WatchCreateRequest.FromString(
            rpc.WatchCreateRequest(key=b"k").SerializeToString() + b"\x2a\x01\x05")
        stream.ask(create_request=newer)
        assert next(stream.answers).watch_id == 1
        etcd.put("k", "2")
        etcd.delete("k")
        assert [event[1] for event in stream.events(2)] == [0, 1]
        stream.close()


def refused_at_once(call):
    started = time.monotonic()
    try:
        call()
        raise AssertionError("it was done")
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == \
            (grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader"), error
    assert time.monotonic() - started < 2


def test_who_needs_a_leader_is_told_that_there_is_none():
    need = (("hasleader", "true"),)
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        alone = cluster.members[0]
        etcd = client(cluster, alone)
        watch, keep = etcd.watcher._watch_stub.Watch, etcd.leasestub.LeaseKeepAlive
        lease = etcd.lease(60)
        etcd.put("k", "v")
        open_ones = [one(iter(queue.Queue().get, None), metadata=need) for one in (watch, keep)]
        patient = Stream(etcd)
        patient.create(key=b"k")
        for other in cluster.members[1:]:
            other.kill()
        members.wait_until("it knows no leader", lambda: not alone.status()["leader"])

        get = rpc.RangeRequest(key=b"k", serializable=True)
        refused_at_once(lambda: etcd.kvstub.Put(rpc.PutRequest(key=b"k"), timeout=10,
                                                metadata=need))
        refused_at_once(lambda: etcd.kvstub.Range(get, timeout=10, metadata=need))
        assert etcd.kvstub.Range(get, timeout=10).kvs[0].value == b"v"
        past = rpc.WatchCreateRequest(key=b"k", start_revision=1)
        refused_at_once(lambda: next(watch(iter([rpc.WatchRequest(create_request=past)]),
                                           metadata=need)))
        refused_at_once(lambda: next(keep(iter([rpc.LeaseKeepAliveRequest(ID=lease.id)]),
                                          metadata=need)))
        # Streams that are open end when it lasts; those that need no leader go on.
        for one in open_ones:
            members.wait_until("the stream ends", one.done, 10)
            assert one.details() == "etcdserver: no leader", one
        for other in cluster.members[1:]:
            other.start()
        cluster.wait_ready()
        written = etcd.put("k", "w").header.revision
        assert patient.events(1) == [(0, 0, b"k", written)]
        assert etcd.kvstub.Range(get, timeout=10, metadata=need).kvs[0].value == b"w"
        patient.close()


def ask_and_kill(cluster, metadata=None):
    """Asks through a follower that a lease lives on, of a leader that dies without an answer: the
    stream."""
    leader = cluster.wait_ready()
    asked = next(one for one in cluster.members if one.alive and one is not leader)
    etcd = client(cluster, asked)
    lease, questions = etcd.lease(60), queue.Queue()
    stream = etcd.leasestub.LeaseKeepAlive(iter(questions.get, None), metadata=metadata)
    questions.put(rpc.LeaseKeepAliveRequest(ID=lease.id))
    assert next(stream).TTL == 60
    leader.process.send_signal(signal.SIGSTOP)
    questions.put(rpc.LeaseKeepAliveRequest(ID=lease.id))
    # What is behind it has been passed on, too: it is with the leader.
    try:
        etcd.kvstub.Put(rpc.PutRequest(key=b"k"), timeout=0.15)
        raise AssertionError("a frozen leader answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    leader.kill()
    return stream


def test_a_lease_that_was_kept_alive_when_the_leader_died_is_asked_about_again():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        assert next(ask_and_kill(cluster)).TTL == 60
        # Now the last two, and then nobody leads.
        ended = ask_and_kill(cluster, (("hasleader", "true"),))
        try:
            raise AssertionError(f"answered: {next(ended)}")
        except grpc.RpcError as error:
            assert (error.code(), error.details()) == \
                (grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader"), error


def test_a_member_shows_what_was_written_through_it():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        etcd = client(cluster, next(one for one in cluster.members if one is not leader))
        stream = Stream(etcd)
        took = []
        for number in range(100):
            started = time.monotonic()
            written = etcd.put("k", str(number)).header.revision
            took.append(time.monotonic() - started)
            assert etcd.get("k", serializable=True)[0] == str(number).encode()
            created = stream.create(key=b"k").header.revision
            assert created >= written, (created, written)
            stream.ask(cancel_request=rpc.WatchCancelRequest(watch_id=number))
            answer = next(stream.answers)
            assert answer.canceled and not answer.events, answer
        # Nor does it wait for the next heartbeat to hear that the write is committed: each would
        # take the 50 ms between two. A machine that stands still for a moment is not meant.
        assert statistics.median(took) < 0.04, took
        stream.close()


def test_a_slow_reader_misses_nothing_and_costs_little():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        writer = client(cluster, cluster.members[0])
        stream = Stream(client(cluster, cluster.members[1]))
        stream.create(key=b"slow/", range_end=b"slow0")
        count, value = 3000, "v" * 10000
        before = anon_mib(cluster.members[1])

        def write(part):
            own = client(cluster, cluster.members[part % 3])
            for number in range(part, count, 4):
                own.put(f"slow/{number:05}", value)
        threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # 30 MB were written, and nothing was read yet; the log in memory holds them, the watch not.
        grown = anon_mib(cluster.members[1]) - anon_mib(cluster.members[2])
        assert grown < 12, (before, grown)
        events = stream.events(count)
        assert [event[3] for event in events] == list(range(2, count + 2))
        assert sorted(event[2] for event in events) == \
            [f"slow/{number:05}".encode() for number in range(count)]
        assert writer.get("slow/00000")[0] == value.encode()
        stream.close()


def test_a_large_revision_comes_in_parts_to_who_asked_for_that():
    with members.cluster(1) as cluster:
        etcdctl.prepare(cluster)
        etcd = client(cluster, cluster.members[0])
        for number in range(600):
            etcd.put(f"large/{number:03}", "x" * 20000)
        stream = Stream(etcd)
        request = rpc.WatchCreateRequest(key=b"large/", range_end=b"large0", prev_kv=True)
        fragment = b"\x40\x01"  # a field that this library does not know
        stream.ask(create_request=rpc.WatchCreateRequest.FromString(
            request.SerializeToString() + fragment))
        assert next(stream.answers).created
        etcd.delete_prefix("large/")
        stream.ask(create_request=rpc.WatchCreateRequest(key=b"other"))
        answers = [next(stream.answers)]
        while sum(len(answer.events) for answer in answers) < 600 or len(answers) < 2:
            answers.append(next(stream.answers))
        # The other watch is answered before or after all parts, as a client needs it.
        parts = [answer for answer in answers if not answer.created]
        assert answers[0].created or all(answer.events for answer in answers[:len(parts)])
        assert len(parts) >= 6 and all(answer.watch_id == 0 for answer in parts), len(parts)
        assert all(answer.ByteSize() < 4 << 20 for answer in parts)  # what a client takes at least
        events = [event for answer in parts for event in answer.events]
        assert [event.kv.key for event in events] == [b"large/%03d" % n for n in range(600)]
        assert all(len(event.prev_kv.value) == 20000 for event in events)
        stream.close()


def test_a_very_large_deletion_is_done_in_parts():
    with members.cluster() as cluster:
        leader = etcdctl.prepare(cluster)
        follower = next(one for one in cluster.members if one is not leader)
        etcd = client(cluster, leader)
        for number in range(850):
            puts = [rpc.RequestOp(request_put=rpc.PutRequest(
                key=f"many/{number:03}/{part:03}".encode(), value=b"x")) for part in range(120)]
            etcd.kvstub.Txn(rpc.TxnRequest(success=puts), timeout=10)
        etcd.put("many0", "stays")
        whole = rpc.DeleteRangeRequest(key=b"many/", range_end=b"many0")
        answer = client(cluster, follower).kvstub.DeleteRange(whole, timeout=30)
        assert answer.deleted == 850 * 120, answer
        counted = rpc.RangeRequest(key=b"many", range_end=b"\0", count_only=True)
        assert etcd.kvstub.Range(counted, timeout=10).count == 1
        assert etcd.kvstub.DeleteRange(whole, timeout=10).deleted == 0


def anon_mib(member):
    with open(f"/proc/{member.process.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024


def test_errors_have_the_codes_and_texts_of_etcd():
    with members.cluster() as cluster:
        etcdctl.prepare(cluster)
        for member in cluster.members:
            etcd = client(cluster, member)
            for call, request, code, text in (
                    (etcd.kvstub.Put, rpc.PutRequest(value=b"v"),
                     grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: key is not provided"),
                    (etcd.kvstub.Range, rpc.RangeRequest(),
                     grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: key is not provided"),
                    (etcd.kvstub.Put, rpc.PutRequest(key=b"none", ignore_value=True),
                     grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: key not found"),
                    (etcd.kvstub.Put, rpc.PutRequest(key=b"k", lease=4711),
                     grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found"),
                    (etcd.kvstub.Range, rpc.RangeRequest(key=b"k", revision=1000),
                     grpc.StatusCode.OUT_OF_RANGE,
                     "etcdserver: mvcc: required revision is a future revision"),
                    (etcd.kvstub.Compact, rpc.CompactionRequest(revision=1000),
                     grpc.StatusCode.OUT_OF_RANGE,
                     "etcdserver: mvcc: required revision is a future revision"),
                    (etcd.leasestub.LeaseGrant, rpc.LeaseGrantRequest(TTL=10 ** 10),
                     grpc.StatusCode.OUT_OF_RANGE, "etcdserver: too large lease TTL")):
                try:
                    call(request, timeout=10)
                    raise AssertionError(f"{request} was accepted")
                except grpc.RpcError as error:
                    assert (error.code(), error.details()) == (code, text), error


if __name__ == "__main__":
    members.run_tests([
        test_keys_transactions_and_leases,
        test_a_range_can_be_only_counted,
        test_many_watchers_share_a_stream_with_filters_and_their_own_ids,
        test_progress_is_told_when_asked_and_never_ahead_of_events,
        test_a_watch_goes_on_when_its_client_has_nothing_more_to_ask,
        test_who_needs_a_leader_is_told_that_there_is_none,
        test_a_lease_that_was_kept_alive_when_the_leader_died_is_asked_about_again,
        test_a_member_shows_what_was_written_through_it,
        test_a_slow_reader_misses_nothing_and_costs_little,
        test_a_large_revision_comes_in_parts_to_who_asked_for_that,
        test_a_very_large_deletion_is_done_in_parts,
        test_errors_have_the_codes_and_texts_of_etcd,
    ])
