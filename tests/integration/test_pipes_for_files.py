#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A named pipe or a device in the place of any file that a program of ours opens: nobody waits for
the other side, and what cannot do without the file says which one it is."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

WITHIN_S = 15


def files_below(folder):
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            yield os.path.join(place, name)


class InPlaceOf:
    """While it lasts there is a pipe, or a link to a device, where the file was."""

    def __init__(self, path, device=None):
        self.path, self.device, self.there = path, device, os.path.exists(path)

    def __enter__(self):
        if self.there:
            os.rename(self.path, self.path + ".aside")
        if self.device:
            os.symlink(self.device, self.path)
        else:
            os.mkfifo(self.path)

    def __exit__(self, *_):
        os.unlink(self.path)
        if self.there:
            os.rename(self.path + ".aside", self.path)


def ends_or_serves(member):
    """What became of a start; fails if it is neither."""
    member.start()
    outcome = members.wait_until(
        "the member serves or has ended",
        lambda: "ended" if not member.alive else "serves" if member.ready() else None, WITHIN_S)
    if member.alive:
        member.kill()
    return outcome


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def run(*words):
    return subprocess.run([members.INDABA, *words], capture_output=True, text=True, check=False,
                          timeout=WITHIN_S)


def check_commands_end(cluster, member):
    vouch = ("member", "vouch", "--dir", member.dir, "--name", "n2", "--id", "ab" * 16, "--yes")
    with InPlaceOf(os.path.join(member.dir, "vouched")):
        done = run(*vouch)
        assert done.returncode != 0 and "vouched" in done.stderr, done
    with InPlaceOf(os.path.join(member.dir, "identity")):
        done = run(*vouch)
        assert done.returncode != 0 and "not a regular file" in done.stderr, done
    for name in ("ca.pem", "operator.pem", "operator.key"):
        for device in (None, "/dev/zero"):
            with InPlaceOf(os.path.join(cluster.certs, name), device):
                code, _, said = cluster.client("status", check=False)
                assert code == 2 and name in said and "not a regular file" in said, (code, said)


def test_a_pipe_in_the_place_of_any_file_holds_nobody_up():
    with members.cluster(1) as cluster:
        cluster.wait_ready()
        cluster.client("region", "put", "r1", "--rank", "3")
        member = cluster.members[0]
        # While it runs, too: it reads again what a person said.
        with InPlaceOf(os.path.join(member.dir, "vouched")):
            member.process.send_signal(signal.SIGHUP)
            members.wait_until("it has said so", lambda: "vouched" in log_of(member))
            cluster.client("region", "put", "r1", "--rank", "4")
        assert member.ready()
        check_commands_end(cluster, member)
        member.kill()
        wanted = [*files_below(member.dir), os.path.join(member.dir, "vouched"),
                  os.path.join(member.dir, "quarantine")]
        print("  ", ", ".join(os.path.relpath(path, member.dir) for path in wanted))
        for path in wanted:
            for device in (None, "/dev/zero"):
                with InPlaceOf(path, device):
                    run("ledger", "verify", "--dir", member.dir)
                    outcome = ends_or_serves(member)
                    name = os.path.basename(path)
                    assert outcome == "serves" or name in log_of(member), path
        with InPlaceOf(member.config):
            assert ends_or_serves(member) == "ended"
        for name in ("ca.pem", member.name + ".pem", member.name + ".key"):
            with InPlaceOf(os.path.join(cluster.certs, name)):
                assert ends_or_serves(member) == "ended"
        # All of it put back, nothing was hurt.
        member.start()
        cluster.wait_ready()
        assert '"rank":4' in cluster.client("region", "ls", "--json")[1].replace(" ", "")


if __name__ == "__main__":
    members.run_tests([test_a_pipe_in_the_place_of_any_file_holds_nobody_up])
