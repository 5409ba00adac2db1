#!/usr/bin/python3
"""Functions that nobody calls: with external linkage, and used neither by another object of the
program nor by their own. Those that tests alone use are listed too, unless they are named below with
the reason. Reads the objects of a build: `make unused`."""
import glob
import os
import re
import subprocess
import sys

# What tests look at, and the program does not need.
FOR_TESTS = {
    "log_mark_list": "the simulator tells which marks were never hit",
    "log_set_fd": "tests read the log",
    "log_set_sink": "tests and the simulator read the log",
    "keeper_print_table": "make golden compares it with docs/failover.md",
    "keeper_rows_count": "a test proves that each pair has a row",
    "etcd_watch_count": "tests count what is left",
    "etcd_op_state_name": "tests say where an operation stands",
    "net_streams_count": "a fuzzer waits for the last one",
    "server_queued_bytes": "tests count what is left",
    "stream_listener_connections": "tests count what is left",
    "wal_first_index": "tests look at what is kept",
    "wal_segments_count": "tests look at what is kept",
    "http1_port": "tests listen on any port",
    "server_port": "tests listen on any port",
    "channel_last_reason": "tests ask why a connection ended",
    "channel_reset": "tests end a connection that stands",
    "channel_call_end": "clients that end their half, which ours never do",
    "channel_call_pause": "a client that reads slowly",
    "server_call_pause": "a handler that reads slowly",
    "server_call_resume": "a handler that reads slowly",
    "server_call_set_trailer": "interoperability: a trailer of ours",
    "http1_set_abort": "tests see a request given up",
    "guard_link_exit": "tests end a guardian in order",
    "pg_bounds_name": "a test names each setting",
    "position_can_follow": "tests of one fork",
    "merkle_inclusion_holds": "what proofs are for: auditors, and tests as they would",
    "merkle_consistency_holds": "what proofs are for: auditors, and tests as they would",
    "tls_reload": "the whole of what tls_watch does on a thread",
    "tls_not_after_ms": "tests see that another certificate is in use",
    "cert_not_after_ms": "tests see how long a certificate holds",
}
# What is called from outside.
FOR_OTHERS = {
    "Pg_magic_func": "PostgreSQL asks a library for it",
}
FILES_FOR_TESTS = {
    "src/base/prng.c": "the randomness of tests and of the simulator",
    "src/state/tables_memory.c": "the state without a disk, for tests and the simulator",
}


def symbols(path, *flags):
    done = subprocess.run(["nm", *flags, path], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def objects(build, *tops):
    """Objects whose source is still there: (object, source)."""
    for top in tops:
        for path in sorted(glob.glob(f"{build}/obj/{top}/**/*.o", recursive=True)):
            source = os.path.relpath(path, f"{build}/obj")[:-2] + ".c"
            if os.path.exists(source):
                yield path, source


def is_used_at_home(name, source, path):
    """Named again in its own file, or called by what a macro made there."""
    with open(source, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    if len(re.findall(rf"\b{name}\b", text)) > 1:
        return True
    if any(name.startswith(prefix) for prefix in re.findall(r"\b(\w+_)##", text)):
        return True
    done = subprocess.run(["readelf", "-rW", path], capture_output=True, text=True, check=True)
    return re.search(rf"\b{name}\b", sections(done.stdout)) is not None


def sections(relocations):
    """Those of code and data; debug information names everything."""
    parts = re.split(r"(?=^Relocation section)", relocations, flags=re.MULTILINE)
    return "".join(part for part in parts if ".rela.debug" not in part and ".eh_frame" not in part)


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    defined = {}
    used = set()
    for path, source in objects(build, "src"):
        for words in symbols(path):
            if len(words) == 3 and words[1] == "T" and words[2] != "main":
                defined[words[2]] = (source, path)
            elif len(words) == 2 and words[0] == "U":
                used.add(words[1])
    tested = set()
    for path, _ in objects(build, "tests", "bench"):
        tested.update(words[-1] for words in symbols(path, "-u"))
    if not defined:
        print(f"{build} holds no objects: make all unit first")
        return 1
    findings = []
    for name, (source, path) in sorted(defined.items(), key=lambda item: (item[1], item[0])):
        if name in used or name in FOR_TESTS or name in FOR_OTHERS:
            continue
        if source in FILES_FOR_TESTS:
            continue
        if is_used_at_home(name, source, path):
            continue
        who = "only tests use it" if name in tested else "nobody uses it"
        findings.append(f"{source}: {name}: {who}")
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
