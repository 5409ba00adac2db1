# SPDX-License-Identifier: Apache-2.0
"""One run: a world, a workload, observers, nemeses one after the other, and what judges say of it."""
import collections
import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import time
import traceback

import gear
import history
import hosts
import members
import observers
import schedule
import workloads
import world
from nemesis import AT_ONCE, NEVER

STORE = os.path.join(hosts.ROOT, os.environ.get("B", "build"), "jepsen", "store")
CHECK = os.path.join(hosts.PROGRAMS, "check")
RTO_S = 30.0        # what a shard promises unless it is told otherwise
WHOLE_S = 180.0     # after the last fault: everything is as it was
SETTLE_S = 20.0     # between two faults, for what only restores the spare
CHECK_S = 300
BLIND_S = 10.0      # after clients were cut off: what the judge of the status looks back
STILL_NS = 10 ** 9  # without an acknowledgement


class Run:
    def __init__(self, wanted, earth, kinds):
        self.wanted, self.earth = wanted, earth
        self.sights = history.History()
        self.workloads = workloads.of_names(
            wanted.workload, earth, lambda: history.History(self.sights.start_ns), wanted.seed)
        self.plan = schedule.draw(wanted.seed, kinds, wanted.time_s)
        self.said = []  # lines of the report
        self.faults = collections.Counter()
        self.observers = None

    def say(self, text):
        line = f"[{self.sights.now() / 1e9:7.2f} s] {text}"
        self.said.append(line)
        print(line, flush=True)

    def note(self, source, f, value):
        """In all histories, at one time."""
        now = self.sights.now()
        for one in self.workloads:
            one.history.add(now, history.Keyword(source), "info", f, value, {})
        return now

    def silent(self, since):
        """Workloads of which nothing that was asked since then was acknowledged."""
        return [one.name for one in self.workloads if one.history.acknowledged_ns < since]

    # --- faults -----------------------------------------------------------------------------------

    def demand(self, when):
        """From now on something must be acknowledged, to each workload; waits for it."""
        since = self.note("nemesis", "recover", {"within-ms": int(RTO_S * 1000), "from": when})
        deadline = time.monotonic() + RTO_S + 1
        while self.silent(since) and time.monotonic() < deadline:
            time.sleep(members.POLL_S)
        took = (self.sights.now() - since) / 1e9
        silent = self.silent(since)
        if silent:
            self.say(f"   NOT RECOVERED {RTO_S:.0f} s from {when}: {', '.join(silent)}")
        else:
            self.say(f"   recovered {took:.2f} s from {when}")

    def outlast(self):
        """What stands still when the fault is to be healed must go on without that: a lease may have
        run until now."""
        deadline = time.monotonic() + RTO_S + 1
        since = self.sights.now() - STILL_NS
        while self.silent(since) and time.monotonic() < deadline:
            time.sleep(members.POLL_S)

    def is_whole(self):
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            return self.earth.is_whole()
        return False

    def wait_whole(self, timeout_s):
        with contextlib.suppress(AssertionError):
            return members.wait_until("whole", self.is_whole, timeout_s)
        return False

    def suffer(self, entry):
        """One fault from its beginning to the end of what it left."""
        whole = self.wait_whole(SETTLE_S)
        one = entry.kind(self.earth, entry.seed)
        self.note("nemesis", "fault", entry.kind.name)
        self.faults[entry.kind.name] += 1
        if entry.kind.name == "cut-clients":
            self.observers.status.blind(3600)
        began = time.monotonic()
        try:
            about = one.begin()
            self.say(f"{entry.number}. {entry.kind.name}: {about}" + (
                "" if whole else " (the world was not whole)"))
            if whole and entry.kind.survives == AT_ONCE:
                self.demand("the fault")
            time.sleep(max(0.0, began + entry.hold_s - time.monotonic()))
            if whole and entry.kind.survives == AT_ONCE:
                self.outlast()
            seen = one.seen()
            if seen is not None:
                self.say(f"   {'seen: ' + seen if seen else 'nobody met it'}")
        finally:
            one.end()
        if entry.kind.name == "cut-clients":
            self.observers.status.blind(BLIND_S)
        self.note("nemesis", "heal", entry.kind.name)
        if entry.kind.survives != NEVER:
            self.demand("the heal")
        time.sleep(entry.quiet_s)

    def run(self):
        for one in self.workloads:
            one.setup()
        self.observers = observers.Observers(self.earth, self.sights)
        for one in self.workloads:
            one.start()
        self.demand("the start")
        deadline = time.monotonic() + self.wanted.time_s
        for entry in self.plan:
            if time.monotonic() >= deadline:
                break
            self.suffer(entry)
        if not self.plan:
            time.sleep(self.wanted.time_s)
        return self.finish()

    def finish(self):
        """Everything is healed; True if all of it came back."""
        if self.earth.fabric:
            self.earth.fabric.cut([])
        self.earth.start_dead()
        whole = self.wait_whole(WHOLE_S)
        if not whole:
            self.say(f"NOT WHOLE {WHOLE_S:.0f} s after the last fault: "
                     f"{self.earth.client('shard', 'show', 'main', check=False)[1]}")
        for one in self.workloads:
            one.stop()
        for one in self.workloads:
            one.finish()
        self.observers.stop()
        self.observers.read_ledgers()
        for one in self.earth.failovers():
            self.note("observer", "failover", {
                "id": one["id"], "cause": one["cause"], "proof": one["proof"],
                "could-lose": bool(one["could_lose"]), "from": one["old_primary"],
                "to": one["candidate"], "step": one["step"]})
        return whole

    # --- the report -------------------------------------------------------------------------------

    def write_histories(self, folder):
        """[(judges, file)]"""
        files = [(("primary", "status", "ledger"), "world.edn")]
        self.sights.write(os.path.join(folder, "world.edn"))
        for one in self.workloads:
            name = "history.edn" if len(self.workloads) == 1 else f"history-{one.name}.edn"
            one.history.write(os.path.join(folder, name))
            files.append((one.judges, name))
        return files

    def judge(self, folder):
        """(violations, failed recoveries, recovered in time)."""
        found = collections.Counter()
        for judges, name in self.write_histories(folder):
            said = f"--- {name}\n{check(judges, os.path.join(folder, name))}"
            self.said += said.splitlines()
            print(said, end="", flush=True)
            verdicts = re.findall(r"^check: (\w+) violations=(\d+)$", said, re.MULTILINE)
            assert sorted(one for one, _ in verdicts) == sorted(judges), said
            for judge, count in verdicts:
                found[judge] += int(count)
            found["in time"] += sum(int(one) for one in re.findall(
                r"^recovery: .* in_rto=(\d+)", said, re.MULTILINE))
        failed, recovered = found.pop("recovery", 0), found.pop("in time")
        return sum(found.values()), failed, recovered

    def write_report(self, folder, replay):
        sums = sum((collections.Counter(one.history.outcomes) for one in self.workloads),
                   collections.Counter())
        counts = ", ".join(f"{kind} {count}" for kind, count in sums.items())
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        with open(os.path.join(folder, "report.txt"), "w", encoding="utf-8") as file:
            file.write(f"{replay}\n\nbinary: {members.INDABA}, {commit()}\noutcomes: {counts}\n"
                       f"faults: {faults}\n\nplan (what fitted into the time was done):\n")
            file.writelines(f"  {entry}\n" for entry in self.plan[:sum(self.faults.values())])
            file.write("\n" + "\n".join(self.said) + "\n")


def commit():
    done = subprocess.run(["git", "-C", hosts.ROOT, "log", "-1", "--format=%h %s"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip()


def check(judges, path):
    done = subprocess.run([CHECK, *judges, path], capture_output=True, text=True, check=False,
                          timeout=CHECK_S)
    return done.stdout + done.stderr


def keep_logs(earth, folder):
    for one in earth.members + earth.instances:
        for path, name in ((one.log, f"{one.name}.log"),
                           (os.path.join(one.dir, "log", "postgres.log"),
                            f"{one.name}.postgres.log")):
            with contextlib.suppress(OSError):
                shutil.copyfile(path, os.path.join(folder, name))


def replay_of(wanted):
    return (f"replay: make jepsen SEED={wanted.seed} WORKLOAD={wanted.workload} "
            f"NEMESIS=\"{wanted.nemesis}\" TIME={wanted.time_s:.0f} MODE={wanted.mode} "
            f"DISTANCE={wanted.distance} SHAPE={wanted.shape}")


def run(wanted, fabric, lacks):
    """(figures, whether nothing was wrong)."""
    if not os.environ.get(hosts.MOUNTS):
        lacks["disks"] = "disks of their own need root and loop devices"
    lacks.update(gear.lacking(schedule.chosen(wanted.nemesis)))
    kinds, cannot, bad = schedule.missing(schedule.chosen(wanted.nemesis), wanted.allowed, lacks)
    for name, why in cannot:
        print(f"not run: {name}: {why}", flush=True)
    figures = {"runs": 1, "violations": 0, "recovered_in_rto": 0, "failed_recoveries": 0,
               "not_run": len(cannot)}
    folder = os.path.join(STORE, f"{wanted.seed}-{wanted.workload.replace(',', '+')}-"
                                 f"{re.sub('[^a-z0-9+-]+', '_', wanted.nemesis)}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    print(replay_of(wanted), flush=True)
    try:
        judged(wanted, fabric, kinds, folder, figures)
    except Exception:  # whatever it is, this run is no proof
        figures["violations"] += 1
        print(f"the run did not come to its end:\n{traceback.format_exc()}", flush=True)
    if fabric:
        fabric.stop()
    print(f"kept: {folder}", flush=True)
    return figures, not (figures["violations"] or figures["failed_recoveries"] or bad)


def judged(wanted, fabric, kinds, folder, figures):
    ctypes.CDLL(None).prctl(world.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    needs = {need for kind in kinds for need in kind.needs}
    disks = "disks" in needs
    words = (wanted.shape, wanted.mode, fabric, wanted.distance, disks)
    earth = gear.GearedWorld(*words, needs) if needs - {"hosts", "disks"} else \
        hosts.HostedWorld(*words)
    one = None
    try:
        earth.prepare()
        earth.up()
        one = Run(wanted, earth, kinds)
        for entry in one.plan[:40]:
            print(f"plan: {entry}", flush=True)
        whole = one.run()
        violations, failed, recovered = one.judge(folder)
        figures["violations"] += violations
        figures["failed_recoveries"] += failed + (0 if whole else 1)
        figures["recovered_in_rto"] += recovered
    finally:
        keep_logs(earth, folder)
        if one:
            with contextlib.suppress(OSError):
                one.write_histories(folder)
            one.write_report(folder, replay_of(wanted))
        earth.stop(False)
