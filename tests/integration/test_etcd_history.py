#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients write and read keys through every member while leaders die and stand still. Afterwards the
history that a watch tells judges them: each acknowledged write is in it once, at the revision that
was answered; each read saw exactly the state of the revision that it named; and nothing that began
after something else had ended was answered from an older revision. For a store whose every answer
names its revision, that is linearizability."""
import os
import random
import signal
import sys
import threading
import time

import etcd3
import etcd3.etcdrpc as rpc
import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcdctl  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402

WORKERS = 9
KEYS = 4
SECONDS = float(os.environ.get("HISTORY_SECONDS", "10"))


class Op:
    """One call: when it began and ended, what was asked and answered."""

    def __init__(self, kind, key, value=None):
        self.kind, self.key, self.value = kind, key, value
        self.began = time.monotonic()
        self.ended = None
        self.revision = None  # of the header
        self.outcome = "unknown"
        self.seen = None  # GET: (value, mod_revision) or None. CAS: whether it succeeded

    def end(self, outcome, revision=None, seen=None):
        self.ended = time.monotonic()
        self.outcome, self.revision, self.seen = outcome, revision, seen


def stub(cluster, member):
    return etcd3.etcdrpc.KVStub(members_grpc.channel(cluster, member, etcdctl.IDENTITY))


def work(number, cluster, stop, ops):
    stubs = [stub(cluster, member) for member in cluster.members]
    draw = random.Random(cluster.seed * 1000 + number)
    count = 0
    while not stop.is_set():
        count += 1
        kv = stubs[(number + (draw.random() < 0.2)) % len(stubs)]
        key, value = f"h/{draw.randrange(KEYS)}".encode(), f"{number}.{count}".encode()
        what = draw.random()
        op = Op("put" if what < 0.4 else "cas" if what < 0.6 else "get", key, value)
        ops.append(op)
        try:
            one_call(kv, op, draw)
        except grpc.RpcError as error:
            # Only these two say that nothing was done; of all else the outcome is unknown.
            sure = error.details() in ("etcdserver: no leader", "etcdserver: not leader")
            op.end("failed" if sure else "unknown")


def one_call(kv, op, draw):
    if op.kind == "put":
        answer = kv.Put(rpc.PutRequest(key=op.key, value=op.value), timeout=4)
        op.end("ok", answer.header.revision)
    elif op.kind == "get":
        answer = kv.Range(rpc.RangeRequest(key=op.key), timeout=4)
        pairs = [(pair.value, pair.mod_revision) for pair in answer.kvs]
        op.end("ok", answer.header.revision, pairs[0] if pairs else None)
    else:
        before = kv.Range(rpc.RangeRequest(key=op.key, serializable=True), timeout=4)
        expected = before.kvs[0].mod_revision if before.kvs else 0
        compare = rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=op.key,
                              mod_revision=expected)
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=op.key, value=op.value))
        op.began = time.monotonic()
        answer = kv.Txn(rpc.TxnRequest(compare=[compare], success=[put]), timeout=4)
        op.expected = expected
        op.end("ok", answer.header.revision, answer.succeeded)


def read_history(cluster):
    """Revision -> (key, value), as a watch from the beginning tells it."""
    etcd = etcd3.client(host="127.0.0.1", port=cluster.members[0].api,
                        ca_cert=f"{cluster.certs}/ca.pem", cert_cert=f"{cluster.certs}/app.pem",
                        cert_key=f"{cluster.certs}/app.key", timeout=10)
    last = etcd.kvstub.Range(rpc.RangeRequest(key=b"x"), timeout=10).header.revision
    history = {}
    events, cancel = etcd.watch_prefix("h/", start_revision=2)
    for event in events:
        assert event.mod_revision not in history and (
            not history or event.mod_revision > max(history)), event.mod_revision
        history[event.mod_revision] = (event.key, event.value)
        if event.mod_revision >= last:
            break
    cancel()
    return history


def judge(ops, history):
    by_value = {}
    for revision, (_, value) in history.items():
        assert value not in by_value, f"{value} was written twice"
        by_value[value] = revision
    order = sorted(history)
    state, states, at = {}, {}, 0
    wanted = sorted({op.revision for op in ops if op.kind in ("get", "cas") and op.revision}
                    | {op.revision - 1 for op in ops if op.kind == "cas" and op.revision})
    for revision in wanted:
        while at < len(order) and order[at] <= revision:
            key, value = history[order[at]]
            state[key] = (value, order[at])
            at += 1
        states[revision] = dict(state)
    for op in ops:
        written = by_value.get(op.value)
        if op.outcome == "failed":
            assert written is None, f"{vars(op)} failed surely and is in the history"
        elif op.outcome == "ok" and op.kind == "put":
            assert written == op.revision, f"{vars(op)} is at {written}"
        elif op.outcome == "ok" and op.kind == "get":
            assert op.seen == states[op.revision].get(op.key), vars(op)
        elif op.outcome == "ok":
            assert (written is not None) == op.seen, vars(op)
            before = states[op.revision - 1 if op.seen else op.revision].get(op.key, (None, 0))[1]
            assert (before == op.expected) == op.seen, (vars(op), before)
    judge_order(ops)


def judge_order(ops):
    """What ended before something began is not newer than it."""
    ended = sorted((op for op in ops if op.outcome == "ok"), key=lambda op: op.ended)
    at, newest = 0, 0
    for op in sorted((op for op in ops if op.outcome == "ok"), key=lambda op: op.began):
        while at < len(ended) and ended[at].ended < op.began:
            newest = max(newest, ended[at].revision)
            at += 1
        assert op.revision >= newest, f"{vars(op)} is older than revision {newest}"


def disturb(cluster, draw):
    """One fault, and its end."""
    victim = cluster.leader() if draw.random() < 0.7 else draw.choice(cluster.members)
    if victim is None:
        return "none"
    if draw.random() < 0.5:
        victim.kill(signal.SIGKILL)
        victim.start()
        return "kill"
    victim.process.send_signal(signal.SIGSTOP)
    threading.Event().wait(draw.uniform(0.3, 1.5))
    victim.process.send_signal(signal.SIGCONT)
    return "stop"


def test_a_history_under_faults_is_linearizable():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}", flush=True)
    with members.cluster() as cluster:
        cluster.seed = seed
        etcdctl.prepare(cluster)
        stop, ops, draw = threading.Event(), [], random.Random(seed)
        logs = [[] for _ in range(WORKERS)]
        workers = [threading.Thread(target=work, args=(number, cluster, stop, logs[number]))
                   for number in range(WORKERS)]
        for worker in workers:
            worker.start()
        faults = []
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            faults.append(disturb(cluster, draw))
            before = sum(len(log) for log in logs)
            members.wait_until("work goes on", lambda at=before: sum(
                len(log) for log in logs) > at + 50, 30)
        stop.set()
        for worker in workers:
            worker.join()
        cluster.wait_ready(30)
        ops = [op for log in logs for op in log]
        history = read_history(cluster)
        judge(ops, history)
        outcomes = {one: sum(op.outcome == one for op in ops) for one in ("ok", "unknown", "failed")}
        print(f"{len(ops)} calls {outcomes}, {len(history)} changes, faults {faults}", flush=True)
        assert outcomes["ok"] > 500, outcomes


if __name__ == "__main__":
    members.run_tests([test_a_history_under_faults_is_linearizable])
