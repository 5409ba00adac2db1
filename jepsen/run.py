#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A world under faults, judged. What it takes comes by the environment (make jepsen):

    SEED=1 RUNS=1 TIME=60 WORKLOAD=set NEMESIS=all MODE=sync DISTANCE=wan \\
        SHAPE=1-1-1 ALLOW_MISSING=""

Each run is a process of its own with the next seed, and leaves its histories and a report in
build/jepsen/store. Last line: what was run and what was found."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import hosts  # noqa: E402
import schedule  # noqa: E402

SHAPES = ("1-1-1", "2-2-1")  # members by region
WORKLOADS = ("set", "counter", "bank", "append", "register", "lock")
FIGURES = ("runs", "violations", "recovered_in_rto", "failed_recoveries", "not_run")


def setting(name, default):
    return os.environ.get(name) or default


def settings():
    found = schedule.Settings(
        seed=int(setting("SEED", "1")), time_s=float(setting("TIME", "60")),
        workload=setting("WORKLOAD", "set"), nemesis=setting("NEMESIS", "all"),
        mode=setting("MODE", "sync"), distance=setting("DISTANCE", "wan"), shape=setting("SHAPE", "1-1-1"),
        allowed=setting("ALLOW_MISSING", ""))
    if found.workload == "all":
        found = found._replace(workload=",".join(WORKLOADS))
    for word in found.workload.split(","):
        if word not in WORKLOADS:
            raise SystemExit(f"no such workload: {word}; there are {', '.join(WORKLOADS)}, and all")
    if found.distance not in hosts.RTTS:
        raise SystemExit(f"no such distance: {found.distance}; there are {', '.join(hosts.RTTS)}")
    if found.shape not in SHAPES:
        raise SystemExit(f"no such shape: {found.shape}; there are {', '.join(SHAPES)}")
    schedule.chosen(found.nemesis)
    return found


def last_line(sums):
    return "jepsen: " + " ".join(f"{name}={sums[name]}" for name in FIGURES)


def run_all(count):
    """Each in a process of its own: threads that one leaves, and the host it is on, are its own."""
    first = settings().seed
    sums, failed = dict.fromkeys(FIGURES, 0), []
    for seed in range(first, first + count):
        mounts = hosts.own_mounts()
        with subprocess.Popen([*mounts, sys.executable, os.path.abspath(__file__), "--one"],
                              env={**os.environ, "SEED": str(seed),
                                   hosts.MOUNTS: "1" if mounts else ""}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True) as process:
            figures = None
            for line in process.stdout:
                if re.match(r"jepsen: runs=\d", line):
                    figures = dict(one.split("=") for one in line.split()[1:])
                else:
                    print(line, end="", flush=True)
        if process.returncode != 0:
            failed.append(seed)
        for name in FIGURES:
            sums[name] = max(sums[name], int(figures[name])) if figures and name == "not_run" else \
                sums[name] + int((figures or {"runs": 1}).get(name, 0))
    if failed:
        print(f"jepsen: seeds that failed: {', '.join(map(str, failed))}")
    print(last_line(sums), flush=True)
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--one"]:
        wanted = settings()
        # A thread is on the host on which it began: libraries that begin some come after this.
        fabric, lacks = hosts.make_fabric(wanted.shape, wanted.seed)
        import one_run
        figures, good = one_run.run(wanted, fabric, lacks)
        print(last_line(figures), flush=True)
        sys.stdout.flush()
        os._exit(0 if good else 1)  # threads of libraries that wait for a dead server
    return run_all(int(setting("RUNS", "1")))


if __name__ == "__main__":
    sys.exit(main())
