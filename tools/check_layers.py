#!/usr/bin/python3
"""Who may include whom (CONTRIBUTING.md, "The floors"), and the size and names of files.

Prints one line per finding and exits with 1 if there is one. The tables below are the rules; change
them only together with the architecture."""
import os
import re
import sys

# Layer -> layers it may include besides itself.
MAY_INCLUDE = {
    "base": "",
    "model": "base",
    "wire": "model base",
    "raft": "model base",
    "state": "model base",
    "decide": "model base",
    "storage": "model base",
    "rpc": "base",
    "client": "rpc wire model base",
    "config": "model base",
    "peers": "rpc wire config model base",
    "node": "peers decide state raft storage rpc wire config model base",
    "api": "node peers decide state rpc wire config model base",
    "etcd": "rpc wire model base",
    # Runs inside PostgreSQL, and is linked with nothing of ours.
    "gate": "",
    "replication": "client rpc wire config model base",
    "cmd": "api etcd node peers replication client state decide raft storage rpc wire config model base",
}
# Layer -> single headers of other layers that it may see as well.
ALSO = {
    "storage": {"raft/types.h", "state/tables.h"},
    # What log entries and peer messages carry, as structs.
    "wire": {"raft/types.h", "state/command.h"},
    # Deciders hand out commands.
    "decide": {"state/command.h"},
    # What a configuration names, and what links carry.
    "config": {"raft/types.h", "rpc/net.h"},
    "peers": {"raft/types.h", "state/command.h"},
    # A service answers with the core's own account of itself.
    "api": {"raft/types.h", "raft/raft.h"},
    # The page that the guardian shows to the gate, and what both keep others from setting.
    "replication": {"gate/gate_page.h", "gate/gate_settings.h"},
    "etcd": {"api/front.h", "node/node_port.h", "state/kv.h", "state/kv_reply.h"},
}
GENERATED_SEEN_BY = {"wire", "client", "peers", "node", "api", "etcd", "replication", "cmd"}
LIBUV_SEEN_BY = {"rpc", "storage", "client", "peers", "node", "api", "etcd", "replication", "cmd"}
DRIVERS = ("src/replication/postgres/",)
PURE = {"model", "raft", "state", "decide"}
# Pure layers have no input, output, clock, threads.
IMPURE_HEADER = re.compile(
    r"^(time|pthread|threads|unistd|fcntl|signal|poll|dirent|netdb|stdatomic)\.h$|^(sys|arpa|netinet)/"
)
# Layer -> the files of it that hold loop, threads and clocks; the rest is told and tells (node/node_io.h), so
# that the simulator runs it.
SHELLS = {
    "peers": re.compile(r"^peers_uv\.[ch]$"),
    "node": re.compile(r"^(node_uv\w*\.[ch]|applier\.[ch]|applier_(internal\.h|snapshot\.c))$"),
}
SHELL_HEADER = re.compile(
    r"^(base/(clock|thread|log_writer)|rpc/\w+|storage/(wal_writer|store_copy|member_dir|disk_probe)|node/node_uv"
    r"|node/applier|node/applier_internal)\.h$")
# Calls that stand in one file alone.
CALLED_FROM = {"raft_step": "src/node/node_step.c"}
# Third-party header -> path prefixes that may include it: one file or folder each.
THIRD_PARTY = [
    (r"^nghttp2/", ["src/rpc/h2"]),
    (r"^http_parser\.h$", ["src/rpc/http"]),
    (r"^lmdb\.h$", ["src/storage/store"]),
    (r"^libpq-fe\.h$", ["src/replication/postgres/pg_conn", "src/cmd/demo_writer"]),
    (r"^xxhash\.h$", ["src/base/hash"]),
    (r"^jansson\.h$", ["src/cmd/", "src/rpc/json", "src/api/ops", "src/replication/"]),
    (r"^cyaml/", ["src/config/", "src/cmd/"]),
    (r"^protobuf-c/", ["src/wire/", "src/cmd/json_out"]),
    (r"^openssl/", ["src/base/hash", "src/rpc/tls", "src/rpc/cert", "src/storage/seal", "src/cmd/cert",
                    "src/replication/postgres/pg_scram"]),
    (r"^cmocka\.h$", []),
]
LINES_MAX = 400
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    findings = []
    names = {}
    for path in files(root, ("src", "tests", "bench", "jepsen")):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        lines = text.count("\n")
        if lines > LINES_MAX:
            findings.append(f"{path}: {lines} lines, at most {LINES_MAX}: split it by nouns")
        if not path.startswith("src/"):
            continue
        name = os.path.basename(path)
        if name in names:
            findings.append(f"{path}: its name is taken by {names[name]}; names are unique in src")
        names[name] = path
        findings += check_includes(path, text)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def files(root, folders):
    for folder in folders:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(where, name), root)


def check_includes(path, text):
    layer = path.split("/")[1]
    if layer not in MAY_INCLUDE:
        return [f"{path}: no such layer: {layer}"]
    findings = []
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        reason = why_not(path, layer, match[1], match[2])
        if reason:
            findings.append(f"{path}:{line}: {match[2]}: {reason}")
    for name, place in CALLED_FROM.items():
        if path != place and layer != name.split("_")[0] and re.search(rf"\b{name}\(", text):
            findings.append(f"{path}: {name} is called in {place} alone")
    return findings


def why_not(path, layer, mark, header):
    """Why this include is refused, or None."""
    if header.startswith(("indaba/", "etcd/", "google/protobuf/")):
        return None if layer in GENERATED_SEEN_BY else f"{layer} does not see generated code"
    shell = SHELLS.get(layer)
    if shell and not shell.match(os.path.basename(path)) and (
            SHELL_HEADER.match(header) or re.match(r"^uv(/|\.h$)", header)
            or (IMPURE_HEADER.match(header) and header != "sys/queue.h")):
        return f"the core of {layer} sees no loop, thread, clock or socket: tools/check_layers.py, SHELLS"
    if mark == '"':
        other = header.split("/")[0]
        if "/" not in header:
            return 'write "layer/file.h", from src'
        if other not in MAY_INCLUDE:
            return f"no such layer: {other}"
        if layer in PURE and header == "base/clock.h":
            return f"{layer} is pure: time comes in as an argument"
        allowed = other == layer or other in MAY_INCLUDE[layer].split()
        return None if allowed or header in ALSO.get(layer, ()) else f"{layer} may not know {other}"
    if re.match(r"^uv(/|\.h$)", header) and layer not in LIBUV_SEEN_BY:
        return f"{layer} does not see libuv"
    if re.match(r"^uv(/|\.h$)", header) and path.startswith(DRIVERS):
        return "a driver does not see libuv: its engine has the loop"
    if layer in PURE and IMPURE_HEADER.match(header):
        return f"{layer} is pure"
    for pattern, prefixes in THIRD_PARTY:
        if re.match(pattern, header) and not path.startswith(tuple(prefixes) or ("-",)):
            return "a third-party header stays in " + (", ".join(prefixes) or "tests")
    return None


if __name__ == "__main__":
    sys.exit(main())
