#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The status says no more than is known, on real processes: what is old is shown with its age, a
primary that is not heard is not shown as one, and writes that wait are told."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402


def shown(earth):
    """The text for people: (head line, rows by instance, all of it)."""
    code, text, _ = earth.client("shard", "show", "main", check=False)
    if code != 0:
        return "", {}, ""
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("  pg")}
    return text.splitlines()[0], rows, text


def check_writes_that_wait_are_told(earth):
    """The databases' links stand still, the sidecars' do not: every session is well, and no write
    can be acknowledged."""
    primary = earth.primary()
    assert "NO WRITE" not in shown(earth)[2], shown(earth)[2]
    pids = [pid for one in earth.instances if one is not primary for pid in one.receivers()]
    assert len(pids) == 2, pids
    world.send(pids, signal.SIGSTOP)
    members.wait_until("it says that no write is acknowledged",
                       lambda: "NO WRITE IS ACKNOWLEDGED" in shown(earth)[2], 20)
    world.send(pids, signal.SIGCONT)
    earth.wait_writes()
    members.wait_until("it says so no longer", lambda: "NO WRITE" not in shown(earth)[2], 20)
    earth.wait_whole()


def check_a_primary_that_is_not_heard_is_not_shown_as_one(earth):
    """Its sidecar stands still: nobody knows any more what it is."""
    old = earth.primary()
    world.send([old.process.pid], signal.SIGSTOP)
    members.wait_until("another one is the primary", lambda: (earth.shard() or {}).get(
        "primary", old.name) != old.name, 30)
    head, rows, text = shown(earth)
    assert "was primary" in rows[old.name] and "held" not in rows[old.name], text
    assert " ago" in rows[old.name], text
    assert old.name not in head, text
    said = earth.shard()
    assert not any(one["lease_held"] for one in said["instances"] if one["name"] == old.name), said
    world.send([old.process.pid], signal.SIGCONT)
    earth.wait_whole()


def check_a_shard_of_which_nothing_is_heard_says_so(earth):
    primary = earth.primary()
    for one in earth.instances:
        one.kill()
    members.wait_until("it says that its primary is not heard", lambda:
                       f"primary {primary.name} by record, NOT HEARD" in shown(earth)[0], 15)
    rows = shown(earth)[1]
    assert all("not connected (was" in line and " held" not in line
               for line in rows.values()), rows


def test_the_status_says_no_more_than_is_known():
    with world.world(mode="sync") as earth:
        check_writes_that_wait_are_told(earth)
        check_a_primary_that_is_not_heard_is_not_shown_as_one(earth)
        check_a_shard_of_which_nothing_is_heard_says_so(earth)


def test_every_word_of_the_command_line_tells_its_usage():
    """--help works at every level, on stdout, with exit 0; and no command is missing from it."""
    nouns = {
        "serve": [], "sidecar": [], "guardian": [], "status": [], "demo": [], "version": [],
        "help": [], "member": ["ls", "add", "remove", "promote", "demote", "move", "transfer",
                               "init", "new-id", "force-recover"],
        "cluster": ["set", "confirm-recovery"], "cert": ["init", "issue", "show"],
        "region": ["ls", "put"], "shard": ["create", "ls", "show", "freeze", "thaw", "uri"],
        "failover": ["ls", "show", "start"], "ledger": ["tail", "show", "verify"]}
    overview = run("help")
    for noun, verbs in nouns.items():
        assert overview.returncode == 0 and noun in overview.stdout, (noun, overview)
        for words in [[noun]] + [[noun, verb] for verb in verbs]:
            for option in ("--help", "-h"):
                done = run(*words, option)
                assert done.returncode == 0, (words, option, done)
                assert done.stdout.strip() and not done.stderr, (words, option, done)
        for verb in verbs:
            assert verb in run(noun, "--help").stdout, (noun, verb)


def test_what_is_not_named_keeps_its_value():
    with members.cluster(1) as cluster:
        cluster.wait_ready()
        cluster.client("region", "put", "europe", "--rank", "7", "--jurisdiction", "eu")
        cluster.client("region", "put", "europe", "--jurisdiction", "de")
        cluster.client("region", "put", "europe")
        known = {one["name"]: one for one in cluster.json("region", "ls")["regions"]}
        assert (known["europe"]["rank"], known["europe"]["jurisdiction"]) == (7, "de"), known
        cluster.client("region", "put", "europe", "--rank", "3")
        known = {one["name"]: one for one in cluster.json("region", "ls")["regions"]}
        assert (known["europe"]["rank"], known["europe"]["jurisdiction"]) == (3, "de"), known


def test_without_a_majority_a_command_says_whom_it_asked_and_what_to_do():
    with members.cluster() as cluster:
        cluster.wait_ready()
        for one in cluster.members[1:]:
            one.kill()
        code, _, err = cluster.client("shard", "freeze", "main", "--timeout", "2000", check=False)
        assert code == 3 and "no leader with a majority" in err, (code, err)
        assert all(str(one.api) in err for one in cluster.members) and "--stale" in err, err


def head_of(text):
    """SIZE:ROOT, as `ledger verify --dir` prints them."""
    words = text.replace(",", "").split()
    return f"{words[1]}:{words[4]}"


def test_a_ledger_that_is_whole_in_itself_is_still_not_the_one_that_was_written_down():
    """Who can write to a member's disk can put another whole ledger there. A root that was kept
    elsewhere tells; without it nothing can, and the answer does not pretend."""
    with members.cluster(1) as cluster, members.cluster(1) as other:
        member, another = cluster.members[0], other.members[0]
        cluster.wait_ready()
        cluster.client("region", "put", "first")
        member.kill(signal.SIGTERM)
        kept = head_of(run("ledger", "verify", "--dir", member.dir).stdout)
        member.start()
        cluster.wait_ready()
        cluster.client("region", "put", "later")
        assert cluster.client("ledger", "verify", "--expect", kept)[0] == 0
        other.wait_ready()
        other.client("region", "put", "later")
        assert other.client("ledger", "verify")[0] == 0
        code, out, err = other.client("ledger", "verify", "--expect", kept, check=False)
        assert code == 1 and "DIFFER" in out, (code, out, err)
        member.kill(signal.SIGTERM)
        another.kill(signal.SIGTERM)
        assert run("ledger", "verify", "--dir", member.dir, "--expect", kept).returncode == 0
        assert run("ledger", "verify", "--dir", another.dir).returncode == 0
        done = run("ledger", "verify", "--dir", another.dir, "--expect", kept)
        assert done.returncode == 1 and "not those that are expected" in done.stderr, done
        longer = "1000000:" + kept.split(":")[1]
        done = run("ledger", "verify", "--dir", member.dir, "--expect", longer)
        assert done.returncode == 1 and "fewer" in done.stderr, done
        assert run("ledger", "verify", "--dir", member.dir, "--expect", "1").returncode == 2


def run(*words):
    return subprocess.run([members.INDABA, *words], capture_output=True, text=True, timeout=10,
                          stdin=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    members.run_tests([
        test_every_word_of_the_command_line_tells_its_usage,
        test_what_is_not_named_keeps_its_value,
        test_without_a_majority_a_command_says_whom_it_asked_and_what_to_do,
        test_a_ledger_that_is_whole_in_itself_is_still_not_the_one_that_was_written_down,
        test_the_status_says_no_more_than_is_known,
    ])
