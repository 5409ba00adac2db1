#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The places where a test build can be made to crash (src/base/failpoint.h): each has a name of its own,
jepsen/failpoints.py says how it is reached, what is set is read strictly, and the product has none."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))
WITH = os.path.join(BUILD, "failpoints", "indaba")
PRODUCT = os.environ.get("INDABA", os.path.join(BUILD, "indaba"))
FORM = re.compile(r'\bFAILPOINT(|_IF|_AROUND)\(\s*(?:[^";]*,\s*)?"([a-z_.]+)"')
PURE = ("base", "model", "raft", "state", "decide")
SKIPPED = 77


def in_source():
    """Every name in src, as often as it is there."""
    names = []
    for folder, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            path = os.path.join(folder, name)
            if not name.endswith(".c"):
                continue
            with open(path, encoding="utf-8") as file:
                text = file.read()
            found = FORM.findall(text)
            assert len(found) == text.count("FAILPOINT"), f"{path}: a place without a literal name"
            assert not found or os.path.relpath(path, ROOT).split(os.sep)[1] not in PURE, path
            for kind, point in found:
                names += [point + ".before", point + ".after"] if kind == "_AROUND" else [point]
    return names


def reached():
    """What jepsen/failpoints.py knows, without what that needs to run."""
    with open(os.path.join(ROOT, "jepsen", "failpoints.py"), encoding="utf-8") as file:
        text = file.read()
    tables = text[text.index("def before_and_after"):text.index("POINTS = {")]
    scope = {how: how for how in re.findall(r"^    (at_\w+): ", tables, re.MULTILINE)}
    exec(tables, scope)  # our own text
    groups = [*scope["IN_MEMBERS"].values(), *scope["IN_WORLDS"].values(), scope["AT_BOOTSTRAP"]]
    return [point for group in groups for point in group]


def with_points(settings):
    done = subprocess.run([WITH, "--help"], env={**os.environ, "INDABA_FAILPOINTS": settings},
                          capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stdout, done.stderr


def test_each_place_has_a_name_of_its_own_and_is_reached_by_the_sweep():
    names = in_source()
    assert len(names) == len(set(names)), sorted(one for one in names if names.count(one) > 1)
    known = reached()
    assert len(known) == len(set(known)), known
    assert set(names) == set(known), (set(names) ^ set(known))


def test_the_binary_lists_them_all():
    code, listed, _ = with_points("list")
    assert code == 0
    assert {line.split()[0] for line in listed.splitlines()} == set(in_source())


def test_what_is_set_is_read_strictly():
    for wrong in ("wal.sync=crash", "wal.sync.before", "wal.sync.before=die", "wal.sync.before=crash@0",
                  "wal.sync.before=crash@", "wal.sync.before=crash@1x", "wal.sync.before=sleep:",
                  "wal.sync.before=sleep:60001", "wal.sync.before=error:eperm", "=crash",
                  "wal.vote.before=error:eio", "wal.sync.before=crash wal.sync.after=crash"):
        code, _, said = with_points(wrong)
        assert code == 97 and "failpoints: " in said, (wrong, code, said)
    for right in ("wal.sync.before=crash", "wal.sync.before=error:enospc@3,wal.vote.after=sleep:20\n"):
        assert with_points(right)[0] == 0, right


def test_the_product_has_none():
    with open(PRODUCT, "rb") as file:
        binary = file.read()
    left = [word for word in [*in_source(), "INDABA_FAILPOINTS", "failpoint_hit", "failpoint_enter"]
            if word.encode() + b"\0" in binary]
    assert not left, left
    symbols = subprocess.run(["nm", PRODUCT], capture_output=True, text=True, check=True).stdout
    assert "failpoint" not in symbols


def main():
    if not os.path.exists(WITH) or not os.path.exists(PRODUCT):
        print("skipped: make build/failpoints/indaba")
        return SKIPPED
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    for test in tests:
        test()
        print(f"ok {test.__name__}")
    print(f"{len(tests)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
