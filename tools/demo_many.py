#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the demo N times for each kind of death in sync mode and prints a table of the pauses, split by
whether the coordinators were led from the dead region. Fails if one run failed, lost an acknowledged
row, or left ledgers that disagree. Writes build/demo-many.json.

usage: demo_many.py [-n RUNS] [--binary build/indaba] [KILL …]"""
import argparse
import json
import re
import statistics
import subprocess
import sys

KILLS = ["process", "instance", "region", "freeze"]
LAST = re.compile(r"demo: rto_ms=(\S+) lost_acked=(\S+) ledger_leaves=(\S+) roots_agree=(\S+) proof=(\S+)")
LED = re.compile(r"primary is (\S+); coordinators are led by (\S+)")


def run(binary, kill):
    done = subprocess.run([binary, "demo", "--mode", "sync", "--kill", kill], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                          check=False)
    last = LAST.search(done.stdout.strip().splitlines()[-1])
    led = LED.search(done.stdout)
    good = (done.returncode == 0 and last is not None and last[2] == "0" and last[4] == "yes"
            and last[1].isdigit())
    if not good:
        print(done.stdout, file=sys.stderr)
    return {"kill": kill, "good": good, "rto_ms": int(last[1]) if good else None,
            "proof": last[5] if last else None,
            "leader_inside": led is not None and led[1] == led[2]}


def row(name, runs):
    times = sorted(one["rto_ms"] for one in runs if one["good"])
    bad = len(runs) - len(times)
    if not times:
        return f"{name:28} {len(runs):4} {bad:6}"
    return (f"{name:28} {len(runs):4} {bad:6} {times[0]:8} {int(statistics.median(times)):8} "
            f"{times[-1]:8}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--binary", default="build/indaba")
    parser.add_argument("--json", default="build/demo-many.json")
    parser.add_argument("kills", nargs="*", default=KILLS)
    options = parser.parse_args()
    results = []
    for kill in options.kills:
        for number in range(options.n):
            results.append(run(options.binary, kill))
            print(f"\r{kill} {number + 1}/{options.n}  ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'kill':28} {'runs':>4} {'failed':>6} {'min ms':>8} {'median':>8} {'max ms':>8}")
    for kill in options.kills:
        runs = [one for one in results if one["kill"] == kill]
        print(row(kill, runs))
        if kill in ("region", "freeze"):
            print(row("  leader in the region", [one for one in runs if one["leader_inside"]]))
            print(row("  leader elsewhere", [one for one in runs if not one["leader_inside"]]))
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    return 0 if all(one["good"] for one in results) else 1


sys.exit(main())
