# SPDX-License-Identifier: Apache-2.0
"""A client that writes without a pause while a test breaks members, and what must be true after:
everything that was acknowledged is there, once, and all ledgers are equal."""
import random
import threading
import time

import grpc

import members
import members_grpc

RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
           grpc.StatusCode.CANCELLED)


def new_request_id():
    """A UUID of version 7 as hex digits."""
    return f"{int(time.time() * 1000):012x}7{random.getrandbits(76):019x}"


class Writer(threading.Thread):
    """Creates one shard after the other through whatever member answers; a retry repeats the same
    request id, and after each acknowledgement the shard must be readable at once."""

    def __init__(self, cluster, messages, pause_s=0.0):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.messages = messages
        self.pause_s = pause_s
        self.links = [members_grpc.channel(cluster, member, "operator")
                      for member in cluster.members]
        # The stock client moves its connections on only while someone waits in it, and a call that
        # fails at once does not: a watcher of its own is always waiting.
        for link in self.links:
            link.subscribe(lambda state: None, try_to_connect=True)
        self.acknowledged = []
        self.gap_s = 0.0
        self.failure = None
        self.stopping = threading.Event()

    def also(self, member):
        """Writes through a new member, too."""
        link = members_grpc.channel(self.cluster, member, "operator")
        link.subscribe(lambda state: None, try_to_connect=True)
        self.links.append(link)

    def run(self):
        try:
            last = time.monotonic()
            while not self.stopping.is_set():
                name = f"w-{len(self.acknowledged):05d}"
                self.create(name)
                self.gap_s = max(self.gap_s, time.monotonic() - last)
                last = time.monotonic()
                self.acknowledged.append(name)
                self.read(name)
                self.stopping.wait(self.pause_s)
        except Exception as failure:  # the test looks at it
            self.failure = failure

    def create(self, name):
        identity = new_request_id()
        shard = self.messages["Shard"](name=name, kind="postgres", mode="sync", rto_ms=5000)
        request = self.messages["CreateShardRequest"](request_id=identity, shard=shard)
        self.anywhere("/indaba.v1.Shards/CreateShard", request)

    def read(self, name):
        reply = self.anywhere("/indaba.v1.Shards/GetShard",
                              self.messages["GetShardRequest"](name=name))
        assert self.messages["GetShardResponse"].FromString(reply).shard.name == name

    def anywhere(self, path, request):
        """The answer of the first member that gives one; 20 s at most."""
        deadline = time.monotonic() + 20
        while True:
            link = random.choice(self.links)
            try:
                return link.unary_unary(path)(request.SerializeToString(), timeout=1)
            except grpc.RpcError as error:
                if error.code() not in RETRIED or time.monotonic() > deadline:
                    raise
                self.stopping.wait(0.005)

    def stop(self):
        self.stopping.set()
        self.join(30)
        for link in self.links:
            link.close()
        if self.failure:
            raise self.failure


def shard_names(cluster, messages):
    """Every shard, page by page, as one member reads them."""
    link = members_grpc.channel(cluster, cluster.members[0], "operator")
    names = []
    token = ""
    while True:
        page = members_grpc.call(messages, link, "/indaba.v1.Shards/ListShards",
                                 messages["ListShardsRequest"](page_size=1000, page_token=token),
                                 "ListShardsResponse")
        names += [shard.name for shard in page.shards]
        token = page.next_page_token
        if not token:
            link.close()
            return names


def check_everything(cluster, writer):
    """All acknowledged shards are on every member, once, and nothing else but the last one tried."""
    cluster.wait_ready()
    members.wait_until("all ledgers are equal", lambda: cluster.client(
        "ledger", "verify", check=False)[0] == 0)
    names = shard_names(cluster, writer.messages)
    assert len(names) == len(set(names)), "a shard is there twice"
    missing = set(writer.acknowledged) - set(names)
    assert not missing, f"acknowledged and lost: {sorted(missing)}"
    surplus = set(names) - set(writer.acknowledged)
    assert len(surplus) <= 1, f"never asked for: {sorted(surplus)}"


def wait_progress(writer, count):
    goal = len(writer.acknowledged) + count
    members.wait_until("the writer goes on",
                       lambda: writer.failure or len(writer.acknowledged) >= goal, 20)
    if writer.failure:
        raise writer.failure
