#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members with few file descriptors and many clients: connections are turned away, nobody ends, and
the log goes on into its next file."""
import contextlib
import os
import resource
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import test_members_snapshot as snapshots  # noqa: E402

DESCRIPTORS = 160
CLIENTS = 400


class Poor(members.Member):
    def start(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([members.INDABA, "serve", "--config", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment(), preexec_fn=limit)


class PoorCluster(snapshots.SmallSnapshots):
    member_type = Poor


def crowd(stack, port):
    for _ in range(CLIENTS):
        one = stack.enter_context(contextlib.closing(socket.socket()))
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))


def test_more_clients_than_descriptors_end_nobody():
    with members.cluster(3, PoorCluster) as cluster:
        cluster.wait_ready()
        with contextlib.ExitStack() as stack:
            for member in cluster.members:
                crowd(stack, member.api)
                crowd(stack, member.ops)
            time.sleep(5)  # that nothing happens is seen by looking for a while
            assert all(one.alive for one in cluster.members)
        cluster.wait_ready()
        snapshots.write(cluster, 20)
        snapshots.equal_roots(cluster)


def test_a_member_says_how_many_descriptors_it_has():
    with members.cluster(3, PoorCluster) as cluster:
        member = cluster.wait_ready()
        with open(member.log, encoding="utf-8") as file:
            said = next(line for line in file if "event=files.limit" in line)
        assert f"descriptors={DESCRIPTORS}" in said and "LimitNOFILE" in said, said


if __name__ == "__main__":
    members.run_tests([
        test_more_clients_than_descriptors_end_nobody,
        test_a_member_says_how_many_descriptors_it_has,
    ])
