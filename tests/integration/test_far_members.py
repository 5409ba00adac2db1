#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members that are far from each other: what a follower waits for is told when it is known, so that a
write through it takes what the way takes, and not a heartbeat and another way on top."""
import os
import statistics
import sys
import threading
import time

import etcd3

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcdctl  # noqa: E402
import members  # noqa: E402
import slow_link  # noqa: E402

FAR_S = 0.15
ENOUGH_S = 1.5 * FAR_S  # with a heartbeat on top, and the way once more, it is twice as much


class FarMember(members.Cluster):
    """What is sent to the last member takes FAR_S; what it sends arrives at once."""

    def prepare(self):
        far = self.members[-1]
        self.near_port, far.peer = far.peer, members.free_ports(1)[0]
        self.link = slow_link.SlowLink(far.peer, self.near_port, FAR_S)
        super().prepare()

    def config_of(self, member):
        listen = f"listen: {{peer: '127.0.0.1:{self.near_port}'}}\n"
        return super().config_of(member) + (listen if member is self.members[-1] else "")

    def stop(self, failed):
        super().stop(failed)
        self.link.stop()


def client(cluster, member):
    return etcd3.client(host="127.0.0.1", port=member.api, ca_cert=f"{cluster.certs}/ca.pem",
                        cert_cert=f"{cluster.certs}/app.pem", cert_key=f"{cluster.certs}/app.key",
                        timeout=10)


def test_a_follower_hears_of_a_commit_at_once_and_not_with_the_next_heartbeat():
    with members.cluster(3, FarMember) as cluster:
        leader, far = etcdctl.prepare(cluster), cluster.members[-1]
        if leader is far:
            cluster.client("member", "transfer", cluster.members[0].name)
            members.wait_until("a near one leads",
                               lambda: (cluster.leader() or far) is not far)
        near, there = client(cluster, cluster.members[0]), client(cluster, far)
        there.put("k", "warm")

        puts = []
        for number in range(9):
            started = time.monotonic()
            there.put("k", str(number))
            puts.append(time.monotonic() - started)
        events, cancel = there.watch("w")
        seen, heard = [], threading.Thread(target=lambda: [seen.append(time.monotonic())
                                                           for _ in range(9) if next(events)])
        heard.start()
        written = []
        for number in range(9):
            near.put("w", str(number))
            written.append(time.monotonic())
            members.wait_until("it is heard", lambda: len(seen) == len(written))
        heard.join()
        cancel()
        watches = [there_s - here_s for there_s, here_s in zip(seen, written)]
        put_s, watch_s = statistics.median(puts), statistics.median(watches)
        print(f"  put {put_s * 1000:.0f} ms, watch {watch_s * 1000:.0f} ms, "
              f"the way there {FAR_S * 1000:.0f} ms", flush=True)
        assert put_s < ENOUGH_S and watch_s < ENOUGH_S, (puts, watches)


def test_timers_that_are_shorter_than_the_round_trips_are_told_and_refused():
    with members.cluster(3, FarMember) as cluster:
        cluster.wait_ready()
        # In force: told, with what to do.
        for words in (("member", "ls"), ("status",)):
            text = members.wait_until("it is told", lambda words=words: next(
                (line for line in cluster.client(*words)[1].splitlines()
                 if "WARNING: timers 50/500 ms are too short: the longest round trip" in line), ""))
            assert ": indaba cluster set --heartbeat " in text, text

        def is_logged():
            return any("event=timers.too_short" in line for one in cluster.members
                       for line in open(one.log, encoding="utf-8"))
        members.wait_until("it is in the log", is_logged)
        # Asked for: refused, unless a person insists.
        short = ("cluster", "set", "--heartbeat", "60", "--election", "600")
        code, _, stderr = cluster.client(*short, check=False)
        assert code == 4 and "the longest round trip between members is" in stderr, (code, stderr)
        text = cluster.client(*short, "--force")[1]
        assert "heartbeat 60 ms, election 600 ms" in text, text


if __name__ == "__main__":
    members.run_tests([
        test_timers_that_are_shorter_than_the_round_trips_are_told_and_refused,
        test_a_follower_hears_of_a_commit_at_once_and_not_with_the_next_heartbeat,
    ])
