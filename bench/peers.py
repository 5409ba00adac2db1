# SPDX-License-Identifier: Apache-2.0
"""Two clusters of three members on loopback, ours and etcd's, with everything at its defaults and
real fdatasync, asked in the same words: what the benchmarks compare."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import members  # noqa: E402


def etcdctl(endpoint, *words, tls=None, timeout_s=60):
    """The parsed JSON of one etcdctl command."""
    command = ["etcdctl", "--endpoints", endpoint, "-w", "json", *words]
    if tls:
        command[1:1] = ["--cacert", tls[0], "--cert", tls[1], "--key", tls[2]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False,
                          env=dict(os.environ, ETCDCTL_API="3"))
    if done.returncode != 0:
        raise RuntimeError(f"etcdctl {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[0])


def check_perf(peer):
    """What `etcdctl check perf --load=l` says: whether it passes, writes per second, and its slowest
    request; None for what it does not say, as when a request of its own times out."""
    command = ["etcdctl", "--endpoints", ",".join(node.endpoint for node in peer.nodes)]
    done = subprocess.run([*command, "check", "perf", "--load=l"], capture_output=True, text=True,
                          timeout=200, check=False, env=dict(os.environ, ETCDCTL_API="3"))
    text = done.stdout + done.stderr

    def number(pattern):
        found = re.search(pattern, text)
        return float(found[1]) if found else None
    per_s = number(r"Throughput (?:is|too low:) (\d+) writes/s")
    slowest = number(r"Slowest request took (?:too long: )?([\d.]+)s")
    if per_s is None:
        print(f"  {peer.name}: etcdctl check perf: {text.strip().splitlines()[-1]}", flush=True)
    return done.returncode == 0 and "FAIL" not in text, per_s, slowest


def anon_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


class MemoryWatch:
    """The largest anonymous memory of any node while the block runs, in MiB."""

    def __init__(self, peer):
        self.peer = peer
        self.largest = 0.0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while True:
            self.largest = max(self.largest, self.peer.anon_mib())
            if self.stop.wait(0.5):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        self.stop.set()
        self.thread.join()


class Peer:
    """What both clusters have in common: `nodes`, each with name, url, process."""
    name = ""
    nodes = ()
    tls = None

    def leader(self):
        """The node that leads."""
        def found():
            for node in self.nodes:
                if node.process.poll() is None:
                    try:
                        status = etcdctl(node.endpoint, "endpoint", "status", tls=self.tls,
                                         timeout_s=10)[0]["Status"]
                    except (RuntimeError, subprocess.TimeoutExpired):
                        continue
                    if status["header"]["member_id"] == status.get("leader", 0):
                        return node
            return None
        return members.wait_until(f"a leader of {self.name}", found, 30)

    def revision(self, node):
        return etcdctl(node.endpoint, "get", "bench/none", tls=self.tls)["header"]["revision"]

    def anon_mib(self):
        """Of each living node, the largest."""
        return max(anon_kib(node.process.pid) for node in self.nodes
                   if node.process.poll() is None) / 1024

    def syncs(self, node):
        """fdatasyncs of its log so far."""
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError


class Node:
    def __init__(self, name, port, process):
        self.name = name
        self.port = port
        self.endpoint = f"127.0.0.1:{port}"
        self.process = process


def metric(url, name):
    with urllib.request.urlopen(url, timeout=5) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise RuntimeError(f"{url} has no {name}")


class BenchCluster(members.Cluster):
    """Members with a port without TLS beside the real one."""

    def prepare(self):
        self.plain = dict(zip((one.name for one in self.members), members.free_ports(len(self.members))))
        super().prepare()
        self.issue("app", "/client/app")

    def config_of(self, member):
        return super().config_of(member) + "log: {level: warn}\n" + \
            f"listen: {{bench_without_tls: '127.0.0.1:{self.plain[member.name]}'}}\n"


class Ours(Peer):
    name = "indaba"

    def __init__(self, with_tls, count=3):
        self.cluster = BenchCluster(count)
        self.cluster.prepare()
        self.cluster.start()
        self.cluster.wait_ready(30)
        certs = self.cluster.certs
        self.tls = tuple(f"{certs}/{file}" for file in ("ca.pem", "app.pem", "app.key")) \
            if with_tls else None
        self.nodes = [Node(one.name, one.api if with_tls else self.cluster.plain[one.name],
                           one.process) for one in self.cluster.members]

    def syncs(self, node):
        member = next(one for one in self.cluster.members if one.name == node.name)
        return metric(f"http://127.0.0.1:{member.ops}/metrics", "indaba_wal_batches_total")

    def stop(self):
        self.cluster.stop(False)


class Etcd(Peer):
    name = "etcd"

    def __init__(self, with_tls, count=3, folder="/var/tmp"):
        self.dir = tempfile.mkdtemp(prefix="bench-etcd-", dir=folder)
        ports = members.free_ports(2 * count)
        scheme = "https" if with_tls else "http"
        options = []
        if with_tls:
            authority = members.Cluster(1)
            authority.run("cert", "init", "--dir", f"{self.dir}/certs")
            authority.run("cert", "issue", "--dir", f"{self.dir}/certs", "--name", "node",
                          "--spiffe", "/member/node", "--host", "127.0.0.1")
            shutil.rmtree(authority.dir, ignore_errors=True)
            self.tls = tuple(f"{self.dir}/certs/{file}" for file in ("ca.pem", "node.pem",
                                                                     "node.key"))
            options = ["--client-cert-auth", "--peer-client-cert-auth"]
            for which in ("", "peer-"):
                options += [f"--{which}trusted-ca-file", self.tls[0], f"--{which}cert-file",
                            self.tls[1], f"--{which}key-file", self.tls[2]]
        peers = ",".join(f"e{i}={scheme}://127.0.0.1:{ports[i]}" for i in range(count))
        self.nodes = []
        for i in range(count):
            client, peer = (f"{scheme}://127.0.0.1:{ports[count + i]}",
                            f"{scheme}://127.0.0.1:{ports[i]}")
            with open(f"{self.dir}/e{i}.log", "wb") as log:
                process = subprocess.Popen(
                    ["etcd", "--name", f"e{i}", "--data-dir", f"{self.dir}/e{i}",
                     "--listen-client-urls", client, "--advertise-client-urls", client,
                     "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                     "--initial-cluster", peers, "--logger", "zap", "--log-level", "error",
                     *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.nodes.append(Node(f"e{i}", ports[count + i], process))
        self.leader()

    def syncs(self, node):
        return metric(f"http://{node.endpoint}/metrics",
                      "etcd_disk_wal_fsync_duration_seconds_count")

    def stop(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGKILL)
            node.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)
