#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What of node/ and peers/ no run of the simulator executes: units that it never enters, and the share of
lines that it does, of the core (what tools/check_layers.py lets see no loop) and of all.

    make sim-units [N=60]      builds the simulator with counters, runs N seeds, prints the list"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_layers  # noqa: E402

CORE_PERCENT_MIN = 75  # of the lines of node's core and of the pure rules of peers
PURE_OF_PEERS = {"voices.c", "peer_evidence.c", "rtt_window.c"}


def is_core(path):
    name = os.path.basename(path)
    return name in PURE_OF_PEERS if "/peers/" in path else not check_layers.SHELLS["node"].match(name)


def executed(build, path):
    """(lines executed, lines) of one unit."""
    notes = path[:-2] + ".gcno"
    said = subprocess.run(["gcov", "-n", notes], cwd=os.path.join(build, "obj"), capture_output=True,
                          text=True, check=False).stdout
    found = re.search(rf"File '[^']*{re.escape(path)}'\nLines executed:([\d.]+)% of (\d+)", said)
    return (round(float(found[1]) * int(found[2]) / 100), int(found[2])) if found else (0, 0)


def main():
    build = sys.argv[1]
    totals = {True: [0, 0], False: [0, 0]}
    for folder in ("src/node", "src/peers"):
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".c"):
                continue
            path = f"{folder}/{name}"
            ran, lines = executed(build, path)
            totals[is_core(path)][0] += ran
            totals[is_core(path)][1] += lines
            if ran == 0 and lines > 0:
                print(f"never entered: {path} ({lines} lines, {'core' if is_core(path) else 'shell'})")
    core, shell = totals[True], totals[False]
    percent = 100 * core[0] / max(core[1], 1)
    print(f"core of node and peers: {percent:.1f}% of {core[1]} lines; with loops, threads and sockets: "
          f"{100 * (core[0] + shell[0]) / max(core[1] + shell[1], 1):.1f}% of {core[1] + shell[1]}")
    return 0 if percent >= CORE_PERCENT_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
