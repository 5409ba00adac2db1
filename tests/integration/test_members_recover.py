#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A majority of the members is lost for good: one that is left goes on alone, grows again, and the
ones left behind are kept out."""
import os
import signal
import re
import shutil
import subprocess
import sys

from members import INDABA, cluster, run_tests, wait_until
from test_members_divergence import caught_up, diverge, wait_quarantined
from test_members_snapshot import SmallSnapshots, metric, write_until


def recover(member, *words):
    """`member force-recover` on its folder: (exit code, stdout, stderr)."""
    done = subprocess.run([INDABA, "member", "force-recover", "--dir", member.dir, *words],
                          capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def last_index(member):
    code, text, stderr = recover(member)
    assert code == 1 and "Nothing was done" in text, (code, text, stderr)
    return re.search(r"last index (\d+),", text).group(1)


def regions(some, member):
    return [one["name"] for one in some.json("region", "ls", member=member)["regions"]]


def lose_two(some):
    """(survivor, the two others), all stopped; the survivor has what was written last."""
    leader = some.wait_ready()
    some.client("region", "put", "kept", "--rank", "9")
    wait_until("all have applied it", lambda: len(
        {(one.status() or {}).get("state_hash") for one in some.members}) == 1)
    lost = [one for one in some.members if one is not leader]
    for one in lost:
        one.kill()
    # An orderly stop: its store has what it applied, and knows who the members are.
    leader.kill(signal.SIGTERM)
    some.members = [leader]
    return leader, lost


def go_on_alone(some, survivor):
    code, text, stderr = recover(survivor, "--expect-index", last_index(survivor),
                                 "--i-accept-loss", "--reason", "two data centres burnt")
    assert code == 0 and "cluster epoch 1" in text, (code, text, stderr)
    survivor.start()
    some.wait_ready()


def test_a_survivor_goes_on_alone_with_all_that_it_had():
    with cluster() as some:
        survivor, lost = lose_two(some)
        for one in lost:
            shutil.rmtree(one.dir)
        go_on_alone(some, survivor)
        assert "kept" in regions(some, survivor)
        some.client("region", "put", "after", "--rank", "9")
        view = some.json("member", "ls")
        assert [one["member"]["name"] for one in view["members"]] == [survivor.name], view
        assert view["cluster_epoch"] == 1 and view["recovery_unconfirmed"], view
        assert "NOT CONFIRMED" in some.client("status")[1]
        assert "two data centres burnt" in some.client("ledger", "tail", "--count", "50")[1]
        some.client("ledger", "verify")
        some.client("cluster", "confirm-recovery", "--yes", "--reason", "looked")
        assert not some.json("member", "ls")["recovery_unconfirmed"]
        code, _, stderr = some.client("cluster", "confirm-recovery", "--yes", check=False)
        assert code == 4 and "no recovery waits" in stderr, (code, stderr)
        survivor.kill()
        survivor.start()
        some.wait_ready()
        assert "after" in regions(some, survivor)


def test_it_grows_back_to_three_and_all_ledgers_have_one_root():
    with cluster() as some:
        survivor, _ = lose_two(some)
        go_on_alone(some, survivor)
        for _ in range(2):
            added = some.grow()
            wait_until("it is a voter", lambda name=added.name: {
                one["member"]["name"]: one["core"] for one in some.json("member", "ls")["members"]
            }[name] == "voter", 30)
        some.client("region", "put", "after", "--rank", "9")
        survivor.kill()
        some.wait_ready()
        survivor.start()
        some.wait_ready()
        wait_until("all have applied the same", lambda: len(
            {(one.status() or {}).get("state_hash") for one in some.members}) == 1)
        assert "after" in regions(some, survivor)
        assert "agree" in some.client("ledger", "verify")[1]


def why_it_ended(member):
    """The process has ended by itself, and its log says why."""
    wait_until(f"{member.name} ends", lambda: not member.alive)
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return [line for line in file if "event=member.refused_for_good" in line][-1]


def test_a_survivor_whose_log_was_cut_goes_on_from_its_snapshot_and_store():
    with cluster(3, SmallSnapshots) as some:
        leader = some.wait_ready()
        write_until(some, lambda: metric(leader, "indaba_raft_log_first_index") > 1,
                    "the log is cut")
        for one in some.members:
            one.kill()
        some.members = [leader]
        go_on_alone(some, leader)
        some.client("ledger", "verify")
        added = some.grow()
        wait_until("it is a voter", lambda: some.json("member", "ls")["settled"] and added.ready(), 30)
        code, _, stderr = recover(added)
        assert code == 1 and "in use by process" in stderr, (code, stderr)


def test_members_left_behind_are_kept_out_even_if_they_are_a_majority():
    with cluster() as some:
        survivor, lost = lose_two(some)
        go_on_alone(some, survivor)
        before = survivor.status()["term"]
        for one in lost:
            one.start()
        some.members += lost  # to be stopped, too
        for one in lost:
            # One that has not read so far what it belonged to is known by its id alone.
            why = why_it_ended(one)
            assert "left behind by a forced recovery" in why or "removed from the cluster" in why, why
        some.client("region", "put", "after", "--rank", "9", member=survivor)
        assert "after" in regions(some, survivor)
        assert survivor.status()["term"] == before


def test_a_member_with_a_wiped_disk_is_refused_and_says_what_to_do():
    with cluster() as some:
        leader = some.wait_ready()
        wiped = next(one for one in some.members if one is not leader)
        wait_until("it is on record that it was here", lambda: all(
            one["member"]["command_level"] > 0 for one in some.json("member", "ls")["members"]))
        wiped.kill()
        shutil.rmtree(wiped.dir)
        some.run("member", "init", "--config", wiped.config)
        wiped.start()
        line = why_it_ended(wiped)
        assert "comes with an empty folder" in line and "with a new id" in line, line
        some.members.remove(wiped)
        some.client("member", "remove", wiped.name, "--yes", "--wait")
        again = some.grow("--learner")
        wait_until("it is back, under a new id", again.ready)
        some.client("member", "promote", again.name, "--wait")


def test_a_member_in_quarantine_is_recovered_only_by_name_and_then_leads():
    with cluster() as some:
        leader = some.wait_ready()
        wrong = next(one for one in some.members if one is not leader)
        wait_until("all have applied the same", lambda: caught_up(some))
        diverge(wrong)
        wrong.start()
        wait_quarantined(wrong)
        for one in some.members:
            if one.alive:
                one.kill()
        some.members = [wrong]
        mark = os.path.join(wrong.dir, "quarantine")
        code, text, _ = recover(wrong)
        assert code == 1 and "IN QUARANTINE" in text and "--i-accept-wrong-state" in text, text
        words = ["--expect-index", last_index(wrong), "--i-accept-loss"]
        code, _, stderr = recover(wrong, *words)
        assert code == 1 and "in quarantine" in stderr and os.path.exists(mark), (code, stderr)
        with open(mark, "rb") as file:
            content = file.read()
        code, _, stderr = recover(wrong, *words, "--i-accept-wrong-state")
        assert code == 0 and not os.path.exists(mark), (code, stderr)

        # Cut short between the log and the mark, it is finished by a second run.
        with open(mark, "wb") as file:
            file.write(content)
        words[1] = last_index(wrong)
        code, _, stderr = recover(wrong, *words, "--i-accept-wrong-state")
        assert code == 0 and not os.path.exists(mark), (code, stderr)
        assert last_index_of_recovered(wrong) == int(words[1])
        wrong.start()
        some.wait_ready()
        some.client("region", "put", "after", "--rank", "9")
        assert some.json("member", "ls")["cluster_epoch"] == 1


def last_index_of_recovered(member):
    """Where the log of one ends that is recovered and not started yet."""
    code, _, stderr = recover(member)
    assert code == 1, (code, stderr)
    return int(re.search(r"recovered already, at index (\d+)", stderr).group(1))


def test_nothing_is_done_without_the_right_words():
    with cluster() as some:
        leader = some.wait_ready()
        code, _, stderr = recover(leader)
        assert code == 1 and "in use by process" in stderr, (code, stderr)
        survivor, _ = lose_two(some)
        index = last_index(survivor)
        for words in (("--expect-index", index), ("--i-accept-loss",)):
            code, text, _ = recover(survivor, *words)
            assert code == 1 and "Nothing was done" in text, (words, code, text)
        code, _, stderr = recover(survivor, "--expect-index", str(int(index) + 1), "--i-accept-loss")
        assert code == 1 and f"ends at index {index}" in stderr, (code, stderr)
        assert last_index(survivor) == index
        code, _, stderr = recover(survivor, "--expect-index", index, "--i-accept-loss")
        assert code == 0, stderr
        code, _, stderr = recover(survivor)
        assert code == 1 and "recovered already" in stderr, (code, stderr)
        os.rename(os.path.join(survivor.dir, "identity"), os.path.join(survivor.dir, "gone"))
        code, _, stderr = recover(survivor)
        assert code == 1 and "is not a member's data folder" in stderr, (code, stderr)


if __name__ == "__main__":
    chosen = sys.argv[1:]
    run_tests([value for name, value in list(globals().items()) if name.startswith("test_")
               and (not chosen or name in chosen)])
