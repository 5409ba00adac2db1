#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Can it fail? Bugs that are planted into a copy of the tree, and short runs that must find them, each by
the judge it is meant for. Prints a table; exits with 1 if one was not found. A bug whose place is
not found once is an error: the code has moved on, and the table must follow.

    jepsen/planted.py [NAME …]     all of them, or those whose name contains a word; --short: those
                                   that are found within seconds"""
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
sys.path.insert(0, os.path.join(ROOT, "tools"))
import mutants  # noqa: E402

TREE = mutants.TREES[0]  # with the objects of `make mutants`
BUILD_S, RUN_S = 600, 400


class Bug:
    """`edits`: (file, code, instead); `run`: what make jepsen is given; `judge`: who must say it."""

    def __init__(self, about, judge, run, *edits, short=False):
        self.about, self.judge, self.run, self.edits, self.short = about, judge, run, edits, short


BUGS = [
    Bug("a read is answered from what this member has", "register",
        {"WORKLOAD": "register", "NEMESIS": "none", "TIME": "6", "DISTANCE": "near"},
        ("src/etcd/etcd_kv.c", "    return request->serializable;\n",
         "    return request->serializable || true;\n"), short=True),
    Bug("an entry of the log has no leaf", "ledger",
        {"WORKLOAD": "set", "NEMESIS": "none", "TIME": "4", "DISTANCE": "near"},
        ("src/state/ledger.c", "    } else {\n        ledger_run_get(change->tables, &run);",
         "    } else if (strcmp(kind, \"failover.opened\") != 0) {\n"
         "        ledger_run_get(change->tables, &run);"), short=True),
    Bug("no fence: a guardian lets the lease pass", "primary",
        {"WORKLOAD": "register", "NEMESIS": "isolate", "TIME": "25", "DISTANCE": "near",
         "MODE": "async"},
        ("src/replication/guardian.c",
         "guardian->kill != KILL_KILLING && now_ns >= guardian->deadline_ns) {",
         "guardian->kill != KILL_KILLING && now_ns == 0) {")),
    Bug("commits do not wait for a standby", "set",
        {"WORKLOAD": "set", "NEMESIS": "isolate", "TIME": "30", "DISTANCE": "near"},
        ("src/replication/postgres/pg_config_file.c", "synchronous_commit = on",
         "synchronous_commit = local"),
        ("src/replication/postgres/pg_watch.c", '{"synchronous_commit", "on", "remote_apply", false}',
         '{"synchronous_commit", "local", "on", false}')),
    Bug("the log is not synced", "register",
        {"WORKLOAD": "register", "NEMESIS": "power-cut-members", "TIME": "40", "DISTANCE": "near"},
        ("src/storage/wal.c",
         "    error = FAILPOINT_AROUND(\"wal.sync\", disk->sync(disk->ctx, wal->file));\n"
         "    if (error != ERR_OK) {\n        return die(wal, error, \"sync\");\n    }\n", "")),
]


def build(bug):
    """The binary with the bug, or why there is none."""
    originals = {}
    try:
        for path, code, instead in bug.edits:
            full = os.path.join(TREE, path)
            with open(full, encoding="utf-8") as file:
                text = file.read()
            originals.setdefault(full, text)
            if text.count(code) != 1:
                return f"NOT FOUND: {text.count(code)} places in {path}"
            with open(full, "w", encoding="utf-8") as file:
                file.write(text.replace(code, instead))
        done = subprocess.run(["make", "-s", "-j2", "WERROR=-w", "OPT=-O1 -g", "build/indaba"],
                              cwd=TREE, capture_output=True, text=True, check=False,
                              timeout=BUILD_S, env=environment())
        return "" if done.returncode == 0 else "NOT BUILT: " + done.stderr[-300:]
    finally:
        for full, text in originals.items():
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)


def environment():
    """Without what a make above this one hands down."""
    return {key: value for key, value in os.environ.items()
            if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "INDABA", "B", "DISK_FAULTS")}


def try_bug(bug):
    """(verdict, what said so)."""
    trouble = build(bug)
    if trouble:
        return "ERROR", trouble
    binary = os.path.join(TREE, "build", "indaba")
    done = subprocess.run([os.path.join(ROOT, "jepsen", "run.py")], capture_output=True, text=True,
                          env={**os.environ, "SEED": "1", "RUNS": "1", **bug.run,
                               "INDABA": binary}, check=False, timeout=RUN_S,
                          stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    found = [name for name, count in re.findall(r"^check: (\w+) violations=(\d+)", said, re.MULTILINE)
             if int(count) > 0]
    if "not run: " in said:
        return "not run", re.search(r"^not run: (.*)", said, re.MULTILINE)[1]
    if bug.judge in found:
        return "found", " ".join(found)
    return "MISSED", said[-1500:]


def main():
    words = sys.argv[1:]
    short = "--short" in words
    words = [word for word in words if word != "--short"]
    chosen = [bug for bug in BUGS if (not short or bug.short) and (
        not words or any(word in bug.about for word in words))]
    mutants.copy_tree(TREE)
    bad = 0
    for bug in chosen:
        began = time.monotonic()
        verdict, by = try_bug(bug)
        bad += verdict != "found"
        print(f"{verdict:8} {bug.about:48} {by}  ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{len(chosen) - bad} passed, {bad} failed ({len(chosen)} planted bugs)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
