#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What size costs: the same writes with one key and with a million, with an empty ledger and with a
million leaves, with three members and with five, with values from 256 bytes to a mebibyte. Ours
alone; all on loopback, real fdatasync. KEYS=n and LEAVES=n make it smaller.

Prints a table and writes build/bench/scale.json: a list of {name, unit, value}. Ends with 1 if the
99th percentile of puts with all keys is more than three times that with one key."""
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import peers
import members_grpc

KEYS = int(os.environ.get("KEYS", "1000000"))
LEAVES = int(os.environ.get("LEAVES", "1000000"))
SECONDS = int(os.environ.get("SECONDS", "10"))
SLOWER_MAX = 3
CLIENTS = 64
BUILD = os.path.join(peers.ROOT, os.environ.get("B", "build"))
FOREVER = 100000  # seconds, for work that ends by itself


class Measured:
    def __init__(self):
        self.rows = []

    def note(self, name, unit, value):
        self.rows.append({"name": name, "unit": unit, "value": value})
        print(f"  {name:58} {value:10.4g} {unit}", flush=True)
        return value

    def save(self):
        os.makedirs(f"{BUILD}/bench", exist_ok=True)
        with open(f"{BUILD}/bench/scale.json", "w", encoding="utf-8") as file:
            json.dump(self.rows, file, indent=1)


def load(endpoints, work, clients=CLIENTS, seconds=SECONDS, tls=()):
    """(requests, per second, median in ms, 99th percentile in ms)"""
    done = subprocess.run([f"{BUILD}/bench/bench_load", ",".join(endpoints), work, str(clients),
                           str(seconds), *tls], capture_output=True, text=True, timeout=3600,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return tuple(float(word) for word in done.stdout.split())


def note_puts(measured, peer, name, work):
    """Notes speed and percentiles; the 99th percentile."""
    _, per_s, median, p99 = load([peer.leader().endpoint], work)
    measured.note(f"put, {name}", "1/s", per_s)
    measured.note(f"put, {name}, median", "ms", median)
    return measured.note(f"put, {name}, p99", "ms", p99)


def folder_mib(path):
    return sum(os.stat(os.path.join(folder, file)).st_blocks
               for folder, _, files in os.walk(path) for file in files) / 2048


def measure_keys(measured, peer):
    """The ratio of the 99th percentiles."""
    one = note_puts(measured, peer, "one key", "put")
    leader = peer.leader()
    began = time.monotonic()
    load([leader.endpoint], f"fill:{KEYS}", clients=16, seconds=FOREVER)
    measured.note(f"{KEYS} keys put, a hundred to a transaction", "1/s",
                  KEYS / (time.monotonic() - began))
    found = peers.etcdctl(leader.endpoint, "get", "bench/", "--prefix", "--limit", "1")["count"]
    if found < KEYS:
        raise SystemExit(f"{KEYS} keys were acknowledged and {found} are there")
    ratios = [note_puts(measured, peer, f"one of {KEYS} keys", f"put:{KEYS}") / one,
              note_puts(measured, peer, f"one key beside {KEYS}", "put") / one]
    measured.note("p99 of puts with all keys, times that with one", "", max(ratios))
    _, per_s, _, p99 = load([peer.leader().endpoint], f"get:{KEYS}")
    measured.note(f"get, one of {KEYS} keys", "1/s", per_s)
    measured.note(f"get, one of {KEYS} keys, p99", "ms", p99)
    measured.note(f"memory with {KEYS} keys", "MiB", peer.anon_mib())
    measured.note(f"a member's folder with {KEYS} keys", "MiB",
                  folder_mib(peer.cluster.members[0].dir))
    return max(ratios)


class Ledger:
    """The ledger's own calls, by the stock Python client."""

    def __init__(self, peer):
        self.messages = members_grpc.load_messages(peer.cluster.dir)
        self.cluster = peer.cluster

    def call(self, link, method, **fields):
        return members_grpc.call(self.messages, link, f"/indaba.v1.Ledger/{method}",
                                 self.messages[f"{method}Request"](**fields), f"{method}Response")

    def link(self):
        return members_grpc.channel(self.cluster, self.cluster.wait_ready(60), "operator")

    def leaves(self):
        with self.link() as link:
            return self.call(link, "GetHead").size

    def proof_ms(self):
        """The median of proofs of leaves all over the ledger."""
        with self.link() as link:
            size = self.call(link, "GetHead").size
            times = []
            for part in range(1, 100):
                began = time.monotonic()
                self.call(link, "GetInclusionProof", number=size * part // 100, size=size)
                times.append(time.monotonic() - began)
        return statistics.median(times) * 1e3


def measure_leaves(measured, peer):
    certs = peer.cluster.certs
    tls = [f"{certs}/ca.pem", f"{certs}/operator.pem", f"{certs}/operator.key"]
    ledger = Ledger(peer)

    def writes(work, seconds):
        api = peer.cluster.wait_ready(60).api
        return load([f"127.0.0.1:{api}"], work, seconds=seconds, tls=tls)

    def note_writes():
        leaves = ledger.leaves()
        _, per_s, median, p99 = writes("leaf", SECONDS)
        measured.note(f"writes with a leaf each, after {leaves}", "1/s", per_s)
        measured.note(f"writes with a leaf each, after {leaves}, median", "ms", median)
        measured.note(f"writes with a leaf each, after {leaves}, p99", "ms", p99)
        measured.note(f"a proof of inclusion, of {leaves}", "ms", ledger.proof_ms())
    note_writes()
    missing = LEAVES - ledger.leaves()
    if missing > 0:
        writes(f"leaf:{missing}", FOREVER)
    note_writes()
    measured.note("memory then", "MiB", peer.anon_mib())


def measure_restart(measured, peer):
    """A member that is killed and comes back with all of it."""
    leader = peer.cluster.wait_ready(60)
    member = next(one for one in peer.cluster.members if one is not leader)
    member.kill()
    began = time.monotonic()
    member.start()
    peers.members.wait_until("the member is ready again", member.ready, 120)
    measured.note("killed member until ready again, with all of it", "s",
                  time.monotonic() - began)


def measure_values(measured, peer):
    for size in (256, 4096, 65536, 1 << 20):
        clients = CLIENTS if size < 65536 else 8
        _, per_s, median, p99 = load([peer.leader().endpoint], f"put:8:{size}", clients)
        measured.note(f"put of {size} bytes, {clients} clients", "1/s", per_s)
        measured.note(f"put of {size} bytes, {clients} clients", "MB/s", per_s * size / 1e6)
        measured.note(f"put of {size} bytes, {clients} clients, median", "ms", median)
        measured.note(f"put of {size} bytes, {clients} clients, p99", "ms", p99)
    measured.note("memory after large values", "MiB", peer.anon_mib())


def measure_members(measured, count):
    peer = peers.Ours(False, count)
    try:
        for clients in (1, 64, 1000):
            for kind in ("put", "get"):
                _, per_s, _, p99 = load([peer.leader().endpoint], kind, clients)
                measured.note(f"{count} members: {kind}, {clients} clients", "1/s", per_s)
                measured.note(f"{count} members: {kind}, {clients} clients, p99", "ms", p99)
    finally:
        peer.stop()


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 5000)), hard))
    measured = Measured()
    for count in (3, 5):
        measure_members(measured, count)
    peer = peers.Ours(False)
    try:
        measure_values(measured, peer)
        ratio = measure_keys(measured, peer)
        measure_leaves(measured, peer)
        measure_restart(measured, peer)
    finally:
        peer.stop()
        measured.save()
    if ratio > SLOWER_MAX:
        print(f"puts with {KEYS} keys are {ratio:.1f} times as slow as with one", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
