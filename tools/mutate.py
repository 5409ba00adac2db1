#!/usr/bin/python3
"""Asks whether the tests would notice: changes one place of a layer's code at a time, in a copy of the
tree, and runs its unit and golden tests. A mutant that no test kills is printed: either a test is
missing, or the line is not needed, or the change is the same in other words.

    tools/mutate.py [--seed N] [--count N] [--file PATH] LAYER ...

Exits with 1 if a mutant survives. The same seed on the same tree makes the same mutants."""
import argparse
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import time

# (name, what to find in a line of code, what to put there)
RULES = [
    ("less-or-equal", r" < ", " <= "),
    ("less", r" <= ", " < "),
    ("greater-or-equal", r" > ", " >= "),
    ("greater", r" >= ", " > "),
    ("not-equal", r" == ", " != "),
    ("equal", r" != ", " == "),
    ("or", r" && ", " || "),
    ("and", r" \|\| ", " && "),
    ("off by one, up", r" \+ 1\b", " + 2"),
    ("off by one, down", r" - 1\b", " - 0"),
    ("true", r"\bfalse\b", "true"),
    ("false", r"\btrue\b", "false"),
    ("no error", r"return ERR_(?!OK)\w+;", "return ERR_OK;"),
    ("condition turned", r"\bif \((?!!\()(.*)\) \{$", r"if (!(\1)) {"),
    ("statement gone", r"^(\s+)(?!return|break|continue|goto|\w+ \w+ =|struct|const|enum|uint|size_t|bool|"
     r"static|TRY|CHECK)([\w>.\[\]-]+(\(.*\)| [-+|&]?= [^;]*));$", r"\1(void)0;"),
]
# CHECKs are not mutated: most state what can never be false, and no test could.
UNTOUCHED = re.compile(r"CHECK\(|^\s*#|_Static_assert|MARK\(|trace|^\s*/?\*")
TEST_SECONDS = 180


def main():
    options = parse()
    tree = copy_tree(os.path.abspath("build/mutate"))
    baseline, output = test(tree, options.layers)
    if not baseline:
        print(output[-3000:])
        print("mutate: the tests fail without a mutant")
        return 2
    mutants = [mutant for path in sources(tree, options) for mutant in mutants_of(tree, path)]
    random.Random(options.seed).shuffle(mutants)
    mutants = mutants[: options.count]
    print(f"seed {options.seed}, {len(mutants)} mutants of {' '.join(options.layers)}")
    survivors = unbuilt = 0
    start = time.monotonic()
    for path, number, rule, changed in mutants:
        verdict = try_mutant(tree, options.layers, path, number, changed)
        unbuilt += verdict == "unbuilt"
        if verdict == "survived":
            survivors += 1
            print(f"{path}:{number}: {rule} survives: {changed.strip()}", flush=True)
    killed = len(mutants) - survivors - unbuilt
    print(f"{killed} killed, {survivors} survived, {unbuilt} did not compile, "
          f"{time.monotonic() - start:.0f} s")
    return 1 if survivors > 0 else 0


def parse():
    parser = argparse.ArgumentParser(description="mutation tests of pure layers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--file", help="only this file")
    parser.add_argument("layers", nargs="+")
    return parser.parse_args()


def copy_tree(tree):
    """The sources and tests as they are now; the objects of the last run stay, for speed."""
    os.makedirs(tree, exist_ok=True)
    for folder in ("src", "tests", "tools", "proto"):
        target = os.path.join(tree, folder)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
    shutil.copy("Makefile", tree)
    return tree


def sources(tree, options):
    found = []
    for layer in options.layers:
        for where, _, names in os.walk(os.path.join(tree, "src", layer)):
            found += [os.path.relpath(os.path.join(where, name), tree) for name in names
                      if name.endswith(".c")]
    return sorted(path for path in found if options.file in (None, path))


def mutants_of(tree, path):
    with open(os.path.join(tree, path), encoding="utf-8") as file:
        lines = file.read().split("\n")
    found = []
    depth = 0
    for number, line in enumerate(lines, 1):
        inside = depth > 0
        depth += line.count("{") - line.count("}")
        if not inside or UNTOUCHED.search(line):
            continue
        code = re.sub(r"/\*.*?\*/", "", line).rstrip()
        for name, pattern, replacement in RULES:
            changed = re.sub(pattern, replacement, code, count=1)
            if changed != code:
                found.append((path, number, name, changed))
    return found


def try_mutant(tree, layers, path, number, changed):
    full = os.path.join(tree, path)
    with open(full, encoding="utf-8") as file:
        original = file.read()
    lines = original.split("\n")
    lines[number - 1] = changed
    try:
        with open(full, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        passed, output = test(tree, layers)
    finally:
        with open(full, "w", encoding="utf-8") as file:
            file.write(original)
        # The next run copies the file with its old time: its object must not outlive the mutant.
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(tree, "build", "obj", path[:-2] + ".o"))
    if passed:
        return "survived"
    return "unbuilt" if " error: " in output and "passed, " not in output else "killed"


def test(tree, layers):
    command = ["make", "-s", "-j2", "WERROR=-w", "OPT=-O0 -g", "UNIT_TIMEOUT=60", "unit",
               "T=" + " ".join(layers)]
    if os.listdir(os.path.join(tree, "tests", "golden")):
        command.append("golden")
    try:
        done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                              timeout=TEST_SECONDS, env={**os.environ, "SEED": "1"})
    except subprocess.TimeoutExpired:
        return False, "0 passed, 1 failed: timed out"
    return done.returncode == 0, done.stdout


if __name__ == "__main__":
    sys.exit(main())
