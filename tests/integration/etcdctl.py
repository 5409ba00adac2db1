# SPDX-License-Identifier: Apache-2.0
"""etcd's own command line (Debian's etcd-client) against a cluster of members, over mutual TLS."""
import contextlib
import json
import os
import subprocess
import tempfile
import threading

import members

IDENTITY = "app"


def prepare(cluster):
    """Waits for a leader, and makes a client's certificate."""
    leader = cluster.wait_ready()
    cluster.issue(IDENTITY, f"/client/{IDENTITY}")
    return leader


def command(cluster, *words, member=None, identity=IDENTITY):
    asked = [member] if member else [one for one in cluster.members if one.alive]
    endpoints = ",".join(f"{one.host}:{one.api}" for one in asked)
    return ["etcdctl", "--endpoints", endpoints, "--cacert", f"{cluster.certs}/ca.pem",
            "--cert", f"{cluster.certs}/{identity}.pem", "--key", f"{cluster.certs}/{identity}.key",
            *words]


def environment():
    return dict(os.environ, ETCDCTL_API="3")


def run(cluster, *words, member=None, given=None, check=True, identity=IDENTITY, timeout_s=30):
    """(exit code, stdout, stderr) of one command."""
    done = subprocess.run(command(cluster, *words, member=member, identity=identity), input=given,
                          capture_output=True, text=True, timeout=timeout_s, check=False,
                          env=environment())
    if check and done.returncode != 0:
        raise AssertionError(f"etcdctl {' '.join(words)}: {done.returncode}: {done.stdout}"
                             f"{done.stderr}")
    return done.returncode, done.stdout, done.stderr


def lines(cluster, *words, **options):
    return run(cluster, *words, **options)[1].splitlines()


def as_json(cluster, *words, **options):
    return json.loads(run(cluster, *words, "-w", "json", **options)[1])


def fails(cluster, text, *words, **options):
    """The command must fail, and say this."""
    code, _, error = run(cluster, *words, check=False, **options)
    assert code != 0 and text in error, (words, code, error)


class Running:
    """A command that goes on: watch, lock, elect, lease keep-alive."""

    def __init__(self, cluster, *words, member=None):
        self.lines = []
        self.said = tempfile.TemporaryFile()  # why it ended, if it does
        self.process = subprocess.Popen(command(cluster, *words, member=member), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.said, env=environment())
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, count, timeout_s=15):
        """The first `count` lines, once they are there."""
        with contextlib.suppress(AssertionError):
            members.wait_until("the lines are there", lambda: len(self.lines) >= count, timeout_s)
            return self.lines[:count]
        self.said.seek(0)
        raise AssertionError(
            f"{self.process.args[9:]}, exit {self.process.poll()}, has {len(self.lines)} lines of "
            f"{count} after {timeout_s} s, the last {self.lines[-6:]}, and says {self.said.read()}")

    def stop(self, number=None):
        if self.process.poll() is None:
            if number is None:
                self.process.kill()
            else:
                self.process.send_signal(number)
        self.process.wait(20)
        self.reader.join(20)
        self.said.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
