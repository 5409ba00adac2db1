# SPDX-License-Identifier: Apache-2.0
"""Who looks on while faults happen: a prober for each database, which writes to it every 20 ms
whatever it is, and says who acknowledged when and on which timeline; and one who asks for the status
every second. Their history is one of its own."""
import contextlib
import hashlib
import json
import struct
import subprocess
import threading
import time

import hosts  # noqa: F401  (where the modules below are)
import members
import members_grpc
import pq
import writers

PROBE_S = 0.02
STATUS_S = 1.0
PROCESS_FIRST = 1000000  # probers are no clients of the workload
TABLE = "probes"


class Prober(writers.Writer):
    """Knows the timeline on which each of its rows was acknowledged."""

    def __init__(self, index, instance, history):
        super().__init__(index, instance.name, instance.port, host=instance.host, pause_s=PROBE_S)
        self.history = history
        self.process = PROCESS_FIRST * (index + 1)

    def statement(self, row):
        row.sent_ns = self.history.now()
        return (f"INSERT INTO {TABLE} (id) VALUES ({row.number}) RETURNING "
                "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)")

    def take(self, row, connection, late):
        super().take(row, connection, late)
        if row.acked is None:
            return
        ended_ns = self.history.now()
        self.process += 1  # an answer that came late overlaps others
        self.history.add(row.sent_ns, self.process, "invoke", "probe", row.number, {})
        self.history.add(ended_ns, self.process, "ok", "probe", row.number,
                         {"instance": self.name_of_instance, "timeline": int(row.answer[0][0], 16)})


class StatusReader(threading.Thread):
    """Asks all members, as an operator does, and keeps what the answer says of the shard."""

    def __init__(self, earth, history):
        super().__init__(daemon=True)
        self.earth, self.history = earth, history
        self.blind_until = 0.0  # probers cannot know what is acknowledged
        self.stopping = threading.Event()

    def blind(self, seconds):
        self.blind_until = time.monotonic() + seconds

    def run(self):
        while not self.stopping.wait(STATUS_S):
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired, ValueError):
                self.look()

    def look(self):
        asked, blind = self.history.now(), time.monotonic() < self.blind_until
        code, text, _ = self.earth.client("shard", "show", "main", "--json", check=False)
        if code != 0 or self.stopping.is_set():
            return
        shard = json.loads(text)["shard"]
        primary = next((one for one in shard["instances"] if one["name"] == shard["primary"]), None)
        held = bool(primary and primary["lease_held"] and primary["state"] == "primary")
        fine = held and shard["opened"] and not shard["waiting"] and not blind and \
            not self.says_no_write()
        self.history.note("observer", "status", {
            "primary": shard["primary"] if held and shard["opened"] else None, "fine": fine,
            "epoch": shard["epoch"]}, asked=asked)

    def says_no_write(self):
        """What people are told."""
        code, text, _ = self.earth.client("shard", "show", "main", check=False)
        return code != 0 or "NO WRITE" in text


class Observers:
    def __init__(self, earth, history):
        self.earth, self.history = earth, history
        earth.primary().ask(f"CREATE TABLE {TABLE} (id bigint)")
        self.probers = [Prober(index, one, history) for index, one in enumerate(earth.instances)]
        self.status = StatusReader(earth, history)
        for one in [*self.probers, self.status]:
            one.start()

    def stop(self):
        for one in [*self.probers, self.status]:
            one.stopping.set()
        for one in [*self.probers, self.status]:
            one.join(40)
        for one in self.probers:
            with contextlib.suppress(pq.Failed, pq.Silent):
                one.collect_late()
            if one.failure:
                raise one.failure

    def read_ledgers(self):
        """Leaves of every member, and whether roots agree, once all have caught up."""
        def agree():
            return self.earth.client("ledger", "verify", check=False)[0] == 0

        with contextlib.suppress(AssertionError):
            members.wait_until("all ledgers are equal", agree, 30)
        messages = members_grpc.load_messages(self.earth.dir)
        for member in self.earth.members:
            link = members_grpc.channel(self.earth, member, "operator")
            for number, leaf in enumerate(leaves_of(messages, link)):
                first, last = proves(leaf)
                self.history.note("observer", "leaf",
                                  [number, hashlib.sha256(leaf.leaf).hexdigest()],
                                  member=member.name, first=first, last=last)
            link.close()
        self.history.note("observer", "verified", agree())


def leaves_of(messages, link):
    """All of one member's own ledger, in order; a number that is missing is an error."""
    leaves = []
    while True:
        request = messages["ListLeavesRequest"](first=len(leaves), count=500)
        answer = members_grpc.call(messages, link, "/indaba.v1.Ledger/ListLeaves", request,
                                   "ListLeavesResponse").leaves
        if not answer:
            return leaves
        for one in answer:
            assert one.number == len(leaves), f"leaf {one.number} where {len(leaves)} should be"
            leaves.append(one)


def proves(leaf):
    """First and last entry of the log that it stands for: a digest is of a run."""
    if leaf.kind != "kv.digest":
        return leaf.index, leaf.index
    _, first, entries, _ = struct.unpack("<BQII", leaf.payload[:17])
    return first, first + entries - 1
