#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What people ask for at night, on real processes: a failover that was asked for happens or is
refused before anything is touched, nothing happens unasked, and who is silent is not said to
contradict."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402


def refused_orders(earth):
    """Leaves of orders that were refused."""
    leaves = earth.json("ledger", "tail", "--count", "1000")["leaves"]
    return [one["number"] for one in leaves
            if one["kind"].startswith("failover.") and one["result"] != "ok"]


def piped(earth, *words, answer="y\n"):
    """A command whose input is a pipe with an answer in it."""
    environment = dict(os.environ, INDABA_CERTS=earth.certs,
                       INDABA_MEMBERS=",".join(f"127.0.0.1:{one.api}" for one in earth.members))
    done = subprocess.run([members.INDABA, *words], input=answer, capture_output=True, text=True,
                          timeout=30, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr


def check_nothing_is_done_without_a_person(earth):
    before = earth.shard()
    for answer in ("n\n", "y\n", ""):
        code, said = piped(earth, "failover", "start", "main", answer=answer)
        assert code == 1 and "nothing was done" in said and "--yes" in said, (code, said)
    after = earth.shard()
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"]), after
    leaves = earth.client("ledger", "tail")[1]
    assert "failover.request" not in leaves, leaves


def check_the_dead_and_the_frozen_are_no_targets(earth):
    """The shard's primary is not touched for the sake of one who cannot take over."""
    before = earth.shard()
    target = next(one for one in earth.instances if one.name != before["primary"])
    pids = world.processes_of(target.dir) + [target.process.pid]
    world.send(pids, signal.SIGSTOP)
    members.wait_until("the frozen one is not heard", lambda: next(
        one for one in earth.shard()["instances"] if one["name"] == target.name
    )["report_age_ms"] > 2500)
    code, out, err = earth.client("failover", "start", "main", "--to", target.name, "--yes",
                                  check=False)
    assert code == 4 and "not heard" in err and "nothing was changed" in err, (code, out, err)
    world.send(pids, signal.SIGCONT)
    target.kill()
    code, out, err = earth.client("failover", "start", "main", "--to", target.name, "--yes",
                                  check=False)
    assert code == 4 and target.name in err and "nothing was changed" in err, (code, out, err)
    after = earth.shard()
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"]), after
    earth.wait_writes(before["primary"])
    target.start()
    earth.wait_whole()


def check_a_frozen_shard_waits_for_people_and_obeys_them(earth):
    """Frozen, the database dies: nothing happens by itself, and not by refused orders either. Then an
    operator asks, and it is done."""
    old = earth.primary()
    earth.client("shard", "freeze", "main")
    refused = refused_orders(earth)
    os.kill(old.postmaster(), signal.SIGKILL)
    members.wait_until("it says that it is frozen",
                       lambda: "frozen" in (earth.shard() or {"waiting": ""})["waiting"])
    code, out, err = earth.client("failover", "start", "main", "--yes", "--wait", check=False)
    assert code == 0, (code, out, err, refused_orders(earth))
    assert earth.primary() is not old and earth.failovers()[0]["cause"] == "operator", out
    earth.wait_writes()
    assert refused_orders(earth) == refused, refused_orders(earth)
    earth.client("shard", "thaw", "main")
    earth.wait_whole()


def check_what_moved_nothing_is_no_success(earth):
    """Nobody else is there; the primary's database is dead and the shard frozen. All that can be done
    is to start it again: it is done, and said not to be a move."""
    old = earth.primary()
    others = [one for one in earth.instances if one is not old]
    earth.client("shard", "freeze", "main")
    for one in others:
        one.kill()
    members.wait_until("nobody else is connected", lambda: all(
        not one["connected"] for one in earth.shard()["instances"] if one["name"] != old.name))
    code, _, err = earth.client("failover", "start", "main", "--yes", check=False)
    assert code == 4 and "nothing was changed" in err, (code, err)
    os.kill(old.postmaster(), signal.SIGKILL)
    members.wait_until("it says that it is frozen",
                       lambda: "frozen" in (earth.shard() or {"waiting": ""})["waiting"])
    asked = subprocess.Popen(
        [members.INDABA, "failover", "start", "main", "--yes"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=dict(
            os.environ, INDABA_CERTS=earth.certs,
            INDABA_MEMBERS=",".join(f"127.0.0.1:{one.api}" for one in earth.members)))
    for one in others:  # without them it cannot show that a write is acknowledged
        one.start()
    out, err = asked.communicate(timeout=75)
    assert asked.returncode == 1 and "nothing moved" in err, (asked.returncode, out, err)
    assert earth.failovers()[0]["in_place"], earth.failovers()[0]
    earth.client("shard", "thaw", "main")
    earth.wait_whole()


def check_silence_is_not_disagreement(earth):
    """One address that nobody has any more, and a member that is down: the rest agree, and nothing
    is said of the silent."""
    nobody = members.free_ports(1)[0]
    stale = f"127.0.0.1:{nobody},127.0.0.1:{earth.members[1].api}"
    words = ("ledger", "verify", "--timeout", "3000", "--members", stale)
    code, out, err = earth.client(*words, check=False)
    assert code == 0 and "agree" in out and "DIFFER" not in out, (code, out, err)
    assert all(one.name in out for one in earth.members), out
    silent = next(one for one in earth.members if one is not earth.leader() and
                  one is not earth.members[1])
    silent.kill()
    code, out, err = earth.client(*words, check=False)
    assert code == 3 and "agree, of those that answered" in out, (code, out, err)
    assert "2 of 3 members answered" in err and "DIFFER" not in out, (code, out, err)
    said = json.loads(earth.client(*words, "--json", check=False)[1])
    assert said["roots_agree"] and not said["all_answered"], said
    assert isinstance(said["size"], str) and int(said["size"]) < 1 << 40, said
    assert [one["name"] for one in said["members"] if not one["answered"]] == [silent.name], said
    silent.start()
    earth.wait_ready()


def hold_back_a_standby(earth):
    """Stops what sends to one standby: (its pid, that standby). The other one goes on confirming."""
    primary = earth.primary()
    pids = sorted(int(pid) for pid in primary.ask(
        "SELECT string_agg(pid::text, ' ') FROM pg_stat_replication WHERE state = 'streaming'"
    ).split())
    assert len(pids) == 2, pids
    world.send(pids[:1], signal.SIGSTOP)
    primary.ask("DROP TABLE IF EXISTS bulk")
    primary.ask("CREATE TABLE bulk AS SELECT repeat('x', 1000) AS text "
                "FROM generate_series(1, 500)")

    def behind():
        lags = sorted((int(one["lag_bytes"]), one["name"])
                      for one in (earth.shard() or {"instances": []})["instances"]
                      if one["state"] == "standby")
        return lags[-1][1] if len(lags) == 2 and lags[-1][0] > 400000 > lags[0][0] else None

    return pids[0], earth.instance(members.wait_until("one falls behind", behind, 20))


def move(earth, target):
    return subprocess.Popen(
        [members.INDABA, "failover", "start", "main", "--to", target.name, "--yes", "--wait"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, INDABA_CERTS=earth.certs, INDABA_MEMBERS=",".join(
            f"127.0.0.1:{one.api}" for one in earth.members)))


def check_a_move_waits_for_whom_it_is_asked_to_go_to(earth):
    """The one that is named is behind, as one far away always is under load. The primary stops in
    order, the other one receives the rest, and is promoted."""
    sender, target = hold_back_a_standby(earth)
    old = earth.primary()
    asked = move(earth, target)
    members.wait_until("it has begun", lambda: (earth.shard() or {"last_failover": {
        "cause": ""}})["last_failover"]["cause"] == "operator", 10)
    world.send([sender], signal.SIGCONT)
    out, err = asked.communicate(timeout=75)
    assert asked.returncode == 0 and earth.primary() is target, (out, err)
    assert earth.failovers()[0]["proof"] == "fence", earth.failovers()[0]
    earth.wait_writes(target.name)
    earth.wait_whole()
    assert not os.listdir(os.path.join(old.dir, "stranded")), "it had left the history"


def check_a_move_that_went_elsewhere_says_so(earth):
    """The one that is named never gets the rest: somebody who has everything takes over."""
    sender, target = hold_back_a_standby(earth)
    asked = move(earth, target)
    out, err = asked.communicate(timeout=75)
    world.send([sender], signal.SIGCONT)
    primary = earth.primary()
    assert primary is not target, out
    assert asked.returncode == 1, (out, err)
    assert f"the primary is {primary.name} now, not {target.name}" in err, (out, err)
    earth.wait_writes(primary.name)
    earth.wait_whole()


def test_a_move_goes_where_it_is_asked_to_go_or_says_that_it_did_not():
    with world.world(mode="sync") as earth:
        check_a_move_waits_for_whom_it_is_asked_to_go_to(earth)
        check_a_move_that_went_elsewhere_says_so(earth)
        earth.check()


def test_people_get_what_they_ask_for_or_a_reason_before_anything_is_touched():
    with world.world(mode="sync") as earth:
        check_nothing_is_done_without_a_person(earth)
        check_silence_is_not_disagreement(earth)
        check_the_dead_and_the_frozen_are_no_targets(earth)
        check_a_frozen_shard_waits_for_people_and_obeys_them(earth)
        check_what_moved_nothing_is_no_success(earth)
        earth.check()


if __name__ == "__main__":
    members.run_tests([
        test_people_get_what_they_ask_for_or_a_reason_before_anything_is_touched,
        test_a_move_goes_where_it_is_asked_to_go_or_says_that_it_did_not,
    ])
