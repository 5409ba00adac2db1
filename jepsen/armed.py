# SPDX-License-Identifier: Apache-2.0
"""Processes of the binary with failpoints (src/base/failpoint.h), and how they are told what to do where."""
import contextlib
import os
import subprocess

import hosts

BINARY = os.environ.get("FAILPOINTS_INDABA") or os.path.join(
    hosts.ROOT, os.environ.get("B", "build"), "failpoints", "indaba")
ACTIONS = {"crash": "crash", "sleep": "sleep:1500", "error": "error:eio"}
VARIABLE = "INDABA_FAILPOINTS_FILE"
OFTEN = ("wal.append.", "wal.sync.", "store.commit.", "apply.entries.", "failover.", "kept.", "durable.",
         "engine.", "guardian.spawn.", "pg.prepare.", "pg.cut.", "pg.promote.", "pg.follow.",
         "pg.set_sync.", "pg.slots.", "pg.canary.", "pg.confirm_sync.")
OF_MEMBERS = ("wal.", "store.", "snapshot.", "apply.", "failover.")  # of names; all others: sidecars


class Armed:
    """Put before a kind of member or instance: its processes look at a file for what to do where."""

    @property
    def points(self):
        return self.config + ".failpoints"

    def environment(self):
        return {**super().environment(), VARIABLE: self.points}

    def arm(self, point, action="crash", at=1):
        with open(self.points + ".new", "w", encoding="utf-8") as file:
            file.write(f"{point}={ACTIONS.get(action, action)}@{at}\n")
        os.rename(self.points + ".new", self.points)

    def disarm(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.points)

    def met(self):
        """[(point, pid)] of all that was ever done to it."""
        with contextlib.suppress(FileNotFoundError), open(self.points + ".met",
                                                          encoding="utf-8") as file:
            return [tuple(line.split()) for line in file]
        return []


def can_fail():
    """Names of those that have an error to give back; all of them as the second value."""
    listed = subprocess.run([BINARY], env={**os.environ, "INDABA_FAILPOINTS": "list"},
                            capture_output=True, text=True, check=True, timeout=20).stdout
    lines = [line.split() for line in listed.splitlines()]
    return {words[0] for words in lines if "error" in words}, {words[0] for words in lines}
