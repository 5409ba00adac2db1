# SPDX-License-Identifier: Apache-2.0
"""Worlds on hosts of their own: each member and each database in a network namespace, joined by the
program build/jepsen/fabric, which delays, loses and cuts. Without root or TUN the world stands on
loopback, and what needs the network is missing: it says why."""
import contextlib
import ctypes
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import members  # noqa: E402
import members_disks  # noqa: E402
import world  # noqa: E402

PROGRAMS = os.path.join(ROOT, os.environ.get("B", "build"), "jepsen")
CLONE_NEWNET = 0x40000000
DISK_MIB = 1200  # sparse
MOUNTS = "INDABA_JEPSEN_MOUNTS"  # set where mounts are the run's own
LAB = "lab"  # the host of clients, observers and operators: in no region, near to all
# Round trips between regions in ms, and the timers of members for them (docs/operations.md).
RTTS = {
    "wan": {("r1", "r2"): 90, ("r2", "r3"): 160, ("r1", "r3"): 200},
    "near": {},
}
TIMERS = {"wan": (300, 4000, 14000), "near": (50, 500, 3000)}


class Missing(Exception):
    """What this host cannot do, and why."""


class Fabric:
    """The network: hosts by name, and orders to it."""

    def __init__(self, addresses, seed):
        if os.geteuid() != 0:
            raise Missing("hosts of their own need root")
        if not os.path.exists("/dev/net/tun"):
            raise Missing("hosts of their own need /dev/net/tun")
        words = [f"{name}={address}" for name, address in addresses.items()]
        self.process = subprocess.Popen([os.path.join(PROGRAMS, "fabric"), str(seed), *words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addresses, self.descriptors = addresses, {}
        self.cuts = set()
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "ready":
                return
            if words[0] != "host":
                break
            self.descriptors[words[1]] = int(words[2])
        self.process.wait(10)
        raise Missing(f"hosts of their own: {line.strip()}")

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer.startswith("ok"), (text, answer)
        return answer

    def namespace(self, name):
        return f"/proc/{self.process.pid}/fd/{self.descriptors[name]}"

    def launcher(self, name):
        """What a program of this host is started through."""
        return ["nsenter", "--net=" + self.namespace(name)]

    def enter(self, name):
        """This process and what it starts from now on is on that host."""
        descriptor = os.open(self.namespace(name), os.O_RDONLY)
        failed = ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET)
        os.close(descriptor)
        if failed:
            raise Missing("hosts of their own: a namespace that cannot be entered")

    def link(self, one, other, rtt_ms, jitter_ms=0.0, loss=0.0, bytes_per_s=0):
        """Both directions; `loss` is a share of packets."""
        for words in (f"{one} {other}", f"{other} {one}"):
            self.order(f"link {words} {int(rtt_ms * 500)} {int(jitter_ms * 1000)} "
                       f"{int(loss * 1e6)} {int(bytes_per_s)}")

    def cut(self, pairs):
        """Exactly these (from, to) are cut from now on."""
        self.cuts = set(pairs)
        self.order(" ".join(["cuts", *(f"{one}>{other}" for one, other in sorted(self.cuts))]))

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)


def make_fabric(shape, seed):
    """(network or None, {what is missing: why}); this thread is on the host of clients afterwards."""
    try:
        fabric = Fabric(addresses_of(sum(map(int, shape.split("-")))), seed)
        fabric.enter(LAB)
        return fabric, {}
    except Missing as missing:
        return None, {"hosts": str(missing)}


def own_mounts():
    """What a run is started through so that disks of its own end with it; [] if there can be none."""
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        return []
    return ["unshare", "--mount", "--propagation", "private"]


def addresses_of(count):
    """Names and addresses of all hosts of a world."""
    named = {LAB: "10.231.0.1"}
    for number in range(1, count + 1):
        named[f"n{number}"] = f"10.231.{number}.2"
        named[f"pg{number}"] = f"10.231.{number}.3"
    return named


class HostedWorld(world.World):
    """A world whose processes are on hosts of their own, as far from each other as `distance` says;
    on loopback if there is no fabric."""

    def __init__(self, shape, mode, fabric, distance, disks=False):
        """`shape`: members in each region, as "2-2-1"; each region has one database."""
        counts = [int(count) for count in shape.split("-")]
        super().__init__(sum(counts), mode)
        self.disks, self.founders = disks, len(counts)
        placed = [f"r{number + 1}" for number, count in enumerate(counts) for _ in range(count)]
        for one, region in zip(self.members, placed):
            one.region = region
        for one, region in zip(self.instances, sorted(set(placed))):
            one.region = region
        del self.instances[len(counts):]
        self.fabric, self.distance = fabric, distance
        for one in self.members + self.instances:
            one.host_name = one.name  # also of who comes after it there
        for one in self.members + self.instances if fabric else ():
            one.host = fabric.addresses[one.name]
            one.launcher = fabric.launcher(one.name)
        for one in self.instances if fabric else ():
            one.clients = "10.231.0.0/16"
        self.set_distances()

    def prepare(self):
        for one in self.members + self.instances if self.disks else ():
            one.disk = members_disks.Disk(os.path.join(self.dir, "disk-" + one.name), DISK_MIB)
            one.dir = os.path.join(one.disk.mount_point, "data")
        super().prepare()

    def stop(self, failed):
        """Nothing may use a disk when it goes."""
        for one in self.instances:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                one.kill()
        for one in self.members:
            if one.alive:
                one.kill()
        for one in self.members + self.instances if self.disks else ():
            with contextlib.suppress(AssertionError, AttributeError):
                one.disk.unmount()
        super().stop(failed)

    def config_of(self, member):
        heartbeat, election, lease = TIMERS[self.distance if self.fabric else "near"]
        return super().config_of(member).replace("lease_ms: 3000", f"lease_ms: {lease}") + \
            f"timers: {{heartbeat_ms: {heartbeat}, election_ms: {election}}}\n"

    def hosts_of(self, region):
        """Names of the hosts of a region."""
        return [one.host_name for one in self.members + self.instances if one.region == region]

    def succeed(self, old):
        """A new member on the host and the ports of one that was removed and has ended."""
        self.ports += [old.api, old.peer, old.ops]
        new = self.member_type(self, self.made)
        self.made += 1
        new.region, new.host, new.host_name, new.launcher = \
            old.region, old.host, old.host_name, old.launcher
        if self.disks:
            new.disk = old.disk
            new.dir = os.path.join(old.disk.mount_point, new.name)
        self.issue(new.name, f"/member/{new.name}", new.host)
        self.client("member", "add", new.name, "--region", new.region, "--id", new.id, "--peer",
                    f"{new.host}:{new.peer}", "--api", f"{new.host}:{new.api}", "--ops",
                    f"{new.host}:{new.ops}")
        self.members[self.members.index(old)] = new
        self.write_config(new)
        self.run("member", "init", "--config", new.config, "--join")
        new.start()
        return new

    def regions(self):
        return sorted({one.region for one in self.members})

    def set_distances(self, times=1.0, loss=0.0):
        """Between all hosts of different regions; `times` as far as usual."""
        regions = self.regions() if self.fabric else []
        for place, one in enumerate(regions):
            for other in regions[place + 1:]:
                rtt = max(RTTS[self.distance].get((one, other), 0), 1) * times
                for here in self.hosts_of(one):
                    for there in self.hosts_of(other):
                        self.fabric.link(here, there, rtt, rtt * 0.05, loss)

    def up(self, more=()):
        """Everything runs, and every standby is in the sync set."""
        self.start()
        self.wait_ready(60)
        self.client("shard", "create", "main", "--mode", self.mode, "--preferred", "r1", *more)
        for one in self.instances:
            one.start()
        self.wait_whole()

    def leader_now(self):
        """The member that leads by what its own log says; None between two."""
        leads = [one for one in self.members if one.leads and one.alive]
        return leads[-1] if leads else None

    def primary_now(self):
        """The primary by the last answer of whoever answers; the first instance if nobody does."""
        shard = self.shard()
        return (self.instance(shard["primary"]) if shard else None) or self.instances[0]

    def start_dead(self):
        for one in self.members + self.instances:
            if not one.alive:
                one.start()
