#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our judges beside one that was not written here: histories, in EDN, of registers and of transactions
on lists are given to build/jepsen/check and to Z3 (solver.py), and the verdicts must be the same. Some
are made by hand, with the verdict that both must come to; most are drawn: right ones, of a store that
takes each operation at one instant, and the same with one answer or one time changed.

    jepsen/compare.py [COUNT [SEED]]"""
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import history  # noqa: E402
import solver  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHECK = os.path.join(ROOT, os.environ.get("B", "build"), "jepsen", "check")
PROCESSES, OPERATIONS, MS = 4, 14, 10 ** 6


def operation(invoke, complete, *steps):
    return {"invoke": invoke, "complete": complete, "steps": list(steps)}


# --- made by hand -------------------------------------------------------------------------------------


def write(invoke, complete, value):
    return operation(invoke, complete, ("write", 1, value))


def read(invoke, complete, value):
    return operation(invoke, complete, ("read", 1, value))


def swap(invoke, complete, old, new):
    return operation(invoke, complete, ("expect", 1, old), ("write", 1, new))


REGISTERS = [
    (True, "read what was written", [write(1, 2, 7), read(3, 4, 7)]),
    (False, "a stale read", [write(1, 2, 7), write(3, 4, 8), read(5, 6, 7)]),
    (True, "read either of two at one time", [write(1, 9, 7), write(2, 8, 8), read(10, 11, 7)]),
    (False, "back to the older one", [write(1, 2, 7), write(3, 12, 8), read(4, 5, 8),
                                      read(6, 7, 7)]),
    (True, "no answer, and there", [write(1, None, 7), read(5, 6, 7)]),
    (True, "no answer, and not there", [write(1, None, 7), read(5, 6, None)]),
    (False, "there, and gone again", [write(1, None, 7), read(5, 6, 7), read(8, 9, None)]),
    (False, "two swaps from one value", [write(1, 2, 7), swap(3, 6, 7, 8), swap(4, 7, 7, 9)]),
    (True, "one swap after the other", [write(1, 2, 7), swap(3, 6, 7, 8), swap(4, 7, 8, 9)]),
    (False, "what nobody wrote", [write(1, 2, 7), read(3, 4, 9)]),
]


def txn(*steps, at=(1, 9)):
    return operation(*at, *steps)


def append(key, value):
    return ("append", key, value)


def seen(key, *values):
    return ("list", key, list(values))


LISTS = [
    (True, "one after the other", [txn(append(1, 1)), txn(seen(1, 1), append(1, 2)),
                                   txn(seen(1, 1, 2))]),
    (False, "G0", [txn(append(1, 1), append(2, 1)), txn(append(1, 2), append(2, 2)),
                   txn(seen(1, 1, 2)), txn(seen(2, 2, 1))]),
    (False, "G1b", [txn(append(1, 1), append(1, 2)), txn(seen(1, 1))]),
    (False, "G1c", [txn(append(1, 1), seen(2, 1)), txn(append(2, 1), seen(1, 1))]),
    (False, "G-single", [txn(append(1, 1), append(2, 1)), txn(seen(1, 1), seen(2)),
                         txn(seen(2, 1))]),
    (False, "G2", [txn(seen(1), append(2, 1)), txn(seen(2), append(1, 1)),
                   txn(seen(1, 1), seen(2, 1))]),
    (False, "lost", [txn(append(1, 1), at=(1, 2)), txn(seen(1), at=(3, 4))]),
    (False, "real time", [txn(append(1, 2), at=(1, 2)), txn(append(1, 1), at=(3, 4)),
                          txn(seen(1, 1, 2), at=(5, 6))]),
    (False, "G2 by what nobody read", [txn(seen(1), append(2, 1)), txn(seen(2), append(1, 1))]),
    (False, "torn", [operation(1, None, append(1, 1), append(1, 2)), txn(seen(1, 2))]),
    (True, "over as the other one begins", [txn(append(1, 1), at=(1, 4)),
                                            txn(seen(1), at=(4, 5))]),
    (False, "long fork", [txn(append(1, 1)), txn(append(2, 1)), txn(seen(1, 1), seen(2)),
                          txn(seen(1), seen(2, 1))]),
]


# --- drawn --------------------------------------------------------------------------------------------


def instants(dice):
    """(invoke, effect, complete) of operations, those of a process one after the other."""
    for process in range(PROCESSES):
        now = dice.randrange(10)
        for _ in range(OPERATIONS // PROCESSES + 1):
            invoke = now + 1 + dice.randrange(6)
            effect = invoke + dice.randrange(12) + 0.001 * process
            complete = int(effect) + 1 + dice.randrange(12)
            yield invoke, effect, complete
            now = complete + 1


def drawn_registers(dice):
    store, made, value = {}, [], 0
    for invoke, effect, complete in sorted(instants(dice), key=lambda one: one[1]):
        key, kind, value = dice.randrange(2), dice.choice(["read", "write", "swap"]), value + 1
        lost = dice.random() < 0.15
        done = not lost or dice.random() < 0.5
        old = store.get(key)
        if kind == "read":
            if not lost:
                made.append(operation(invoke, complete, ("read", key, old)))
            continue
        steps = [("write", key, value)]
        if kind == "swap":
            steps.insert(0, ("expect", key, old))
        made.append(operation(invoke, None if lost else complete, *steps))
        if done:
            store[key] = value
    return made


def drawn_lists(dice):
    store, made, value = {}, [], 0
    for invoke, effect, complete in sorted(instants(dice), key=lambda one: one[1]):
        lost = dice.random() < 0.1
        done, steps, mine = not lost or dice.random() < 0.5, [], {}
        for _ in range(dice.randrange(1, 4)):
            key = dice.randrange(3)
            if dice.random() < 0.5:
                value += 1
                steps.append(("append", key, value))
                mine.setdefault(key, []).append(value)
            elif not lost:
                steps.append(("list", key, store.get(key, []) + mine.get(key, [])))
        if not steps:
            continue
        made.append(operation(invoke, None if lost else complete, *steps))
        for key, values in mine.items() if done else ():
            store[key] = store.get(key, []) + values
    return made


def changed(dice, operations):
    """One answer is another one, or one operation was somewhen else."""
    made = [dict(one, steps=list(one["steps"])) for one in operations]
    one = dice.choice([each for each in made if each["complete"] is not None])
    at = dice.randrange(len(one["steps"]))
    kind, key, value = one["steps"][at]
    written = [step[2] for other in operations for step in other["steps"]
               if step[0] in ("write", "append") and step[1] == key]
    if kind in ("read", "expect"):
        one["steps"][at] = (kind, key, dice.choice(written + [None]))
    elif kind == "list" and value:
        values = list(value)
        if dice.random() < 0.5:
            values.pop(dice.randrange(len(values)))
        else:
            place = dice.randrange(len(values))
            values.insert(dice.randrange(len(values)), values.pop(place))
        one["steps"][at] = (kind, key, values)
    else:
        moved = dice.choice([-20, -10, 10, 20])
        one["invoke"], one["complete"] = one["invoke"] + moved + 20, one["complete"] + moved + 20
        for other in made:
            if other is not one:
                other["invoke"] += 20
                other["complete"] = other["complete"] and other["complete"] + 20
    return made


# --- both judges --------------------------------------------------------------------------------------


def edn_register(one):
    (kind, key, value), *more = one["steps"]
    if kind == "expect":
        return "cas", [key, [value, more[0][2]]], [key, [value, more[0][2]]]
    return kind, [key, None if kind == "read" else value], [key, value]


def edn_lists(one):
    asked = [[history.Keyword("r" if kind == "list" else kind), key,
              None if kind == "list" else value] for kind, key, value in one["steps"]]
    done = [[word, key, value if kind == "list" else what]
            for (word, key, what), (kind, _, value) in zip(asked, one["steps"])]
    return "txn", asked, done


def ours(judge, form, operations, path):
    """Each operation is of a process of its own."""
    told = history.History(0)
    for process, one in enumerate(operations):
        f, asked, done = form(one)
        told.add(one["invoke"] * MS, process, "invoke", f, asked, {})
        if one["complete"] is not None:
            told.add(one["complete"] * MS, process, "ok", f, done, {})
    told.write(path)
    done = subprocess.run([CHECK, judge, path], capture_output=True, text=True, check=False,
                          timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0, done.stdout


def theirs(z3, claims_of, operations):
    """(whether an order is there that keeps real time, whether any is)"""
    found = []
    for real_time in (True, False):
        declared, claims = solver.orders(operations, real_time)
        found.append(z3.satisfiable(declared, claims + list(claims_of(operations))))
    return tuple(found)


FORMS = {"register": (edn_register, solver.register_claims, drawn_registers, REGISTERS),
         "append": (edn_lists, solver.list_claims, drawn_lists, LISTS)}


def examples_of(judge, count, dice):
    """(verdict or None if nobody knows it beforehand, name, operations)"""
    _, _, draw, by_hand = FORMS[judge]
    yield from by_hand
    for number in range(count):
        right = draw(dice)
        yield True, f"drawn {number}", right
        yield None, f"drawn {number}, changed", changed(dice, right)


def compare(z3, judge, count, dice, path):
    """Differences, told. What is right but for real time may be found by the judge of lists, or not:
    it asks for that of cycles with one anti-dependency at most (txn_graph.h)."""
    form, claims_of, _, _ = FORMS[judge]
    verdicts, bad, between = {True: 0, False: 0}, 0, 0
    for known, name, operations in examples_of(judge, count, dice):
        said, text = ours(judge, form, operations, path)
        solved, untimed = theirs(z3, claims_of, operations)
        verdicts[solved] += 1
        excused = judge == "append" and said and untimed
        between += excused and not solved
        if (said != solved and not excused) or known not in (None, solved):
            bad += 1
            print(f"DIFFERENT: {judge}, {name}: ours {said}, Z3 {solved}, known {known}\n{text}")
            with open(path, encoding="utf-8") as file:
                print(file.read())
    print(f"{judge}: {verdicts[True]} right and {verdicts[False]} wrong histories, {bad} different "
          f"verdicts, {between} wrong by real time alone and not asked for", flush=True)
    return bad + (min(verdicts.values()) == 0)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    seed = sys.argv[2] if len(sys.argv) > 2 else "1"
    z3 = solver.Solver()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "history.edn")
        bad = sum(compare(z3, judge, count, random.Random(f"{judge} {seed}"), path)
                  for judge in FORMS)
    print("jepsen-compare: " + ("verdicts differ" if bad else "all verdicts are the same"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
