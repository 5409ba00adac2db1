#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Does a nemesis do anything? Each of those that are chosen, once, in one world that is whole before and
after it, with a word of how the product met it: what the nemesis itself can measure, else what
members, sidecars and databases said that they do not say in a quiet world.

    NEMESIS=all SEED=1 DISTANCE=near SHAPE=1-1-1 ALLOW_MISSING="" jepsen/shown.py (make jepsen-shown)

Last line: `shown: nemeses=… seen=… failed=… not_run=…`; exits with 1 if one was not seen, or what a host
lacks is not in ALLOW_MISSING."""
import collections
import contextlib
import ctypes
import os
import re
import subprocess
import sys
import time
import traceback

import hosts
import schedule

SEEN_S = 25.0
QUIET_S = 3.0
CALM_S = 1.0
EVENT = re.compile(r" event=([a-z_.]+)| (FATAL|PANIC|ERROR|LOG):  ")


def logs(earth):
    return [path for one in earth.members + earth.instances
            for path in (one.log, os.path.join(one.dir, "log", "postgres.log"))]


def places(earth):
    return {path: os.path.getsize(path) if os.path.exists(path) else 0 for path in logs(earth)}


def said(earth, since):
    """How often each event was said since those places."""
    found = collections.Counter()
    for path in logs(earth):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            file.seek(min(since.get(path, 0), os.path.getsize(path)))
            found.update(event or word for event, word in EVENT.findall(file.read()))
    return found


def show(earth, kind, seed, quiet):
    """How it was seen; "" if nobody did."""
    one, since, began = kind(earth, seed), places(earth), time.monotonic()
    try:
        about = one.begin()
        while True:
            seen = one.seen()
            if seen is None:
                events = [event for event in said(earth, since) if event not in quiet]
                seen = ", ".join(sorted(events)[:6])
            if seen or time.monotonic() > began + max(SEEN_S, kind.hold_s[1]):
                return about, seen
            time.sleep(0.2)
    finally:
        one.end()
        if earth.fabric:
            earth.fabric.cut([])
        earth.start_dead()


def back(earth, told):
    """Everything is as it was, and something is acknowledged."""
    import members
    for one in earth.members + earth.instances:
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(0.1)
    earth.start_dead()
    began = told.now()
    earth.wait_ready(60)
    earth.wait_whole()
    members.wait_until("a row is acknowledged", lambda: told.acknowledged_ns > began, 60)


def run(earth, kinds, seed):
    """Names of those that nobody saw, or after which not everything came back."""
    import history
    import workloads
    earth.prepare()
    earth.up()
    told = history.History()
    load = workloads.WORKLOADS["set"](earth, told, seed)
    load.setup()
    load.start()
    back(earth, told)
    since = places(earth)
    time.sleep(QUIET_S)
    quiet, bad = set(said(earth, since)), []
    for kind in kinds:
        began = time.monotonic()
        try:
            about, seen = show(earth, kind, f"{seed} {kind.name}", quiet)
            back(earth, told)
        except Exception as error:  # whatever it is, this one was not shown
            about, seen = f"{error!r}\n{traceback.format_exc()}", ""
        if not seen:
            bad.append(kind.name)
        print(f"{'seen' if seen else 'NOT SEEN':8} {kind.name:22} {about}: {seen}  "
              f"({time.monotonic() - began:.1f} s)", flush=True)
        time.sleep(CALM_S)
    load.stop()
    return bad


def main():
    if os.environ.get(hosts.MOUNTS) is None:
        mounts = hosts.own_mounts()
        environment = {**os.environ, hosts.MOUNTS: "1" if mounts else ""}
        words = [*mounts, sys.executable, os.path.abspath(__file__)]
        os.execvpe(words[0], words, environment)
    import run as settings
    wanted = settings.settings()
    fabric, lacks = hosts.make_fabric(wanted.shape, wanted.seed)
    import gear  # a thread is on the host on which it began
    import world
    if not os.environ[hosts.MOUNTS]:
        lacks["disks"] = "disks of their own need root and loop devices"
    chosen = schedule.chosen(wanted.nemesis)
    lacks.update(gear.lacking(chosen))
    kinds, cannot, bad = schedule.missing(chosen, wanted.allowed, lacks)
    for name, why in cannot:
        print(f"not run: {name}: {why}", flush=True)
    ctypes.CDLL(None).prctl(world.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    needs = {need for kind in kinds for need in kind.needs}
    earth = gear.GearedWorld(wanted.shape, wanted.mode, fabric, wanted.distance, "disks" in needs,
                             needs)
    failed = ["all"] if kinds else []
    try:
        failed = run(earth, kinds, wanted.seed) if kinds else []
    except Exception:  # whatever it is, nothing was shown
        print(traceback.format_exc(), flush=True)
    finally:
        earth.stop(False)
        if fabric:
            fabric.stop()
    print(f"shown: nemeses={len(chosen)} seen={len(kinds) - len(failed)} failed={len(failed)} "
          f"not_run={len(cannot)}" + "".join(f" {name}" for name in failed), flush=True)
    os._exit(1 if failed or bad else 0)  # threads that wait for a dead server


if __name__ == "__main__":
    main()
