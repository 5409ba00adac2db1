#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our coordinators beside Debian's etcd, in one run on one machine: three members each on loopback,
defaults, real fdatasync, the same load generator (h2load with raw gRPC frames, 256-byte values). One
cluster runs at a time. QUICK=1 takes under three minutes.

Prints a table with ratios and writes build/bench/coordination.json. Fails if a server did not
really store what it acknowledged."""
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import grpc

import peers

QUICK = os.environ.get("QUICK") == "1"
SECONDS = 3 if QUICK else 10
CLIENTS = (1, 64, 1000)
WATCHES = 2000 if QUICK else 10000
KILLS = 3 if QUICK else 20
WHO = os.environ.get("ONLY", "")
BUILD = os.path.join(peers.ROOT, os.environ.get("B", "build"))


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def frame(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


PUT = field(1, b"bench/0123456789") + field(2, b"v" * 256)
RANGE = field(1, b"bench/read-0123")


class Load:
    """What h2load said."""

    def __init__(self, text):
        total = re.search(r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, "
                          r"(\d+) failed", text)
        speed = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", text)
        if not total or not speed:
            raise RuntimeError(f"h2load said:\n{text}")
        self.done, self.failed = int(total[3]), int(total[5])
        self.per_s = float(speed[1])


def h2load(targets, path, message, clients):
    """Closed-loop clients, one request at a time each, spread evenly over the targets."""
    with tempfile.TemporaryDirectory() as folder:
        body = os.path.join(folder, "body")
        with open(body, "wb") as file:
            file.write(frame(message))
        share = max(1, clients // len(targets))
        processes = [subprocess.Popen(
            ["h2load", "-D", str(SECONDS), "-c", str(share), "-m", "1", "-t", "1", "-d", body,
             "-H", "content-type: application/grpc", "-H", "te: trailers",
             f"http://{target.endpoint}{path}"], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) for target in targets]
        loads = [Load(process.communicate(timeout=SECONDS * 4 + 60)[0]) for process in processes]
    if sum(load.failed for load in loads) > clients:
        raise RuntimeError(f"{sum(load.failed for load in loads)} requests failed")
    return loads


def puts(peer, targets, clients):
    """Per second, checked against what the store holds afterwards; and fdatasyncs for each."""
    node = peer.leader()
    before, syncs = peer.revision(node), peer.syncs(node)
    loads = h2load(targets, "/etcdserverpb.KV/Put", PUT, clients)
    stored = peer.revision(node) - before
    done = sum(load.done for load in loads)
    if stored < done:
        raise SystemExit(f"{peer.name} acknowledged {done} puts and stored {stored}")
    return sum(load.per_s for load in loads), (peer.syncs(node) - syncs) / max(1, stored)


def gets(targets, clients):
    return sum(load.per_s for load in h2load(targets, "/etcdserverpb.KV/Range", RANGE, clients))


def own_load(peer, targets, kind, clients):
    """The same by our own client, for both: mutual TLS and many keys, which h2load cannot. Per
    second, and the 99th percentile in ms."""
    node = peer.leader()
    before = peer.revision(node)
    endpoints = ",".join(target.endpoint for target in targets)
    done = subprocess.run([f"{BUILD}/bench/bench_load", endpoints, kind, str(clients),
                           str(SECONDS), *(peer.tls or ())], capture_output=True, text=True,
                          timeout=SECONDS + 90, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{peer.name}: {done.stderr}")
    count, per_s, _, p99_ms = done.stdout.split()
    if kind.startswith("put") and peer.revision(node) - before < int(count):
        raise SystemExit(f"{peer.name} acknowledged {count} puts and did not store them")
    return float(per_s), float(p99_ms)


def watch_cost(peer):
    """Bytes of memory for an idle connection with a watch; seconds until all have heard."""
    node = next(one for one in peer.nodes if one is not peer.leader())
    before = peers.anon_kib(node.process.pid)
    with subprocess.Popen([f"{BUILD}/bench/bench_watch", node.endpoint, str(WATCHES),
                           *(peer.tls or ())], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        if not client.stdout.readline().startswith("watching"):
            raise RuntimeError(f"{peer.name}: not all watches could be opened")
        cost = (peers.anon_kib(node.process.pid) - before) * 1024 / WATCHES
        started = time.monotonic()
        peers.etcdctl(peer.leader().endpoint, "put", "bench/watched", "now", tls=peer.tls)
        if not client.stdout.readline().startswith("heard"):
            raise SystemExit(f"{peer.name}: not every watch heard of a change")
        heard = time.monotonic() - started
        client.stdin.close()
    return cost, heard


def kill_gap(peer, restart):
    """Seconds in which nothing could be written, when the leader is killed."""
    leader = peer.leader()
    other = next(one for one in peer.nodes if one is not leader and one.process.poll() is None)
    acknowledged = []
    stop = threading.Event()

    def write():
        with grpc.insecure_channel(other.endpoint) as channel:
            put = channel.unary_unary("/etcdserverpb.KV/Put")
            while not stop.is_set():
                try:
                    put(PUT, timeout=1)
                    acknowledged.append(time.monotonic())
                except grpc.RpcError:
                    pass

    writer = threading.Thread(target=write)
    writer.start()
    peers.members.wait_until("writes flow", lambda: len(acknowledged) > 100, 30)
    killed = time.monotonic()
    leader.process.kill()
    leader.process.wait()
    peers.members.wait_until("writes flow again",
                             lambda: acknowledged[-1] > killed + 0.05 and
                             len([at for at in acknowledged if at > killed]) > 20, 60)
    stop.set()
    writer.join()
    restart(leader)
    times = [killed] + [at for at in acknowledged if at > killed]
    return max(after - before for before, after in zip(times, times[1:]))


def measure_load(peer, note):
    """Puts and gets without TLS, of the leader and of all members."""
    for clients in CLIENTS:
        note(f"get, {clients} clients", "1/s", gets([peer.leader()], clients))
    for clients in CLIENTS:
        with peers.MemoryWatch(peer) as memory:
            per_s, syncs = puts(peer, [peer.leader()], clients)
        note(f"put, {clients} clients", "1/s", per_s)
        note(f"fdatasyncs per put, {clients} clients", "", syncs)
    note(f"memory under puts of {CLIENTS[-1]} clients", "MiB", memory.largest)
    for clients in CLIENTS[1:]:
        note(f"put, {clients} clients over all members", "1/s", puts(peer, peer.nodes, clients)[0])
        note(f"get, {clients} clients over all members", "1/s", gets(peer.nodes, clients))


def measure_check_perf(peer, note):
    with peers.MemoryWatch(peer) as memory:
        passed, per_s, slowest = peers.check_perf(peer)
    note("etcdctl check perf --load=l, passes", "", float(passed))
    note("etcdctl check perf --load=l, writes", "1/s", per_s)
    note("etcdctl check perf --load=l, slowest", "s", slowest)
    note("etcdctl check perf --load=l, memory", "MiB", memory.largest)
    per_s, p99_ms = own_load(peer, peer.nodes, "put:1000000:1024", 500)
    note("the same work without its client's timers", "1/s", per_s)
    note("the same work without its client's timers, p99", "ms", p99_ms)


def perf_ceiling():
    """Writes per second that `etcdctl check perf --load=l` issues here at the most: against one
    etcd that keeps everything in memory. Its client asks for 8000 with one timer for each write,
    and where timers are late it issues fewer, whoever serves them."""
    peer = peers.Etcd(False, 1, "/dev/shm")
    try:
        return peers.check_perf(peer)[1]
    finally:
        peer.stop()


def noting(peer, results):
    def note(name, unit, value):
        dead = [node.name for node in peer.nodes if node.process.poll() is not None]
        if dead:
            raise SystemExit(f"{peer.name}: {', '.join(dead)} ended during: {name}")
        results[name] = (unit, value)
        print(f"  {peer.name}: {name}: {number_text(value)} {unit}", flush=True)
    return note


def number_text(value):
    return "-" if value is None else f"{value:.4g}"


def measure(peer, restart):
    results = {}
    note = noting(peer, results)
    note("memory, idle", "MiB", peer.anon_mib())
    measure_load(peer, note)
    cost, heard = watch_cost(peer)
    note("memory of a connection with a watch", "KiB", cost / 1024)
    note(f"until {WATCHES} watches have heard", "s", heard)
    gaps = [kill_gap(peer, restart) for _ in range(KILLS)]
    note("no writes when the leader is killed, median", "s", statistics.median(gaps))
    note("no writes when the leader is killed, longest", "s", max(gaps))
    if not QUICK:
        measure_check_perf(peer, note)
    return results


def measure_tls(peer, results):
    note = noting(peer, results)
    for kind in ("get", "put"):
        for clients in CLIENTS:
            per_s, p99_ms = own_load(peer, [peer.leader()], kind, clients)
            note(f"{kind}, {clients} clients, mutual TLS", "1/s", per_s)
            note(f"{kind}, {clients} clients, mutual TLS, p99", "ms", p99_ms)
        for clients in CLIENTS[1:]:
            note(f"{kind}, {clients} clients over all members, mutual TLS", "1/s",
                 own_load(peer, peer.nodes, kind, clients)[0])
    cost, _ = watch_cost(peer)
    note("memory of a connection with a watch, mutual TLS", "KiB", cost / 1024)


def with_tls(make, results):
    peer = make(True)
    try:
        measure_tls(peer, results)
    finally:
        peer.stop()
    return results


def run_ours():
    peer = peers.Ours(False)

    def restart(node):
        member = next(one for one in peer.cluster.members if one.name == node.name)
        member.start()
        node.process = member.process
        peer.cluster.wait_ready(30)
    try:
        return measure(peer, restart)
    finally:
        peer.stop()


def run_etcd():
    peer = peers.Etcd(False)
    commands = {node.name: (node.process.args, node) for node in peer.nodes}

    def restart(node):
        arguments = [*commands[node.name][0], "--initial-cluster-state", "existing"]
        node.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peers.members.wait_until("the node is back", lambda: peers.etcdctl(
            node.endpoint, "endpoint", "status")[0], 30)
    try:
        return measure(peer, restart)
    finally:
        peer.stop()


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, WATCHES + 5000)), hard))
    ours = with_tls(peers.Ours, run_ours()) if WHO != "etcd" else {}
    theirs = with_tls(peers.Etcd, run_etcd()) if WHO != "indaba" else {}
    if not QUICK:
        ceiling = ("1/s", perf_ceiling())
        for results in (ours, theirs):
            if results:
                results["etcdctl check perf --load=l, what its client issues at most"] = ceiling
    rows = []
    for name, (unit, value) in (ours or theirs).items():
        peer = theirs.get(name, (unit, None))[1]
        mine = value if ours else None
        ratio = mine / peer if mine is not None and peer else None
        rows.append({"name": name, "unit": unit, "ours": mine, "peer": peer, "ratio": ratio})

    print(f"\n{'':59} {'unit':>5} {'indaba':>9} {'etcd':>9} {'ratio':>7}")
    for row in rows:
        numbers = " ".join(f"{number_text(row[column]):>{width}}"
                           for column, width in (("ours", 9), ("peer", 9), ("ratio", 7)))
        print(f"{row['name']:59} {row['unit']:>5} {numbers}")
    os.makedirs(f"{BUILD}/bench", exist_ok=True)
    with open(f"{BUILD}/bench/coordination.json", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
