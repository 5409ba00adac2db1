#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What operators type about members and the cluster: lists, additions, hand-overs, settings, and what
is refused with which words."""
import re
import signal
import sys

from members import cluster, run_tests, wait_until


def names_of(view):
    return [one["member"]["name"] for one in view["members"]]


def test_members_are_listed_as_they_are_wanted_and_as_they_are():
    with cluster() as three:
        leader = three.wait_ready()
        view = three.json("member", "ls")
        assert names_of(view) and set(names_of(view)) == {"n1", "n2", "n3"}, view
        for one in view["members"]:
            assert one["member"]["standing"] == "voter" and one["core"] == "voter", one
            assert one["leader"] == (one["member"]["name"] == leader.name), one
            assert one["reachable"], one
        assert view["settled"] and view["configuration_committed"], view
        assert (view["heartbeat_ms"], view["election_ms"]) == (50, 500), view
        text = three.client("member", "ls")[1]
        assert "WANTED" in text and "settled" in text, text


def test_without_a_quorum_one_member_lists_what_it_knows_and_says_so():
    with cluster() as three:
        leader = three.wait_ready()
        # Of a healthy cluster a follower knows itself and its leader, and says of nobody else that
        # it cannot be reached.
        asked = next(one for one in three.members if one is not leader)
        third = next(one for one in three.members if one not in (leader, asked))
        for command in (("status", "--stale"), ("member", "ls", "--stale")):
            text = three.client(*command, member=asked)[1]
            rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("n")}
            assert "UNREACHABLE" not in text and "not asked" in rows[third.name], text
            assert " leader " in rows[leader.name] and " follower " in rows[asked.name], text
            text = three.client(*command, member=leader)[1]
            assert "UNREACHABLE" not in text and "not asked" not in text, text
        for one in three.members:
            if one is not leader:
                one.kill()
        text = three.client("member", "ls", "--stale", member=leader)[1]
        assert text.startswith("STALE: from " + leader.name), text


def test_an_added_member_comes_with_all_that_its_machine_needs():
    with cluster() as three:
        three.wait_ready()
        text = three.client("member", "add", "n9", "--region", "r2", "--peer", "127.0.0.1:9401",
                            "--api", "127.0.0.1:9400")[1]
        found = re.search(r"^id ([0-9a-f]{32})$", text, re.MULTILINE)
        assert found, text
        assert f"id: {three.id}" in text and "indaba member init --config n9.yaml --join" in text, text
        wait_until("it is on record", lambda: "n9" in names_of(three.json("member", "ls")))
        record = [one["member"] for one in three.json("member", "ls")["members"]
                  if one["member"]["name"] == "n9"][0]
        assert record["id"] == found.group(1) and record["ops_address"] == "127.0.0.1:9402", record
        code, _, stderr = three.client("member", "add", "n9", "--region", "r2", "--peer",
                                       "127.0.0.1:9501", "--api", "127.0.0.1:9500", check=False)
        assert code == 4 and "is there already" in stderr, (code, stderr)
        code, _, stderr = three.client("member", "add", "n8", "--region", "nowhere", "--peer",
                                       "127.0.0.1:9501", "--api", "127.0.0.1:9500", check=False)
        assert code == 4 and "no region 'nowhere'" in stderr, (code, stderr)


def test_a_removal_that_leaves_fewer_than_three_voters_needs_a_yes():
    with cluster() as three:
        three.wait_ready()
        code, _, stderr = three.client("member", "remove", "n2", check=False)
        assert code == 1 and "2 voters remain" in stderr and "--yes" in stderr, (code, stderr)
        standing = [one["member"]["standing"] for one in three.json("member", "ls")["members"]]
        assert standing == ["voter"] * 3, standing


def test_leadership_goes_to_the_member_that_is_named():
    with cluster() as three:
        leader = three.wait_ready()
        to = next(one for one in three.members if one is not leader)
        text = three.client("member", "transfer", to.name)[1]
        assert text == f"{to.name} leads, after {leader.name}\n", text
        code, _, stderr = three.client("member", "transfer", to.name, check=False)
        assert code == 4 and "it leads already" in stderr, (code, stderr)
        code, _, stderr = three.client("member", "transfer", "nobody", check=False)
        assert code == 4 and 'no member "nobody"' in stderr, (code, stderr)
        three.client("member", "transfer")
        assert three.wait_ready() is not to


def test_leadership_is_not_given_to_a_dead_member():
    with cluster() as three:
        leader = three.wait_ready()
        dead = next(one for one in three.members if one is not leader)
        dead.kill()

        def refusal():
            code, _, stderr = three.client("member", "transfer", dead.name, "--timeout", "1000", member=leader,
                                           check=False)
            return (code, stderr) if "does not answer" in stderr else None
        assert wait_until("it is refused", refusal)[0] == 4


def test_settings_are_recorded_and_nonsense_is_refused():
    with cluster() as three:
        three.wait_ready()
        text = three.client("cluster", "set", "--timers", "continent", "--leader-region", "r2")[1]
        assert "heartbeat 100 ms, election 1500 ms" in text and "r2" in text, text
        settings = three.json("member", "ls")["settings"]
        assert settings["heartbeat_ms"] == 100 and settings["leader_region"] == "r2", settings
        # A preset brings the lease that outlives its elections; so must who writes both himself.
        assert settings["lease_ms"] == 6000, settings
        text = three.client("cluster", "set", "--leader-region", "-")[1]
        assert "any region" in text and "100 ms" in text, text
        for words, code, why in ((("--timers", "lunar"), 2, "none of metro"),
                                 (("--heartbeat", "100"), 2, "--election"),
                                 (("--heartbeat", "100", "--election", "200", "--force"), 4, "4 times"),
                                 (("--heartbeat", "300", "--election", "4000", "--force"), 4,
                                  "12934 ms or more"),
                                 (("--leader-region", "moon"), 4, "no region 'moon'"), ((), 2, "what")):
            got, _, stderr = three.client("cluster", "set", *words, check=False)
            assert got == code and why in stderr, (words, got, stderr)


def test_a_busy_moment_makes_no_timers_too_short():
    with cluster() as three:
        leader = three.wait_ready()
        slow = next(one for one in three.members if one is not leader)

        def row():
            view = three.json("member", "ls")
            return next(one for one in view["members"] if one["member"]["name"] == slow.name)
        wait_until("its round trip is measured", lambda: row()["rtt_us"] > 0)
        slow.process.send_signal(signal.SIGSTOP)
        # For several pings: each that it answers late counts for an eighth.
        wait_until("it is not heard for long", lambda: int(row()["heard_ms_ago"]) > 1500)
        slow.process.send_signal(signal.SIGCONT)
        wait_until("its round trip was long", lambda: row()["rtt_us"] > 60000)
        view = three.json("member", "ls")
        assert view["timers_note"] == "" and view["rtt_longest_us"] < 50000, view
        text = three.client("cluster", "set", "--heartbeat", "50", "--election", "600")[1]
        assert "heartbeat 50 ms, election 600 ms" in text, text
        for one in three.members:
            with open(one.log, encoding="utf-8") as log:
                assert "event=timers.too_short" not in log.read(), one.name


def test_a_recovery_that_never_was_is_not_confirmed():
    with cluster() as three:
        three.wait_ready()
        code, _, stderr = three.client("cluster", "confirm-recovery", "--yes", check=False)
        assert code == 4 and "no recovery waits" in stderr, (code, stderr)


def test_only_operators_change_members():
    with cluster() as three:
        three.wait_ready()
        three.issue("app", "/client/app")
        code, _, stderr = three.client("member", "ls", identity="app", check=False)
        assert code == 4 and "operators and members" in stderr, (code, stderr)


if __name__ == "__main__":
    chosen = sys.argv[1:]
    run_tests([value for name, value in list(globals().items()) if name.startswith("test_")
               and (not chosen or name in chosen)])
