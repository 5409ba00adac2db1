#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nobody who keeps a promise waits for who reads its log, and nobody fills log or ledger by being
denied without end."""
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import strangers  # noqa: E402

CALLS = 2000
LINES_MAX = 8
LEAVES_MAX = 6


def recorded_refusals(cluster):
    """How often the leaves of the ledger say that something was refused, leaf by leaf."""
    text = cluster.client("ledger", "tail", "--count", "200")[1]
    return [int(count) for count in re.findall(r"(\d+) refused of /indaba", text)]


def test_a_log_that_is_not_read_costs_no_leader_its_office_and_denials_are_folded():
    with members.cluster(kind=type("Piped", (members.Cluster,),
                                   {"member_type": strangers.PipedMember})) as cluster:
        cluster.issue("nobody", "/nobody/x")
        leader = cluster.wait_ready()
        term = leader.status()["term"]
        leader.pipe.fill()
        strangers.denied_calls(cluster, leader, "nobody", CALLS)
        cluster.client("region", "put", "written-meanwhile")
        status = leader.status()
        assert status["term"] == term and status["role"] == "leader", status
        members.wait_until("every denial is in the ledger",
                           lambda: sum(recorded_refusals(cluster)) == CALLS)
        assert len(recorded_refusals(cluster)) <= LEAVES_MAX, recorded_refusals(cluster)
        leader.pipe.drain()

        def said():
            return re.findall(r"event=request.denied .*/nobody/x.* count=(\d+)",
                              leader.pipe.text())

        members.wait_until("every denial is in the log",
                           lambda: sum(map(int, said())) == CALLS)
        assert len(said()) <= LINES_MAX, said()
        # Its end does not wait for a reader either.
        leader.pipe.fill()
        assert leader.kill(signal.SIGTERM) == 0
        for member in cluster.members:
            member.pipe.drain()


def test_a_guardian_whose_messages_are_not_read_still_does_what_it_is_told():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for name in ("run", "state", "data"):
            os.mkdir(os.path.join(folder, name))
        pipe = strangers.Pipe(os.path.join(folder, "guardian.log"))
        pipe.fill()
        guardian = subprocess.Popen(
            [members.INDABA, "guardian", "--run", f"{folder}/run", "--state", f"{folder}/state",
             "--data", f"{folder}/data", "--output", f"{folder}/output", "--", "/bin/sleep", "60"],
            stdin=subprocess.DEVNULL, stdout=pipe.writer, stderr=pipe.writer)
        try:
            members.wait_until("it listens",
                               lambda: os.path.exists(f"{folder}/run/guardian.sock"))
            guardian.send_signal(signal.SIGTERM)
            assert guardian.wait(5) == 0
        finally:
            guardian.kill()
            guardian.wait(5)
            pipe.close()


def test_a_member_without_stdout_and_stderr_writes_its_log_into_none_of_its_files():
    with members.cluster(1) as cluster:
        member = cluster.members[0]
        member.kill(signal.SIGTERM)
        member.process = subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", members.INDABA, "serve", "--config",
             member.config])
        cluster.wait_ready()
        for number in range(3):
            assert os.readlink(f"/proc/{member.process.pid}/fd/{number}") == "/dev/null", number
        cluster.client("region", "put", "written")
        assert cluster.client("ledger", "verify", check=False)[0] == 0
        assert member.kill(signal.SIGTERM) == 0


if __name__ == "__main__":
    members.run_tests([
        test_a_log_that_is_not_read_costs_no_leader_its_office_and_denials_are_folded,
        test_a_guardian_whose_messages_are_not_read_still_does_what_it_is_told,
        test_a_member_without_stdout_and_stderr_writes_its_log_into_none_of_its_files,
    ])
