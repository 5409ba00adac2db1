# SPDX-License-Identifier: Apache-2.0
"""Histories in Jepsen's operation form: one EDN map a line, times in ns of one monotonic clock since
the start, of an invocation before it is sent, of a completion after it was received. They are kept in
memory and written once, in the order of time."""
import threading
import time


class Keyword(str):
    """Written with a colon."""


def edn(value):
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Keyword):
        return ":" + value
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{edn(Keyword(key) if isinstance(key, str) else key)} {edn(one)}"
                               for key, one in value.items()) + "}"
    return "[" + " ".join(edn(one) for one in value) + "]"


class History:
    def __init__(self, start_ns=None):
        self.start_ns = time.monotonic_ns() if start_ns is None else start_ns
        self.lines = []  # (time, order, map)
        self.lock = threading.Lock()
        self.processes = 0
        self.acknowledged_ns = 0  # the invocation of the newest acknowledged change
        self.outcomes = {"ok": 0, "fail": 0, "info": 0}

    def now(self):
        return time.monotonic_ns() - self.start_ns

    def new_process(self):
        with self.lock:
            self.processes += 1
            return self.processes - 1

    def add(self, time_ns, process, kind, f, value, extra):
        """At a time that was taken before; 0: now."""
        with self.lock:
            line = {"time": time_ns or self.now(), "process": process, "type": Keyword(kind),
                    "f": Keyword(f), "value": value}
            line.update(extra)
            self.lines.append((line["time"], len(self.lines), line))
            return line["time"]

    def invoke(self, process, f, value):
        return self.add(0, process, "invoke", f, value, {})

    def complete(self, process, kind, f, value, invoked_ns=0, **extra):
        self.add(0, process, kind, f, value, extra)
        with self.lock:
            self.outcomes[kind] += 1
            if kind == "ok" and f != "read" and invoked_ns > self.acknowledged_ns:
                self.acknowledged_ns = invoked_ns

    def note(self, source, f, value, **extra):
        """What is no client's: a nemesis, an observer."""
        return self.add(0, Keyword(source), "info", f, value, extra)

    def write(self, path):
        with self.lock:
            lines = sorted(self.lines, key=lambda one: one[:2])
        with open(path, "w", encoding="utf-8") as file:
            for index, (_, _, line) in enumerate(lines):
                file.write(edn({"index": index, **line}) + "\n")
