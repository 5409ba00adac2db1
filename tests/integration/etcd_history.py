# SPDX-License-Identifier: Apache-2.0
"""Histories of etcd's API under faults: clients that read, write, delete, compare and swap on a few
hot keys through every member, each value written once; and a judge that knows nothing of the
server but its answers.

The judge asks the store for its state at every revision there ever was: the order that it claims.
Each answered operation must be right at the revision in its answer; an operation that ended before
another began must not come after it; a value must come into being once at most, whether its writer
got an answer or not. edn_text() gives the same history to a judge that believes no revisions."""
import random
import threading
import time

import grpc

import members_grpc

# What certainly did nothing; everything else that fails may have been done.
HARMLESS = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.RESOURCE_EXHAUSTED)
ABSENT = None


class Operation:
    """kind: read, put, delete, swap. `seen`: what was read; of a swap that failed, too."""

    def __init__(self, process, kind, key, value=ABSENT, old=ABSENT):
        self.process, self.kind, self.key, self.value, self.old = process, kind, key, value, old
        self.begun = time.monotonic_ns()
        self.ended = None
        self.outcome = "unknown"
        self.seen = ABSENT
        self.succeeded = None
        self.revision = None

    def changes(self):
        """Whether the answer says that something was written."""
        return self.kind == "put" or (self.kind == "swap" and self.succeeded) or \
            (self.kind == "delete" and self.succeeded)


class Api:
    """The messages of etcd's API, and calls to one member."""

    def __init__(self, messages, link, timeout=1.0):
        self.messages = messages
        self.link = link
        self.timeout = timeout

    def call(self, method, request, response, service="KV"):
        run = self.link.unary_unary(f"/etcdserverpb.{service}/{method}")
        return self.messages[f"etcdserverpb.{response}"].FromString(
            run(request.SerializeToString(), timeout=self.timeout))

    def message(self, name, **fields):
        return self.messages[f"etcdserverpb.{name}"](**fields)

    def range(self, key, end=b"", revision=0, serializable=False):
        request = self.message("RangeRequest", key=key, range_end=end, revision=revision,
                               serializable=serializable)
        return self.call("Range", request, "RangeResponse")

    def put(self, key, value):
        return self.call("Put", self.message("PutRequest", key=key, value=value), "PutResponse")

    def delete(self, key):
        request = self.message("DeleteRangeRequest", key=key)
        return self.call("DeleteRange", request, "DeleteRangeResponse")

    def grant(self, seconds):
        request = self.message("LeaseGrantRequest", TTL=seconds)
        return self.call("LeaseGrant", request, "LeaseGrantResponse", "Lease")

    def swap(self, key, old, new, lease=0):
        """Puts `new` if the value is `old`; else reads."""
        request = self.message("TxnRequest", compare=[self.is_value(key, old)])
        request.success.add().request_put.CopyFrom(
            self.message("PutRequest", key=key, value=new, lease=lease))
        request.failure.add().request_range.CopyFrom(self.message("RangeRequest", key=key))
        return self.call("Txn", request, "TxnResponse")

    def delete_if(self, key, old):
        """Deletes the key if the value is `old`."""
        request = self.message("TxnRequest", compare=[self.is_value(key, old)])
        request.success.add().request_delete_range.CopyFrom(
            self.message("DeleteRangeRequest", key=key))
        return self.call("Txn", request, "TxnResponse")

    def is_value(self, key, old):
        compare = self.message("Compare", key=key, result=0)
        if old is ABSENT:
            compare.target, compare.version = 0, 0
        else:
            compare.target, compare.value = 3, old
        return compare


def load_messages(folder):
    return members_grpc.load_pool(folder, ["etcd/api/etcdserverpb/rpc.proto",
                                           "etcd/api/mvccpb/kv.proto"])


def value_of(reply):
    return reply.kvs[0].value if reply.kvs else ABSENT


class Client(threading.Thread):
    """One operation after the other, through one member until that gives no answer."""

    def __init__(self, apis, process, keys, pause_s):
        super().__init__(daemon=True)
        self.apis, self.process, self.keys, self.pause_s = apis, process, keys, pause_s
        self.dice = random.Random(process)
        self.api = apis[process % len(apis)]
        self.operations = []
        self.answered = 0
        self.count = 0
        self.last_seen = {}
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                operation = self.next_operation()
                self.operations.append(operation)
                self.do(operation)
                self.stopping.wait(self.pause_s)
        except Exception as failure:  # the test looks at it
            self.failure = failure

    def next_operation(self):
        key = self.dice.choice(self.keys)
        self.count += 1
        value = f"{self.process}-{self.count}".encode()
        kind = self.dice.choices(["read", "put", "swap", "delete"], [40, 30, 25, 5])[0]
        if kind in ("put", "swap"):
            return Operation(self.process, kind, key, value, self.last_seen.get(key, ABSENT))
        return Operation(self.process, kind, key)

    def do(self, operation):
        try:
            self.ask(self.api, operation)
            operation.outcome = "ok"
            self.answered += 1
        except grpc.RpcError as error:
            self.api = self.dice.choice([one for one in self.apis if one is not self.api])
            if operation.kind == "read" or error.code() in HARMLESS:
                operation.outcome = "fail"
        operation.ended = time.monotonic_ns()

    def ask(self, api, operation):
        if operation.kind == "read":
            reply = api.range(operation.key)
            operation.seen = value_of(reply)
        elif operation.kind == "put":
            reply = api.put(operation.key, operation.value)
            operation.seen = operation.value
        elif operation.kind == "delete":
            reply = api.delete(operation.key)
            operation.succeeded = reply.deleted > 0
        else:
            reply = api.swap(operation.key, operation.old, operation.value)
            operation.succeeded = reply.succeeded
            operation.seen = operation.value if reply.succeeded else \
                value_of(reply.responses[0].response_range)
        operation.revision = reply.header.revision
        self.last_seen[operation.key] = operation.seen

    def stop(self):
        self.stopping.set()
        self.join(30)
        if self.failure:
            raise self.failure


class Workload:
    def __init__(self, cluster, identity, clients=6, keys=4, pause_s=0.002):
        self.messages = load_messages(cluster.dir)
        self.keys = [f"h/{number}".encode() for number in range(keys)]
        self.links = [members_grpc.channel(cluster, member, identity)
                      for member in cluster.members]
        for link in self.links:
            link.subscribe(lambda state: None, try_to_connect=True)
        self.apis = [Api(self.messages, link) for link in self.links]
        self.clients = [Client(self.apis, number + 1, self.keys, pause_s)
                        for number in range(clients)]
        for client in self.clients:
            client.start()

    def answered(self):
        return sum(client.answered for client in self.clients)

    def stop(self):
        for client in self.clients:
            client.stop()
        return sorted((one for client in self.clients for one in client.operations),
                      key=lambda one: one.begun)

    def close(self):
        for link in self.links:
            link.close()


def states_of(api, keys):
    """What the store says of each revision: [revision] -> {key: value}."""
    last = api.range(keys[0]).header.revision
    states = [None, {}]
    for revision in range(2, last + 1):
        reply = api.range(b"h/", b"h0", revision=revision)
        states.append({pair.key: pair.value for pair in reply.kvs})
    return states


def judge(operations, states):
    """Raises AssertionError at the first answer that cannot be."""
    for one in operations:
        if one.outcome == "ok":
            judge_answer(one, states)
    judge_order([one for one in operations if one.outcome == "ok"])
    judge_once(operations, states)


def judge_answer(one, states):
    told = vars(one)
    assert 1 <= one.revision < len(states), told
    after, before = states[one.revision], states[one.revision - 1] or {}
    if one.kind == "delete":
        assert one.key not in after, told
        assert not one.succeeded or one.key in before, told
    else:
        assert after.get(one.key, ABSENT) == one.seen, (told, after)
    if one.kind == "swap" and one.succeeded:
        assert before.get(one.key, ABSENT) == one.old, (told, before)
    if one.kind == "swap" and not one.succeeded:
        assert one.seen != one.old, told
    if one.changes():
        others = [key for key in after.keys() | before.keys() if key != one.key]
        assert all(after.get(key) == before.get(key) for key in others), (told, before, after)


def judge_order(answered):
    """In real time: what was over before another began is not after it."""
    ends = sorted(answered, key=lambda one: one.ended)
    over, newest, position = 0, None, 0
    for one in sorted(answered, key=lambda one: one.begun):
        while ends[position].ended < one.begun:
            if ends[position].revision > over:
                over, newest = ends[position].revision, ends[position]
            position += 1
        late = one.revision <= over if one.changes() else one.revision < over
        assert not late, (vars(newest), vars(one))


def judge_once(operations, states):
    """A value is written once, or never: also by those who got no answer."""
    born = {}
    for revision in range(2, len(states)):
        for key, value in states[revision].items():
            if states[revision - 1].get(key) != value:
                assert value not in born, (value, born.get(value), revision)
                born[value] = revision
    for one in operations:
        if one.kind in ("put", "swap"):
            written = one.value in born
            assert written or one.outcome != "ok" or not one.changes(), vars(one)
            assert not written or one.outcome != "fail", vars(one)
            assert not written or one.outcome != "ok" or born[one.value] == one.revision, vars(one)


def edn_text(operations):
    """The history in Jepsen's form, for a judge that believes no revisions (build/jepsen/check).
    Each operation is of a process of its own; a swap that failed has read."""
    numbers, keys = {ABSENT: "nil"}, {}

    def word(value):
        return numbers.setdefault(value, str(len(numbers)))

    lines = []
    for process, one in enumerate(operations):
        key = keys.setdefault(one.key, len(keys))
        kind = {"read": "read", "put": "write", "delete": "write", "swap": "cas"}[one.kind]
        value = word(one.seen if one.kind == "read" else one.value)
        asked = f"[{word(one.old)} {value}]" if kind == "cas" else value
        failed = one.outcome == "ok" and one.kind == "swap" and not one.succeeded
        head = f":process {process}, :f :{kind}, :value [{key} {asked}]"
        lines.append((one.begun, f"{{:time {one.begun}, :type :invoke, {head}}}"))
        if one.ended and one.outcome != "unknown":
            outcome = "fail" if failed else one.outcome
            seen = f", :seen {word(one.seen)}" if failed else ""
            lines.append((one.ended, f"{{:time {one.ended}, :type :{outcome}, {head}{seen}}}"))
    return "".join(line + "\n" for _, line in sorted(lines))
