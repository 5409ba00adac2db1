# SPDX-License-Identifier: Apache-2.0
"""Watchers that go on from member to member for as long as a test lasts, as a client's library does:
when a stream breaks, the next one begins after the last revision that was seen. What they saw must
be every change, once, in order, with both halves of a transaction at once. And a writer of such
transactions."""
import queue
import random
import threading

import grpc

import etcd_history

PAIR = (b"p/a", b"p/b")
PREFIX, PREFIX_END = b"h/", b"q"  # the keys of the histories, and the pair


class Watcher(threading.Thread):
    """Keeps [(revision, [(key, value or ABSENT), …])] of every answer with changes, as it came."""

    def __init__(self, messages, links, number):
        super().__init__(daemon=True)
        self.messages, self.links = messages, links
        self.dice = random.Random(number)
        self.link = links[number % len(links)]
        self.seen = []
        self.last = 1
        self.promised = []  # (revision that a progress answer names, last change seen before it)
        self.streams = 0
        self.stopping = threading.Event()
        self.stream = None
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.follow()
                self.link = self.dice.choice(self.links)
                self.stopping.wait(0.02)
        except Exception as failure:  # the test looks at it
            self.failure = failure

    def follow(self):
        """One stream, to its end."""
        requests = queue.Queue()
        create = self.messages["etcdserverpb.WatchCreateRequest"](
            key=PREFIX, range_end=PREFIX_END, start_revision=self.last + 1, progress_notify=True)
        requests.put(self.messages["etcdserverpb.WatchRequest"](create_request=create))
        self.stream = self.link.stream_stream(
            "/etcdserverpb.Watch/Watch", request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=self.messages["etcdserverpb.WatchResponse"].FromString)(
                iter(requests.get, None))
        if self.stopping.is_set():
            self.stream.cancel()
        self.streams += 1
        try:
            for answer in self.stream:
                self.take(answer)
        except grpc.RpcError:
            pass
        requests.put(None)

    def take(self, answer):
        assert answer.compact_revision == 0, "compacted, and nobody asked for it"
        if answer.events:
            self.take_events(answer.events)
        elif not answer.created and not answer.canceled:
            self.promised.append((answer.header.revision, self.last))

    def take_events(self, events):
        """A revision is whole in one answer, so it can be gone on after the last one."""
        for event in events:
            deleted = event.type == 1
            revision = event.kv.mod_revision
            change = (event.kv.key, etcd_history.ABSENT if deleted else event.kv.value)
            if self.seen and self.seen[-1][0] == revision and self.last < revision:
                self.seen[-1][1].append(change)
            else:
                self.seen.append((revision, [change]))
        self.last = self.seen[-1][0]

    def stop(self):
        self.stopping.set()
        if self.stream is not None:
            self.stream.cancel()
        self.join(30)
        if self.failure:
            raise self.failure


class PairWriter(threading.Thread):
    """Puts one value to both keys of the pair, in one transaction."""

    def __init__(self, apis, pause_s):
        super().__init__(daemon=True)
        self.apis, self.pause_s = apis, pause_s
        self.acknowledged = []  # (revision, value)
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        count = 0
        api = self.apis[0]
        try:
            while not self.stopping.is_set():
                count += 1
                value = f"pair-{count}".encode()
                try:
                    self.acknowledged.append((self.put(api, value), value))
                except grpc.RpcError:
                    api = random.choice(self.apis)
                self.stopping.wait(self.pause_s)
        except Exception as failure:  # the test looks at it
            self.failure = failure

    @staticmethod
    def put(api, value):
        request = api.message("TxnRequest")
        for key in PAIR:
            put = api.message("PutRequest", key=key, value=value)
            request.success.add().request_put.CopyFrom(put)
        return api.call("Txn", request, "TxnResponse").header.revision

    def stop(self):
        self.stopping.set()
        self.join(30)
        if self.failure:
            raise self.failure


def states_of(api, last):
    """What the store says of each revision, read one by one: [revision] -> {key: value}."""
    states = [None, {}]
    for revision in range(2, last + 1):
        reply = api.range(PREFIX, PREFIX_END, revision=revision)
        states.append({pair.key: pair.value for pair in reply.kvs})
    return states


def without_pairs(state):
    return state and {key: value for key, value in state.items() if key not in PAIR}


def changes_of(states):
    """{revision: {key: value or ABSENT}}: what a watch must tell. Each value is written once, so
    every change shows."""
    changes = {}
    for revision in range(2, len(states)):
        before, after = states[revision - 1], states[revision]
        changed = {key: value for key, value in after.items() if before.get(key) != value}
        changed.update((key, etcd_history.ABSENT) for key in before if key not in after)
        if changed:
            changes[revision] = changed
    return changes


def judge_watch(watcher, changes):
    """No gap, no change twice, none out of order, none that never was; progress answers true."""
    newest = 0
    for revision, told in watcher.seen:
        assert revision > newest, f"revision {revision} came after {newest}"
        missed = [one for one in range(newest + 1, revision) if one in changes]
        assert not missed, f"revisions {missed} were not told before {revision}"
        assert len(told) == len(dict(told)), f"a key twice at {revision}: {told}"
        assert dict(told) == changes.get(revision), (revision, told, changes.get(revision))
        newest = revision
    missed = [one for one in changes if one > newest]
    assert not missed, f"revisions {missed} were never told"
    for promised, seen in watcher.promised:
        early = [one for one in range(seen + 1, promised + 1) if one in changes]
        assert not early, f"progress at {promised} was told before the changes {early}"


def judge_pairs(writer, states):
    for revision in range(2, len(states)):
        first, second = (states[revision].get(key) for key in PAIR)
        assert first == second, f"half a transaction at {revision}: {first} and {second}"
    for revision, value in writer.acknowledged:
        assert states[revision].get(PAIR[0]) == value, f"{value} is not at {revision}"
