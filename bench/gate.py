#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the commit gate costs: the work of the processor for one transaction, of a server with the gate
and of one without it, in turns on one machine. The ratio is the result: everything else of a figure
is the machine's. Alone, as in async mode: nobody is waited for.

Prints, for one client and for many, the median of the ratios of PAIRS pairs (10), each of
TRANSACTIONS (4000) inserts of one row, and the smallest and the largest of them."""
import contextlib
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
os.chdir(ROOT)
import gate_server  # noqa: E402
import members  # noqa: E402

PAIRS = int(os.environ.get("PAIRS", "10"))
TRANSACTIONS = int(os.environ.get("TRANSACTIONS", "4000"))
CLIENTS = (1, 32)
TICKS = os.sysconf("SC_CLK_TCK")
UTIME, STIME, CUTIME, CSTIME = 11, 12, 13, 14  # of /proc/PID/stat, behind the name


def worked_s(server):
    """Of all its processes, and of those that the postmaster has seen end."""
    ticks = 0
    for pid in server.processes():
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            ticks += int(fields[UTIME]) + int(fields[STIME])
            if pid == server.postmaster:
                ticks += int(fields[CUTIME]) + int(fields[CSTIME])
    return ticks / TICKS


def is_alone(server):
    return server.ask("SELECT count(*) FROM pg_stat_activity"
                      " WHERE backend_type = 'client backend'") == "1"


def prepare(server, script):
    server.open(seconds=3600)
    server.ask("CREATE TABLE bench (id bigint)")
    with open(os.path.join(server.data, "postmaster.pid"), encoding="ascii") as file:
        server.postmaster = int(file.readline())
    run(server, script, 1, TRANSACTIONS // 4)


def run(server, script, clients, transactions):
    """How much the server worked for one transaction, in seconds."""
    server.ask("TRUNCATE bench")
    before = worked_s(server)
    subprocess.run([f"{gate_server.BIN}/pgbench", "-h", "127.0.0.1", "-p", str(server.port), "-U",
                    "postgres", "-n", "-f", script, "-M", "prepared", "-c", str(clients), "-t",
                    str(transactions // clients), "postgres"], check=True, cwd="/",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    members.wait_until("its clients are gone", lambda: is_alone(server))
    return (worked_s(server) - before) / (transactions // clients * clients)


def main():
    settings = "autovacuum = off\ncheckpoint_timeout = 1h\nmax_wal_size = 8GB"
    with gate_server.server(settings=settings) as gated, \
            gate_server.server(gate=False, settings=settings) as plain:
        script = os.path.join(gated.dir, "insert.sql")
        with open(script, "w", encoding="ascii") as file:
            file.write("INSERT INTO bench VALUES (1);\n")
        for server in (gated, plain):
            prepare(server, script)
        for clients in CLIENTS:
            ratios = []
            for pair in range(PAIRS):
                order = (gated, plain) if pair % 2 == 0 else (plain, gated)
                spent = {server: run(server, script, clients, TRANSACTIONS) for server in order}
                ratios.append(spent[gated] / spent[plain])
            print(f"gate: clients={clients} pairs={PAIRS} ratio={statistics.median(ratios):.3f} "
                  f"from={min(ratios):.3f} to={max(ratios):.3f} "
                  f"plain_us={spent[plain] * 1e6:.0f}", flush=True)


if __name__ == "__main__":
    main()
