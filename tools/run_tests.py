#!/usr/bin/python3
"""Runs test programs, each with a deadline and under a supervisor of its own that leaves no process
behind, and ends with one line: "N passed, N failed".

    run_tests.py [--logs DIR] [--first-failure] [--jobs N] [--timeout SECONDS] [--env KEY=VALUE] PROGRAM ...

--jobs, --timeout and --env hold for the programs after them; those before another --jobs end first. A
program is an executable, a .sh or a .py file. They are started in the order given, N at a time; each is
reported when it ends, with its seconds by the clock and those that it worked, all its processes together.
Cases are counted from cmocka's report, or from a last line "N passed, N failed"; else a program is one
case. Exit code 77 means skipped. With --first-failure none is begun after one that failed. The output of
each program is kept in DIR; that of failed ones is shown as well.
"""
import concurrent.futures
import ctypes
import itertools
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time

TIMEOUT_SECONDS = 120
SKIPPED = 77
SHOWN_LINES = 120
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_TIMEOUT = 124
LEFTOVER_MARK = "run_tests: left behind:"


def main(arguments):
    if arguments[:1] == ["--supervise"]:
        return supervise(float(arguments[1]), arguments[2:])
    logs, programs, first_failure = parse(arguments)
    os.makedirs(logs, exist_ok=True)
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    worked = 0.0
    start = time.monotonic()
    for result in run_all(programs, logs, first_failure):
        report(result)
        worked += result["worked"]
        for kind in totals:
            totals[kind] += result[kind]
        if result["failed"] > 0:
            failures.append(result)
    remove_segments()
    for result in failures:
        print(f"failed: {result['name']} (its output: {result['log']})")
    if totals["skipped"] > 0:
        print(f"{totals['skipped']} skipped")
    print(f"{len(programs)} programs in {time.monotonic() - start:.1f} s, worked {worked:.1f} s")
    print(f"{totals['passed']} passed, {totals['failed']} failed", flush=True)
    return 1 if totals["failed"] > 0 else 0


def remove_segments():
    """A PostgreSQL server that is killed, as many are here, leaves a segment of System V's memory to
    be found by its successor; of a folder that is gone there is none, and the machine has room for
    4,096. Those to which nobody is attached go, if who made them and who used them last have ended."""
    try:
        with open("/proc/sysvipc/shm", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
    except OSError:
        return
    for segment, makers, attached in ((row[1], row[4:6], row[6]) for row in rows):
        if attached == "0" and not any(os.path.exists(f"/proc/{pid}") for pid in makers):
            subprocess.run(["ipcrm", "-m", segment], check=False, stderr=subprocess.DEVNULL)


def parse(arguments):
    jobs, logs, timeout, env, programs = 1, "build/test-logs", TIMEOUT_SECONDS, {}, []
    first_failure = False
    words = iter(arguments)
    for word in words:
        if word == "--first-failure":
            first_failure = True
        elif word == "--jobs":
            jobs = int(next(words))
        elif word == "--logs":
            logs = next(words)
        elif word == "--timeout":
            timeout = int(next(words))
        elif word == "--env":
            key, _, value = next(words).partition("=")
            env = {**env, key: value}
        else:
            programs.append({"path": word, "timeout": timeout, "env": env, "jobs": jobs})
    return logs, programs, first_failure


def run_all(programs, logs, first_failure):
    for jobs, group in itertools.groupby(programs, lambda program: program["jobs"]):
        with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
            started = [pool.submit(run, program, logs) for program in group]
            for ended in concurrent.futures.as_completed(started):
                yield ended.result()
                if first_failure and ended.result()["failed"] > 0:
                    pool.shutdown(wait=True, cancel_futures=True)
                    return


def run(program, logs):
    """Runs one program to its end; its result as a dict of counts."""
    name = re.sub(r"^(.*/)?tests/", "", program["path"])
    log = os.path.join(logs, re.sub(r"[^A-Za-z0-9_.-]+", "_", name) + ".log")
    start = time.monotonic()
    with open(log, "wb") as output:
        command = [sys.executable, "-IS", os.path.abspath(__file__), "--supervise"]
        command += [str(program["timeout"]), *command_of(program["path"])]
        status, worked = wait_for(subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program["env"]},
        ), program["timeout"] + 60)
    with open(log, encoding="utf-8", errors="replace") as output:
        text = output.read()
    result = count(text, status)
    result.update(name=name, log=log, status=status, seconds=time.monotonic() - start, worked=worked)
    result["leftovers"] = LEFTOVER_MARK in text
    return result


def wait_for(process, timeout):
    """(exit code, seconds of a core that it and whatever it waited for took)."""
    late = threading.Timer(timeout, os.kill, (process.pid, signal.SIGKILL))
    late.daemon = True
    late.start()
    _, status, usage = os.wait4(process.pid, 0)
    late.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    worked = usage.ru_utime + usage.ru_stime
    return EXIT_TIMEOUT if process.returncode < 0 else process.returncode, worked


def command_of(path):
    if path.endswith(".py"):
        return ["/usr/bin/python3", path]
    if path.endswith(".sh"):
        return ["/bin/bash", path]
    return [os.path.abspath(path)]


def count(text, status):
    passed = failed = skipped = 0
    for line in text.splitlines():
        match = re.match(r"\[  (PASSED|FAILED |SKIPPED)\s*\] (\d+) test\(s\)", line)
        if match:
            number = int(match[2])
            kind = match[1].strip()
            passed += number if kind == "PASSED" else 0
            failed += number if kind == "FAILED" else 0
            skipped += number if kind == "SKIPPED" else 0
    own_totals = re.findall(r"^(\d+) passed, (\d+) failed$", text, re.MULTILINE)
    if own_totals and passed + failed == 0:
        passed, failed = (int(number) for number in own_totals[-1])
    if status == SKIPPED and passed + failed == 0:
        return {"passed": 0, "failed": 0, "skipped": 1}
    if status == 0:
        # A program that says nothing is one case.
        passed = passed if passed + failed + skipped > 0 else 1
    else:
        failed = max(failed, 1)
    return {"passed": passed, "failed": failed, "skipped": skipped}


def report(result):
    word = "FAIL" if result["failed"] > 0 else "skip" if result["passed"] == 0 else "ok"
    notes = f"{result['passed']} passed"
    if result["failed"] > 0:
        notes += f", {result['failed']} failed, {describe(result['status'])}"
    if result["leftovers"]:
        notes += ", processes left behind"
    print(f"{word:4} {result['name']} ({notes}, {result['seconds']:.1f} s, worked "
          f"{result['worked']:.1f} s)", flush=True)
    if result["failed"] > 0 or word == "skip":
        with open(result["log"], encoding="utf-8", errors="replace") as output:
            lines = output.read().splitlines()
        if len(lines) > SHOWN_LINES:
            print(f"     … {len(lines) - SHOWN_LINES} lines more in {result['log']}")
        for line in lines[-SHOWN_LINES:]:
            print("     " + line)
        sys.stdout.flush()


def describe(status):
    if status == EXIT_TIMEOUT:
        return "timed out"
    if status > 128:
        return f"killed by signal {status - 128}"
    return f"exit code {status}"


# --- the supervisor ---------------------------------------------------------------------------------
# Every orphan of the test becomes our child (subreaper), also those that made sessions of their own.


def supervise(timeout, command):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: (kill_descendants(), os._exit(EXIT_TIMEOUT)))
    child = subprocess.Popen(command, start_new_session=True)
    ended = select.poll()
    ended.register(os.pidfd_open(child.pid), select.POLLIN)
    if ended.poll(timeout * 1000):
        status = child.wait()
        if status < 0:
            status = 128 - status
    else:
        print(f"run_tests: timed out after {timeout:.0f} s; processes: {names(descendants())}")
        status = EXIT_TIMEOUT
    left = [pid for pid in descendants() if pid != child.pid]
    if left and status != EXIT_TIMEOUT:
        print(f"{LEFTOVER_MARK} {names(left)}")
    sys.stdout.flush()
    kill_descendants()
    return status


def kill_descendants():
    for _ in range(200):
        pids = descendants()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass
        if not pids:
            return
        time.sleep(0.02)


def descendants():
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [os.getpid()]
    while queue:
        for pid in children.get(queue.pop(), []):
            found.append(pid)
            queue.append(pid)
    return found


def names(pids):
    texts = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as cmdline:
                texts.append(f"{pid} {cmdline.read().replace(chr(0), ' ').strip()[:120]}")
        except OSError:
            pass
    return "; ".join(texts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
