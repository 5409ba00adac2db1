#!/usr/bin/python3
"""Nothing on a loop waits for a disk: what makes a file durable is called only where a thread, a
program of its own or a start that has no loop yet is known to call it.

Prints one line per finding and exits with 1 if there is one. Each place of the tables has its reason;
a new one needs one too."""
import os
import re
import sys

# What waits for a disk -> where it may be called, and on what it runs there.
MAY_WAIT = [
    (r"\b(fsync|fdatasync|syncfs|sync_file_range|msync)\(", {
        "src/storage/disk.c": "the disk itself: of the append thread, of the apply thread",
        "src/storage/store_copy.c": "a snapshot's thread, or a start",
        "src/rpc/certificate_file.c": "a command",
        "src/replication/durable_file.c": "see the next table",
        "src/replication/postgres/pg_files.c": "the driver's action thread",
    }),
    (r"\bdurable_file_(write|sync_dir)\(", {
        "src/replication/durable_file.c": "itself",
        "src/replication/kept_file.c": "a thread of its own, or a start",
        "src/replication/guardian_store.c": "a child of the guardian",
        "src/replication/start_nonce.c": "a driver's action thread",
        "src/replication/postgres/": "the driver's action thread and its probe thread",
    }),
    (r"\bkept_file_(read|write)\(", {
        "src/replication/kept_file.c": "itself",
        "src/replication/agent_keep.c": "the sidecar's start",
        "src/replication/instance_dir.c": "the sidecar's start",
    }),
    (r"\btls_(read|reload|files_changed)\(", {
        "src/rpc/tls.c": "itself",
        "src/rpc/tls_watch.c": "a thread of libuv's pool",
    }),
    (r"\b(quarantine_mark_(read|write|remove)|vouch_file_(read|write))\(", {
        "src/storage/": "themselves",
        "src/cmd/": "commands",
        "src/node/node_quarantine.c": "a start; a member that ends",
        "src/node/node_file.c": "see the next table",
    }),
    (r"\bnode_file_small\(", {
        "src/node/node_file.c": "itself",
        "src/node/node_uv_file.c": "a thread of libuv's pool",
        "src/node/node_vouched.c": "a start",
    }),
]
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRING = re.compile(r'"(\\.|[^"\\\n])*"')


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    findings = []
    for where, _, names in os.walk(os.path.join(root, "src")):
        for name in sorted(names):
            if name.endswith(".c"):
                path = os.path.join(where, name)
                findings += check(os.path.relpath(path, root), path)
    for finding in sorted(findings):
        print(finding)
    return 1 if findings else 0


def check(path, full):
    with open(full, encoding="utf-8") as file:
        text = file.read()
    text = COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    text = STRING.sub('""', text)
    findings = []
    for number, line in enumerate(text.split("\n"), 1):
        for pattern, places in MAY_WAIT:
            match = re.search(pattern, line)
            if match and not path.startswith(tuple(places)):
                findings.append(f"{path}:{number}: {match[0][:-1]} waits for a disk: give it to a "
                                "thread (kept_file.h, work.h), or say in tools/check_waits.py on "
                                "what it runs")
    return findings


if __name__ == "__main__":
    sys.exit(main())
