#!/usr/bin/python3
"""Rings of files: who includes and calls each other in a circle, room by room.

A file here is a name.c with its name.h and name_internal.h. It points to another of its room if it includes that one's
header, or calls or reads what that one defines (from the symbol tables of the objects, so what goes
through a pointer does not count: that is how one calls back up). A ring inside one noun's family is fine:
one of its files gives its name to all the others (server, server_call, server_internal), and is not
named like the whole room. Any other is listed below, with its reason. Prints each ring that is not;
exits with 1 if there is one, or if a listed one is there no more. With -v, prints all.

Files without an object are judged by their includes alone.

Usage: check_rings.py [-v] [ROOT [OBJECTS]]   where OBJECTS has src/ROOM/name.o"""
import fnmatch
import os
import re
import subprocess
import sys

# Files of a ring (patterns) -> why it may be. A ring that is a part of an entry is allowed by it.
ALLOWED = [
    ("denials front*", "one struct: who is denied at the front, and what is said of it"),
    ("service_members service_settings", "a member's settings are asked of and by both services"),
    ("buf check clock error log* mem metrics plain_text thread",
     "the floor: a CHECK logs, and the log checks its own memory"),
    ("candidate failover_* lapse_planner placement witness",
     "one decision: its steps ask each other"),
    ("goal records report", "records of a shard hold goals and reports, which name records"),
    ("node node_*", "one member, one thread: its core is one struct, its shell another"),
    ("peer_* peers*", "one struct: a peer and its links"),
    ("abdicate append become boot compaction election evidence heartbeat invariants joint log_view "
     "membership outbox proof raft* read_* receive reconfigure replicate snapshot_* timers trace transfer "
     "leader_peers", "the paper's figure 4: roles become each other"),
    ("pg_config_file pg_conninfo pg_login pg_written", "what is written for the server, and reads back"),
    ("pg_files pg_room pg_tablespaces", "a data folder and its tablespaces"),
    ("h2* net* stream* tls*", "connections of one loop: a stream is in its net's lists"),
    ("query world", "a query is over the world it makes"),
    ("kv_lease kv_write", "a lease takes its keys along, and a key its place at its lease"),
    ("apply failover_* instance ledger roster settings shard sync_* topology handler",
     "handlers of commands, and what they share"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def main():
    verbose = "-v" in sys.argv
    arguments = [one for one in sys.argv[1:] if one != "-v"]
    root = arguments[0] if arguments else "."
    objects = arguments[1] if len(arguments) > 1 else None
    src = os.path.join(root, "src")
    found = 0
    used = set()
    for room in sorted(one for one in os.listdir(src) if os.path.isdir(os.path.join(src, one))):
        edges = edges_of(root, room, objects)
        for ring in rings(edges):
            if is_family(ring, room):
                if verbose:
                    print(f"{room}: {' '.join(sorted(ring))}: one noun")
                continue
            entry = next((at for at, (files, _) in enumerate(ALLOWED)
                          if all(matches(one, files) for one in ring)), None)
            if entry is None:
                found += 1
                print(f"{room}: a ring that is not listed: {' '.join(sorted(ring))}")
                for one in sorted(ring):
                    for other, why in sorted(edges[one].items()):
                        if other in ring:
                            print(f"    {one} -> {other}: {why}")
            else:
                used.add(entry)
                if verbose:
                    print(f"{room}: {' '.join(sorted(ring))}: {ALLOWED[entry][1]}")
    for at, (files, _) in enumerate(ALLOWED):
        if objects and at not in used:
            found += 1
            print(f"listed, and there no more: {files}")
    return 1 if found else 0


def is_family(ring, room):
    return any(head != room and all(one == head or one.startswith(head + "_") for one in ring)
               for head in ring)


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split())


def stem_of(name):
    """name_internal.h is part of name."""
    return name.rsplit(".", 1)[0].removesuffix("_internal")


def edges_of(root, room, objects):
    """File -> {another: why it points there}."""
    files = {}
    for where, _, names in os.walk(os.path.join(root, "src", room)):
        for name in names:
            if name.endswith((".c", ".h")):
                stem = stem_of(name)
                files.setdefault(stem, []).append(os.path.join(where, name))
    edges = {stem: {} for stem in files}
    for stem, paths in files.items():
        for path in paths:
            with open(path, encoding="utf-8") as file:
                for header in INCLUDE.findall(file.read()):
                    other = stem_of(os.path.basename(header))
                    if header.startswith(room + "/") and other in files and other != stem:
                        edges[stem].setdefault(other, f"includes {header}")
    defined, wanted = symbols(root, files, objects)
    for stem, names in wanted.items():
        for name in names:
            other = defined.get(name, stem)
            if other != stem and not edges[stem].get(other, "").startswith("uses"):
                edges[stem][other] = f"uses {name}"
    return edges


def symbols(root, files, objects):
    """Symbol -> the file that defines it, and file -> what it wants."""
    defined = {}
    wanted = {}
    for stem, paths in files.items():
        source = next((path for path in paths if path.endswith(".c")), None)
        if source is None or objects is None:
            continue
        path = os.path.join(objects, os.path.relpath(source, root)[:-2] + ".o")
        if not os.path.exists(path):
            continue
        listed = subprocess.run(["nm", "-g", path], check=True, stdout=subprocess.PIPE, text=True)
        for line in listed.stdout.splitlines():
            kind, name = line.split()[-2:]
            if kind == "U":
                wanted.setdefault(stem, set()).add(name)
            else:
                defined[name] = stem
    return defined, wanted


def rings(edges):
    """Strongly connected components of more than one file (Tarjan, without recursion)."""
    order, low, stack, on_stack, found = {}, {}, [], set(), []
    for root in sorted(edges):
        if root in order:
            continue
        walk = [(root, iter(sorted(edges[root])))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while walk:
            here, others = walk[-1]
            for other in others:
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    on_stack.add(other)
                    walk.append((other, iter(sorted(edges[other]))))
                    break
                if other in on_stack:
                    low[here] = min(low[here], order[other])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[here])
                if low[here] == order[here]:
                    ring = []
                    while True:
                        ring.append(stack.pop())
                        on_stack.discard(ring[-1])
                        if ring[-1] == here:
                            break
                    if len(ring) > 1:
                        found.append(ring)
    return found


if __name__ == "__main__":
    sys.exit(main())
