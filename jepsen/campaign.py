#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many runs, one after the other, and one report of all of them: what each found, with the seed that
finds it again. What it takes is what run.py takes; where nothing is said: ten seeds, ten minutes each,
all workloads at once, all nemeses, three regions and five members.

The report (build/jepsen/campaign.txt) is written anew after each run, so that one that is interrupted
has it, too. Exit code 0: nothing was wrong in any of them."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

DEFAULTS = {"SEED": "1", "RUNS": "10", "TIME": "600", "WORKLOAD": "all", "NEMESIS": "all",
            "SHAPE": "2-2-1", "MODE": "sync", "DISTANCE": "wan"}
MORE_S = 900  # beyond the time of faults: to begin, to come back, to be judged
REPORT = os.path.join(os.path.dirname(run.hosts.PROGRAMS), "jepsen", "campaign.txt")
SHOWN = re.compile(r"violation: |not run: |\[.* s\] +NOT |the run did not come to its end|\w*Error")


class Done:
    """One run: its figures, and the lines that say what was wrong."""

    def __init__(self, settings, took_s, said):
        self.settings, self.took_s = settings, took_s
        last = re.findall(r"^jepsen: (runs=.*)$", said, re.MULTILINE)
        self.figures = {name: int(count) for name, count in
                        (one.split("=") for one in last[-1].split())} if last else {
                            "runs": 1, "violations": 1, "failed_recoveries": 0, "recovered_in_rto": 0,
                            "not_run": 0}
        self.bad = [line.strip() for line in said.splitlines() if SHOWN.match(line)]
        self.replay = (re.findall(r"^replay: (.*)$", said, re.MULTILINE) or ["?"])[0]
        self.faults = len(re.findall(r"^\[.* s\] \d+\. ", said, re.MULTILINE))

    def clean(self):
        return not self.figures["violations"] and not self.figures["failed_recoveries"]


def one_run(settings):
    began = time.monotonic()
    try:
        done = subprocess.run([sys.executable, run.__file__], env={**os.environ, **settings},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False,
                              timeout=float(settings["TIME"]) + MORE_S)
        said = done.stdout
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode() + "\nviolation: the run did not end\n"
    return Done(settings, time.monotonic() - began, said)


def line_of(sums):
    return run.last_line({name: sums.get(name, 0) for name in run.FIGURES})


def sums_of(runs):
    return {name: (max if name == "not_run" else sum)(one.figures[name] for one in runs)
            for name in run.FIGURES}


def write_report(runs):
    os.makedirs(os.path.dirname(REPORT), exist_ok=True)
    with open(REPORT, "w", encoding="utf-8") as file:
        file.write(f"{'seed':>6} {'faults':>7} {'violations':>11} {'in RTO':>7} {'not in RTO':>11} "
                   f"{'took':>7}\n")
        for one in runs:
            file.write(f"{one.settings['SEED']:>6} {one.faults:>7} {one.figures['violations']:>11} "
                       f"{one.figures['recovered_in_rto']:>7} "
                       f"{one.figures['failed_recoveries']:>11} {one.took_s:>5.0f} s\n")
        for one in runs:
            if one.bad:
                file.write(f"\nseed {one.settings['SEED']}: {one.replay}\n")
                file.writelines(f"  {line}\n" for line in one.bad)
        file.write("\n" + line_of(sums_of(runs)) + "\n")


def main():
    settings = {name: os.environ.get(name) or value for name, value in DEFAULTS.items()}
    first, runs = int(settings["SEED"]), []
    for seed in range(first, first + int(settings.pop("RUNS"))):
        runs.append(one_run({**settings, "SEED": str(seed), "RUNS": "1"}))
        write_report(runs)
        print(f"seed {seed}: {line_of(runs[-1].figures)} ({runs[-1].took_s:.0f} s)", flush=True)
        for line in runs[-1].bad:
            print(f"  {line}", flush=True)
    print(f"kept: {REPORT}")
    print(line_of(sums_of(runs)), flush=True)
    return 0 if all(one.clean() for one in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
