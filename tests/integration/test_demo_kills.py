#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The demo is the product in one command: whatever is killed, it ends with 0, no acknowledged row is
missing, the ledgers agree, its last line has the promised form, and nothing of it is left running."""
import os
import re
import subprocess
import sys

INDABA = os.environ.get("INDABA", os.path.join(os.environ.get("B", "build"), "indaba"))
LAST_LINE = re.compile(r"demo: rto_ms=(\d+|-) lost_acked=(\d+|-) ledger_leaves=(\d+) "
                       r"roots_agree=(yes|no) proof=(clock|quorum|fence|-)")
CASES = [
    # arguments, lost rows, proof, the pause in ms that a slow machine may take
    (["--no-databases"], "-", "-", 5000),
    (["--kill", "process"], "0", "fence", 20000),
    (["--kill", "instance"], "0", "quorum", 20000),
    (["--kill", "region"], "0", "quorum", 20000),
    (["--kill", "freeze"], "0", "quorum", 20000),
    (["--mode", "async", "--kill", "instance"], None, "clock", 30000),
]


def left_running(folder):
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read()
            cwd = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue
        if folder.encode() in words or cwd.startswith(folder):
            found.append(f"{entry} {words!r}")
    return found


def run(arguments, lost, proof, pause_ms):
    folder = f"/var/tmp/idt{os.getpid()}"
    done = subprocess.run([INDABA, "demo", "--dir", folder, *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240,
                          check=False)
    last = done.stdout.strip().splitlines()[-1]
    match = LAST_LINE.fullmatch(last)
    problems = []
    if done.returncode != 0:
        problems.append(f"exit code {done.returncode}")
    if match is None:
        problems.append(f"the last line is {last!r}")
    else:
        if lost is not None and match[2] != lost:
            problems.append(f"lost_acked={match[2]}")
        if match[4] != "yes" or match[5] != proof:
            problems.append(f"roots_agree={match[4]} proof={match[5]}")
        if match[1] == "-" or int(match[1]) > pause_ms:
            problems.append(f"rto_ms={match[1]}")
    if left_running(folder + "/"):
        problems.append(f"left running: {left_running(folder + '/')}")
    if problems:
        print(done.stdout)
        for region in ("africa", "europe", "asia"):
            for name in ("member.log", "sidecar.log", "db/log/postgres.log"):
                path = os.path.join(folder, region, name)
                if os.path.exists(path):
                    print(f"--- {path}")
                    with open(path, encoding="utf-8", errors="replace") as file:
                        print("".join(file.readlines()[-40:]))
    subprocess.run(["rm", "-rf", folder], check=False)
    print(f"{'FAILED' if problems else 'ok'}: demo {' '.join(arguments)}: {last} {problems or ''}",
          flush=True)
    return not problems


def main():
    results = [run(*case) for case in CASES]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


sys.exit(main())
