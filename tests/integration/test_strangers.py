#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers at the ports of members, without a certificate: pages without end, answers that are not
read, connections that say nothing. The leader keeps its office, who restarts comes back, commands
get through, and log and counters name the cause."""
import contextlib
import os
import re
import resource
import signal
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import strangers  # noqa: E402

UNREAD = 16
GROWTH_KIB_MAX = 24 * 1024
HTTP_CONNECTIONS = 1024
RETURN_S = 12
FILES = 320
EVERYWHERE = 2600
FAR_S = 0.05
FAR_AND_KNOWN = "127.9.9.59"
FAR_AND_NEW = "127.9.9.123"
FRAMES = 80
ONE_PAGE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
# The first bytes of a ClientHello: whoever sends them has said something.
HALF_A_HELLO = bytes.fromhex("16030100c8010000c40303")


def refusals(member, *causes):
    """How often one of these causes was counted; each must have a line in the log."""
    page = member.get("/metrics")[1]
    with open(member.log, encoding="utf-8", errors="replace") as file:
        log = file.read()
    total = 0
    for cause in causes:
        line = f'indaba_connections_refused_total{{cause="{cause}"}} '
        if line not in page:
            return 0
        count = float(page.split(line)[1].split("\n")[0])
        if count and f"event=connection.refused cause={cause} port=" not in log:
            return 0
        total += count
    return total


def pages_without_end_cost_no_leader_its_office(cluster):
    leader = cluster.wait_ready()
    term = leader.status()["term"]
    strangers.pour_pages([leader.ops], 3)
    status = members.wait_until("the leader answers", leader.status)
    assert (status["term"], status["role"]) == (term, "leader"), (term, status)


def answers_that_are_not_read_hold_little_memory(cluster):
    leader = cluster.wait_ready()
    before = strangers.resident_kib(leader.process.pid)
    links = [strangers.connect(leader.ops, "127.0.0.2") for _ in range(UNREAD)]
    for link in links:
        link.sendall(strangers.PAGES[:40000])
    members.wait_until("the leader answers others", leader.ready)
    most = 0

    def settled():
        nonlocal most
        most = max(most, strangers.resident_kib(leader.process.pid) - before)
        return strangers.metric(leader, "indaba_raft_term") > 0

    for _ in range(20):
        members.wait_until("it answers", settled)
    assert most < GROWTH_KIB_MAX, f"{most} KiB for {UNREAD} connections"
    for link in links:
        link.close()


def idle_connections_give_way_to_who_comes(cluster):
    leader = cluster.wait_ready()
    sources = [f"127.0.0.{number}" for number in range(11, 15)]
    with strangers.Flood([leader.ops], sources, HTTP_CONNECTIONS // 4 + 8, ONE_PAGE):
        for _ in range(10):
            answer = leader.get("/readyz")
            assert answer[0] == 200, answer
        members.wait_until("the cause is named", lambda: refusals(leader, "idle"))


def who_restarts_comes_back_through_half_open_connections(cluster):
    leader = cluster.wait_ready()
    ports = [port for one in cluster.members for port in (one.peer, one.api)]
    sources = [f"127.0.0.{number}" for number in (21, 22)]
    with strangers.Flood(ports, sources, 80) as flood, \
            strangers.Flood(ports, ["127.0.0.1"], 60), \
            strangers.Flood(ports, ["127.0.0.23"], 40, HALF_A_HELLO):
        for member in (next(one for one in cluster.members if one is not leader), leader):
            member.kill(signal.SIGKILL)
            members.wait_until("a leader without it", lambda: cluster.leader() not in
                               (None, member), RETURN_S)
            member.start()
            cluster.wait_ready(RETURN_S)
        assert flood.made > len(flood.wanted), "nobody gave way"
        members.wait_until("the cause is named", lambda: any(
            refusals(one, "half_open", "source") for one in cluster.members))


def a_certificate_that_is_refused_is_named(cluster):
    """Whoever comes with one of another authority finds out why in our log."""
    leader = cluster.wait_ready()
    other = os.path.join(cluster.dir, "other")
    cluster.run("cert", "init", "--dir", other)
    cluster.run("cert", "issue", "--dir", other, "--name", "operator", "--spiffe",
                "/operator/test", "--host", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(cluster.certs, "ca.pem"))
    context.load_cert_chain(os.path.join(other, "operator.pem"),
                            os.path.join(other, "operator.key"))
    context.set_alpn_protocols(["h2"])
    for _ in range(20):
        with contextlib.suppress(OSError):
            with context.wrap_socket(strangers.connect(leader.api, "127.0.0.2")) as link:
                link.recv(1)
    members.wait_until("the cause is named", lambda: refusals(leader, "handshake"))


def frames_of_nobody_do_not_fill_the_log(cluster):
    """From somebody with a member's certificate who was never added."""
    leader = cluster.wait_ready()
    cluster.issue("ghost", "/member/ghost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(cluster.certs, "ca.pem"))
    context.load_cert_chain(os.path.join(cluster.certs, "ghost.pem"),
                            os.path.join(cluster.certs, "ghost.key"))
    context.set_alpn_protocols(["indaba-peer/1"])
    for _ in range(FRAMES):
        with contextlib.suppress(OSError):
            with context.wrap_socket(strangers.connect(leader.peer, "127.0.0.2")) as link:
                link.sendall(b"\x01\x00\x00\x00\x01?")
                link.recv(1)

    def counts():
        with open(leader.log, encoding="utf-8", errors="replace") as file:
            lines = re.findall(r"event=peer\.\w+ .*from=127\.0\.0\.2.*", file.read())
        told = [re.search(r" count=(\d+)", line) for line in lines]
        return [int(count.group(1)) if count else 1 for count in told]

    members.wait_until("all are told", lambda: sum(counts()) == FRAMES)
    assert len(counts()) < FRAMES / 8, counts()


def who_is_far_away_gets_through_connections_from_everywhere(cluster):
    """More hosts than there is room for, one connection each, in all parts of the table of hosts."""
    leader = cluster.wait_ready()
    sources = [f"127.1.{number // 200}.{2 + number % 200}" for number in range(EVERYWHERE)]
    assert strangers.handshake_from_afar(cluster, leader, FAR_AND_KNOWN, 0)
    with strangers.Flood([leader.api], sources, 1) as flood:
        known = [strangers.handshake_from_afar(cluster, leader, FAR_AND_KNOWN, FAR_S)
                 for _ in range(5)]
        new = [strangers.handshake_from_afar(cluster, leader, FAR_AND_NEW, FAR_S)
               for _ in range(5)]
        assert flood.made > len(flood.wanted), "nobody gave way"
    print(f"   from afar: {sum(known)} of 5 who were here, {sum(new)} of 5 new ones", flush=True)
    assert all(known) and any(new), (known, new)


def commands_get_through_half_open_connections(cluster):
    leader = cluster.wait_ready()
    with strangers.Flood([leader.api], ["127.0.0.31", "127.0.0.32"], 1100):
        for number in range(5):
            cluster.client("region", "put", f"through-{number}", "--timeout", "3000", member=leader)


def test_strangers_at_the_ports_of_members_take_nothing_that_others_need():
    with members.cluster() as cluster:
        for attack in (pages_without_end_cost_no_leader_its_office,
                       answers_that_are_not_read_hold_little_memory,
                       idle_connections_give_way_to_who_comes,
                       a_certificate_that_is_refused_is_named,
                       frames_of_nobody_do_not_fill_the_log,
                       who_is_far_away_gets_through_connections_from_everywhere,
                       commands_get_through_half_open_connections,
                       who_restarts_comes_back_through_half_open_connections):
            attack(cluster)
            print(f"   {attack.__name__}", flush=True)


class FewFiles(members.Member):
    """A member that may have few descriptors, so that its ports are full soon."""

    def start(self):
        limit = (FILES, FILES)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [members.INDABA, "serve", "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))


def test_a_client_that_connects_without_end_leaves_room_for_operators():
    few = type("Few", (members.Cluster,), {"member_type": FewFiles})
    with members.cluster(1, few) as cluster:
        member = cluster.wait_ready()
        cluster.issue("client", "/client/x")
        links = []
        for _ in range(FILES // 2 + 16):
            with contextlib.suppress(OSError, ConnectionError):
                links.append(strangers.WindowOfZero(cluster, member, "client"))
        for number in range(3):
            cluster.client("region", "put", f"beside-{number}", "--timeout", "3000")
        members.wait_until("the cause is named", lambda: "cause=share" in open(
            member.log, encoding="utf-8", errors="replace").read())
        for one in links:
            one.close()


if __name__ == "__main__":
    members.run_tests([
        test_strangers_at_the_ports_of_members_take_nothing_that_others_need,
        test_a_client_that_connects_without_end_leaves_room_for_operators,
    ])
