#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What commands take for a word, print for a text and end with: an empty name is nobody's, one place
is one member's, what others wrote moves no cursor, and output that got lost is told."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402

USAGE, FAILED, REFUSED = 2, 1, 4
EVIL = "fine\nmember n9  voter\x1b[2J\x1b[31m\u009b1m\u202egone"


def environment(cluster):
    return dict(os.environ, INDABA_CERTS=cluster.certs,
                INDABA_MEMBERS=",".join(f"127.0.0.1:{one.api}" for one in cluster.members))


def check_an_empty_word_is_nobody(cluster, messages):
    leader = cluster.leader()
    for words in (("failover", "start", "main", "--to", "", "--yes"),
                  ("failover", "start", "", "--yes"), ("member", "transfer", ""),
                  ("member", "remove", "", "--yes"), ("shard", "show", ""),
                  ("member", "add", "", "--region", "r1", "--peer", "127.0.0.1:1", "--api",
                   "127.0.0.1:2"), ("cluster", "set", "--leader-region", ""),
                  ("failover", "ls", "--members", "")):
        code, _, said = cluster.client(*words, check=False)
        assert code == USAGE and "empty" in said, (words, code, said)
    done = subprocess.run([members.INDABA, "cert", "issue", "--dir", cluster.certs, "--name", "",
                           "--spiffe", "/client/x"], capture_output=True, text=True, check=False)
    assert done.returncode == USAGE and "empty" in done.stderr, done
    for path, kind in (("Cluster/TransferLeadership", "TransferLeadership"),
                       ("Failovers/StartFailover", "StartFailover")):
        request = messages[kind + "Request"]()
        if kind == "StartFailover":
            request.request_id, request.shard = f"{1 << 112 | 7 << 76 | 2 << 62:032x}", "main"
        expect_invalid(cluster, messages, leader, path, request)
    assert cluster.leader() is leader


def operator_call(cluster, messages, member, path, request):
    with members_grpc.channel(cluster, member, "operator") as channel:
        reply = messages[type(request).__name__.replace("Request", "Response")]
        return channel.unary_unary(f"/indaba.v1.{path}",
                                   request_serializer=type(request).SerializeToString,
                                   response_deserializer=reply.FromString)(request, timeout=10)


def expect_invalid(cluster, messages, member, path, request):
    try:
        operator_call(cluster, messages, member, path, request)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, (path, error)
    else:
        raise AssertionError(f"{path} took an empty name for anybody")


def check_a_hand_over_that_is_asked_for_twice_is_done_once(cluster, messages):
    old = cluster.wait_ready()
    request = messages["TransferLeadershipRequest"](any=True, term=old.status()["term"])
    first = operator_call(cluster, messages, old, "Cluster/TransferLeadership", request)
    new = next(one for one in cluster.members if one.name == first.to)
    members.wait_until("it leads", lambda: cluster.leader() is new)
    term = new.status()["term"]
    again = members.wait_until("it is answered", lambda: answered(cluster, messages, new, request))
    assert (again.to, getattr(again, "from")) == (new.name, ""), again
    assert cluster.leader() is new and new.status()["term"] == term


def answered(cluster, messages, member, request):
    try:
        return operator_call(cluster, messages, member, "Cluster/TransferLeadership", request)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return None


def check_one_place_is_one_members(cluster):
    one = cluster.members[0]
    free = members.free_ports(3)
    for taken, host in ((one.peer, "127.0.0.1"), (one.api, "[::ffff:127.0.0.1]"),
                        (one.ops, "[::FFFF:7f00:1]")):
        for place in range(3):
            addresses = [f"127.0.0.1:{port}" for port in free]
            addresses[place] = f"{host}:{taken}"
            code, _, said = cluster.client(
                "member", "add", "n9", "--region", "r1", "--peer", addresses[0], "--api",
                addresses[1], "--ops", addresses[2], check=False)
            assert code == REFUSED and f"is one of member '{one.name}'" in said, (code, said)
    assert len(cluster.json("member", "ls")["members"]) == 3


def check_what_others_wrote_moves_no_cursor(cluster):
    leader, ports = cluster.wait_ready(), members.free_ports(2)
    cluster.run("member", "vouch", "--dir", leader.dir, "--name", "n9", "--id", "ab" * 16,
                "--reason", EVIL, "--yes")
    leader.process.send_signal(signal.SIGHUP)
    cluster.client("member", "add", "n9", "--region", "r1", "--id", "ab" * 16, "--peer",
                   f"127.0.0.1:{ports[0]}", "--api", f"127.0.0.1:{ports[1]}", "--ops",
                   f"127.0.0.1:{members.free_ports(1)[0]}")

    def leaf():
        found = [one for one in cluster.json("ledger", "tail")["leaves"]
                 if one["kind"] == "member.vouched"]
        return found[-1] if found else None
    leaf = members.wait_until("it is in the ledger", leaf)
    assert EVIL in leaf["summary"], leaf  # JSON has it as it is
    for words in (("ledger", "tail"), ("ledger", "show", str(leaf["number"]))):
        text = cluster.client(*words)[1]
        assert "fine\\nmember n9" in text and "\\x1b[2J" in text, text
        assert not set(text) & {"\x1b", "\u009b", "\u202e"}, repr(text)
    # And what comes back as an error.
    said = cluster.client("shard", "show", "x\x1b[2Jy", check=False)[2]
    assert "\\x1b[2J" in said and "\x1b" not in said, repr(said)


def check_output_that_got_lost_is_told(cluster):
    for words in (("version",), ("help",), ("member", "--help"), ("status",), ("member", "ls"),
                  ("ledger", "tail", "--json"), ("member", "new-id")):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([members.INDABA, *words], stdout=full, stderr=subprocess.PIPE,
                                  env=environment(cluster), check=False, timeout=20, text=True)
        assert done.returncode == FAILED and "could not be written" in done.stderr, (words, done)
        done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', members.INDABA, *words],
                              stderr=subprocess.PIPE, env=environment(cluster), check=False,
                              timeout=20, text=True)
        assert done.returncode == FAILED and "could not be written" in done.stderr, (words, done)


def check_exit_codes(cluster):
    code, _, said = cluster.client("status", "--timeout", "0", check=False)
    assert code == USAGE and "--timeout" in said, (code, said)
    for bad in ("5", "5:abc", ":", "x:" + "a" * 64, "0:" + "a" * 64, "5:" + "a" * 63):
        code, _, said = cluster.client("ledger", "verify", "--expect", bad, check=False)
        assert code == USAGE and "--expect" in said, (bad, code, said)
    # A ledger that is shorter than it once was, and one that is another.
    for size in (1, 1000000):
        code, out, _ = cluster.client("ledger", "verify", "--expect", f"{size}:" + "a" * 64,
                                      check=False)
        assert code == FAILED and ("DIFFER" in out or "SHORTER" in out), (size, code, out)


def test_commands_take_print_and_end_as_they_say():
    with members.cluster(3) as cluster:
        cluster.wait_ready()
        messages = members_grpc.load_messages(cluster.dir)
        check_an_empty_word_is_nobody(cluster, messages)
        check_a_hand_over_that_is_asked_for_twice_is_done_once(cluster, messages)
        check_one_place_is_one_members(cluster)
        check_what_others_wrote_moves_no_cursor(cluster)
        check_output_that_got_lost_is_told(cluster)
        check_exit_codes(cluster)


if __name__ == "__main__":
    members.run_tests([test_commands_take_print_and_end_as_they_say])
