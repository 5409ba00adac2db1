#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""etcd's API while members die, freeze and come back: every answer fits one order of all that was
done, nothing was done twice, all members hold the same, and the ledger is whole."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import etcd_history  # noqa: E402
import etcdctl  # noqa: E402
import members  # noqa: E402

CHECK = os.path.join(members.ROOT, os.environ.get("B", "build"), "jepsen", "check")


def under_load(faults, count=3):
    with members.cluster(count) as cluster:
        etcdctl.prepare(cluster)
        load = etcd_history.Workload(cluster, etcdctl.IDENTITY)
        progress(load)
        faults(cluster, load)
        progress(load)
        operations = load.stop()
        cluster.wait_ready()
        states = etcd_history.states_of(load.apis[0], load.keys)
        etcd_history.judge(operations, states)
        check_text(cluster, operations)
        check_members_agree(load, states)
        cluster.client("ledger", "verify", "--members",
                       ",".join(f"127.0.0.1:{one.api}" for one in cluster.members))
        load.close()
        outcomes = [one.outcome for one in operations]
        assert outcomes.count("ok") > 300, len(operations)
        print(f"  {len(operations)} operations, {outcomes.count('ok')} answered, "
              f"{outcomes.count('unknown')} unknown, {len(states) - 2} revisions")


def progress(load, more=150):
    before = load.answered()
    members.wait_until("more answers", lambda: load.answered() >= before + more, 30)


def check_text(cluster, operations):
    path = os.path.join(cluster.dir, "history.edn")
    with open(path, "w", encoding="utf-8") as file:
        file.write(etcd_history.edn_text(operations))
    done = subprocess.run([CHECK, "register", path], capture_output=True, text=True, check=False,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def check_members_agree(load, states):
    """Each by itself, without asking the leader."""
    for api in load.apis:
        def caught_up(api=api):
            reply = api.range(load.keys[0], serializable=True)
            return reply.header.revision == len(states) - 1
        members.wait_until("a member has applied everything", caught_up)
        reply = api.range(b"h/", b"h0", serializable=True)
        assert {pair.key: pair.value for pair in reply.kvs} == states[-1]


def small_history():
    """put a 1; put a 2; swap a 2 3; read; and a put without an answer that was done."""
    def answered(begun, revision, seen, succeeded=None, **fields):
        one = etcd_history.Operation(1, key=b"a", **fields)
        one.begun, one.ended, one.outcome = begun, begun + 5, "ok"
        one.revision, one.seen, one.succeeded = revision, seen, succeeded
        return one

    lost = etcd_history.Operation(2, "put", b"a", b"4")
    lost.begun = 35
    operations = [answered(10, 2, b"1", kind="put", value=b"1"),
                  answered(20, 3, b"2", kind="put", value=b"2"),
                  answered(30, 4, b"3", True, kind="swap", value=b"3", old=b"2"),
                  lost, answered(40, 5, b"4", kind="read")]
    values = [b"1", b"2", b"3", b"4"]
    return operations, [None, {}] + [{b"a": value} for value in values]


def test_the_judge_finds_what_cannot_be():
    etcd_history.judge(*small_history())

    def wrong(change):
        operations, states = small_history()
        change(operations, states)
        try:
            etcd_history.judge(operations, states)
        except AssertionError:
            return
        raise RuntimeError(f"not found: {change}")

    def stale_read(operations, _):
        operations[4].revision, operations[4].seen = 3, b"2"

    def early_write(operations, _):
        operations[1].begun, operations[1].ended = 1, 2

    def twice(_, states):
        states.extend([{b"a": b"1"}])

    wrong(stale_read)
    wrong(early_write)
    wrong(twice)
    wrong(lambda operations, _: setattr(operations[0], "seen", b"9"))
    wrong(lambda operations, _: setattr(operations[2], "old", b"1"))
    wrong(lambda operations, _: setattr(operations[3], "outcome", "fail"))
    wrong(lambda _, states: states.pop())


def test_histories_without_faults_are_linearizable():
    under_load(lambda cluster, load: None)


def test_histories_stay_linearizable_while_leaders_are_killed():
    def kill_leaders(cluster, load):
        for _ in range(3):
            leader = members.wait_until("a leader", cluster.leader)
            leader.kill()
            progress(load)
            leader.start()
            cluster.wait_ready()

    under_load(kill_leaders)


def test_histories_stay_linearizable_while_leaders_freeze_and_wake():
    def freeze_leaders(cluster, load):
        for _ in range(2):
            leader = members.wait_until("a leader", cluster.leader)
            leader.process.send_signal(signal.SIGSTOP)
            progress(load)
            leader.process.send_signal(signal.SIGCONT)
            progress(load)
            cluster.wait_ready()

    under_load(freeze_leaders)


def test_histories_stay_linearizable_when_every_member_dies_at_once():
    def kill_all(cluster, load):
        for member in cluster.members:
            member.kill()
        for member in cluster.members:
            member.start()
        cluster.wait_ready()

    under_load(kill_all)


if __name__ == "__main__":
    members.run_tests([
        test_the_judge_finds_what_cannot_be,
        test_histories_without_faults_are_linearizable,
        test_histories_stay_linearizable_while_leaders_are_killed,
        test_histories_stay_linearizable_while_leaders_freeze_and_wake,
        test_histories_stay_linearizable_when_every_member_dies_at_once,
    ])
