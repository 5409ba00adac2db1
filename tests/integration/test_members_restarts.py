#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Members are killed, stopped in order, and rolled over under a writing client, again and again. No
acknowledged command is lost or done twice, and all ledgers are equal. RESTARTS says how many
restarts of a member in all (make restarts: N=200)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402
import members_restarts  # noqa: E402
from members_writer import Writer, check_everything, wait_progress  # noqa: E402

RESTARTS = int(os.environ.get("RESTARTS", "24"))
# The members hold 4096 shards at most; the writer makes about 1 / PAUSE_S a second.
PAUSE_S = 0.02 if RESTARTS <= 50 else 0.1


def test_restarts_of_all_kinds_under_load_lose_nothing():
    print(f"  SEED={members_restarts.SEED} RESTARTS={RESTARTS}", flush=True)
    with members.cluster() as cluster:
        messages = members_grpc.load_messages(cluster.dir)
        cluster.wait_ready()
        writer = Writer(cluster, messages, PAUSE_S)
        writer.start()
        wait_progress(writer, 5)
        told = members_restarts.restart(
            cluster, RESTARTS, lambda count: wait_progress(writer, count),
            lambda done: print(f"  {done} restarts, {len(writer.acknowledged)} acknowledged",
                               flush=True))
        writer.stop()
        check_everything(cluster, writer)
        print(f"  {told}; {len(writer.acknowledged)} acknowledged, longest gap "
              f"{writer.gap_s:.2f} s")


if __name__ == "__main__":
    members.run_tests([test_restarts_of_all_kinds_under_load_lose_nothing])
