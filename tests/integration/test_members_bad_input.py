#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What comes from outside and is wrong: bytes on every port, certificates, messages, configuration,
folders, ports. Always a clear error; a member that runs keeps serving, one that starts refuses."""
import contextlib
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402


def serve(config, *more):
    """Runs `serve` on a configuration that must be refused: (exit code, what it said)."""
    done = subprocess.run([members.INDABA, "serve", "--config", config, *more],
                          capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


def refuses(config, *words):
    code, said = serve(config)
    assert code in (1, 2), (code, said)
    for word in words:
        assert word in said, f"not said: {word}: {said}"


def changed(member, old, new):
    """A copy of the member's configuration with one thing changed."""
    with open(member.config, encoding="utf-8") as file:
        text = file.read()
    assert old in text, (old, text)
    path = member.config + ".bad.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new, 1))
    return path


def send_garbage(port, data, context=None):
    with contextlib.suppress(OSError, ssl.SSLError):
        with socket.create_connection(("127.0.0.1", port), timeout=3) as plain:
            stream = context.wrap_socket(plain) if context else plain
            stream.sendall(data)
            stream.settimeout(0.3)
            with contextlib.suppress(socket.timeout):
                while stream.recv(4096):
                    pass


def trusted_context(cluster, identity):
    """TLS as a holder of a certificate of ours, for bytes behind the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(cluster.certs, "ca.pem"))
    context.load_cert_chain(os.path.join(cluster.certs, identity + ".pem"),
                            os.path.join(cluster.certs, identity + ".key"))
    return context


def test_garbage_on_every_port_changes_nothing():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    rand = random.Random(seed)
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        term = leader.status()["term"]
        for _ in range(8):
            data = rand.randbytes(rand.choice((1, 5, 64, 5000)))
            for port in (leader.api, leader.peer, leader.ops):
                send_garbage(port, data)
            for port, name, alpn in ((leader.api, "operator", "h2"),
                                     (leader.peer, "n1", "indaba-peer/1")):
                context = trusted_context(cluster, name)
                context.set_alpn_protocols([alpn])
                send_garbage(port, data, context)
                # A frame whose length is beyond every bound.
                send_garbage(port, b"\xff\xff\xff\xff\x01" + data, context)
        cluster.client("region", "put", "still-here")
        assert leader.alive and leader.ready() and leader.status()["term"] == term


def ends_within(stream, seconds):
    stream.settimeout(seconds)
    try:
        return stream.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_before_the_handshake_no_frame_holds_more_than_a_handshake_needs():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        context = trusted_context(cluster, "n1")
        context.set_alpn_protocols(["indaba-peer/1"])
        for length in (5000, 8 << 20):
            with socket.create_connection(("127.0.0.1", leader.peer), timeout=5) as plain, \
                    context.wrap_socket(plain) as stream:
                stream.sendall(struct.pack("<IB", length, 1) + b"x" * 100)
                assert ends_within(stream, 3), f"a frame of {length} bytes is waited for"
        assert leader.alive and leader.ready()


def test_a_client_needs_a_certificate_of_our_authority():
    with members.cluster(1) as cluster:
        member = cluster.wait_ready()
        other = os.path.join(cluster.dir, "other")
        cluster.run("cert", "init", "--dir", other)
        cluster.run("cert", "issue", "--dir", other, "--name", "operator", "--spiffe",
                    "/operator/test", "--host", "127.0.0.1")
        with open(os.path.join(cluster.certs, "ca.pem"), "rb") as file:
            ca = file.read()
        messages = members_grpc.load_messages(cluster.dir)

        def status(credentials):
            link = grpc.secure_channel(f"127.0.0.1:{member.api}", credentials)
            try:
                members_grpc.call(messages, link, "/indaba.v1.Cluster/GetStatus",
                                  messages["GetStatusRequest"](), "GetStatusResponse")
                return "answered"
            except grpc.RpcError as error:
                return error.code()
            finally:
                link.close()

        assert status(grpc.ssl_channel_credentials(ca)) == grpc.StatusCode.UNAVAILABLE
        with open(os.path.join(other, "operator.key"), "rb") as key, \
                open(os.path.join(other, "operator.pem"), "rb") as cert:
            foreign = grpc.ssl_channel_credentials(ca, key.read(), cert.read())
        assert status(foreign) == grpc.StatusCode.UNAVAILABLE
        assert member.ready()


def test_an_oversize_message_is_refused_and_the_connection_lives():
    with members.cluster(1) as cluster:
        member = cluster.wait_ready()
        messages = members_grpc.load_messages(cluster.dir)
        link = members_grpc.channel(cluster, member, "operator")
        method = link.unary_unary("/indaba.v1.Shards/GetShard")
        try:
            method(b"\x0a" + b"x" * (5 * 1024 * 1024), timeout=10)
            raise AssertionError("5 MiB were taken")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
        reply = members_grpc.call(messages, link, "/indaba.v1.Topology/ListRegions",
                                  messages["ListRegionsRequest"](), "ListRegionsResponse")
        assert len(reply.regions) == 1, reply
        link.close()


def test_a_wrong_configuration_is_refused_with_its_field():
    with members.cluster(1) as cluster:
        member = cluster.members[0]
        refuses(changed(member, "cluster:", "cluster: ["), ".bad.yaml")
        refuses(changed(member, "lease_ms", "leese_ms"), "leese_ms")
        refuses(changed(member, "lease_ms: 3000", "lease_ms: 1"), "cluster.lease_ms")
        refuses(changed(member, "/ca.pem", "/nothing.pem"), "nothing.pem")
        refuses(changed(member, f"'127.0.0.1:{member.peer}'", "'127.0.0.01:7102'"),
                "members[].peer", "127.0.0.01:7102")
        refuses(changed(member, f"'127.0.0.1:{member.peer}'", "'127.0.0.1:0'"),
                "members[].peer", "the port")
        pair = f"/n1.pem\n  key: {cluster.certs}/n1.key"
        refuses(changed(member, pair, pair.replace("n1", "operator")), "/operator/test",
                "/member/n1")
        code, said = serve(member.config, "--check-config")
        assert code == 0 and "valid" in said, said


def test_a_wrong_data_folder_is_refused_and_says_whose_it_is():
    with members.cluster(2) as cluster:
        first, second = cluster.members
        cluster.wait_ready()
        refuses(first.config, first.dir)  # another process has it
        for member in cluster.members:
            member.kill()
        refuses(changed(first, f"dir: {first.dir}", f"dir: {second.dir}"), second.dir)
        refuses(changed(first, f"dir: {first.dir}", f"dir: {first.dir}-none"), "-none")
        refuses(changed(first, f"id: {cluster.id}", f"id: {'ab' * 16}"), first.dir)


class OtherPeer:
    """Answers on a member's peer port in its stead: with another name's certificate, and with the
    handshake that it is told to send."""

    def __init__(self, cluster, port, identity, answer):
        self.answer = struct.pack("<IB", len(answer), 1) + answer
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_verify_locations(os.path.join(cluster.certs, "ca.pem"))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(os.path.join(cluster.certs, identity + ".pem"),
                                     os.path.join(cluster.certs, identity + ".key"))
        self.context.set_alpn_protocols(["indaba-peer/1"])
        self.listener = socket.create_server(("127.0.0.1", port))
        self.answered = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                plain.settimeout(2)
                with contextlib.suppress(OSError, ssl.SSLError), \
                        self.context.wrap_socket(plain, server_side=True) as stream:
                    stream.sendall(self.answer)
                    while stream.recv(4096):
                        pass
                    self.answered += 1

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


def test_who_answers_in_the_place_of_a_peer_is_neither_believed_nor_met():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        away, stays = [one for one in cluster.members if one is not leader]
        away.kill()
        cluster.issue("n9", "/member/n9")
        pool = members_grpc.load_pool(cluster.dir, ["indaba/internal/peer.proto"])
        said = next(value for name, value in pool.items() if name.endswith(".Handshake"))
        right = {"protocol_version": 1, "process_incarnation": 7, "lane": 1, "name": "n9",
                 "peer_address": f"127.0.0.1:{away.peer}", "command_level": 1,
                 "cluster_hi": int(cluster.id[:16], 16), "cluster_lo": int(cluster.id[16:], 16),
                 "member_hi": 9, "member_lo": 9}
        its_id = {"member_hi": int(away.id[:16], 16), "member_lo": int(away.id[16:], 16)}
        refused = {"refusal": "go away", "refused_for_good": True}
        for change, word in (({}, "with another id answers"), (refused, "with another id answers"),
                             ({**refused, **its_id}, "the certificate there is of"),
                             ({**refused, "cluster_lo": 1}, "another cluster answers")):
            before = len(log_of(stays))
            other = OtherPeer(cluster, away.peer, "n9",
                              said(**{**right, **change}).SerializeToString())
            members.wait_until(f"{change} is not believed",
                               lambda: word in log_of(stays)[before:] or not stays.alive)
            other.stop()
        assert "event=peer.stranger" not in log_of(stays), log_of(stays)
        assert stays.alive and leader.alive
        away.start()
        cluster.wait_ready()


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def test_a_port_in_use_is_refused_and_named():
    with members.cluster(1) as cluster:
        member = cluster.members[0]
        members.wait_until("the member is ready", member.ready)
        member.kill()
        for port in (member.api, member.peer, member.ops):
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", port))
                taken.listen()
                refuses(member.config, str(port))


def test_a_lost_tail_of_the_log_below_the_store_is_refused():
    with members.cluster(1) as cluster:
        member = cluster.members[0]
        members.wait_until("the member is ready", member.ready)
        member.kill(15)
        wal = os.path.join(member.dir, "wal")
        kept = os.path.join(cluster.dir, "kept")
        shutil.copytree(wal, kept)
        member.start()
        members.wait_until("the member is ready", member.ready)
        for number in range(5):
            cluster.client("region", "put", f"later-{number}")
        member.kill(15)
        shutil.rmtree(wal)
        shutil.copytree(kept, wal)
        refuses(member.config, "the store has applied index", "join as a new member")


def test_the_pages_of_the_ops_port_say_what_they_should():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        code, text = leader.get("/metrics")
        assert code == 200
        values = dict(line.rsplit(" ", 1) for line in text.splitlines()
                      if line and not line.startswith("#"))
        assert values["indaba_raft_is_leader"] == "1", text
        assert int(values["indaba_raft_commit_index"]) >= 2, text
        others = [one.name for one in cluster.members if one is not leader]
        for name in others:
            assert values[f'indaba_peer_up{{peer="{name}"}}'] == "1", text
        assert leader.get("/healthz") == (200, "ok\n")
        assert leader.get("/nothing")[0] == 404
        for member in cluster.members:
            if member is not leader:
                member.kill()
        members.wait_until("the leader steps down", lambda: leader.get("/readyz")[0] == 503)
        assert "no leader" in leader.get("/readyz")[1]


if __name__ == "__main__":
    members.run_tests([
        test_garbage_on_every_port_changes_nothing,
        test_before_the_handshake_no_frame_holds_more_than_a_handshake_needs,
        test_a_client_needs_a_certificate_of_our_authority,
        test_an_oversize_message_is_refused_and_the_connection_lives,
        test_a_wrong_configuration_is_refused_with_its_field,
        test_a_wrong_data_folder_is_refused_and_says_whose_it_is,
        test_who_answers_in_the_place_of_a_peer_is_neither_believed_nor_met,
        test_a_port_in_use_is_refused_and_named,
        test_a_lost_tail_of_the_log_below_the_store_is_refused,
        test_the_pages_of_the_ops_port_say_what_they_should,
    ])
