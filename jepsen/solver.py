# SPDX-License-Identifier: Apache-2.0
"""Histories judged by the definition alone: is there one order of the operations in which each result
is right, and which keeps the order of real time? The definition is written down here, and Z3 (Debian's
libz3-4) looks for the order: no search, no zones and no cycles of ours are in it. Small histories only.

An operation is a dict: invoke, complete (None: never answered, so it may have been done or not), and
`steps` of registers or lists: ("read", key, value) ("write", key, value) ("expect", key, value);
("append", key, value) ("list", key, values)."""
import ctypes


class Solver:
    def __init__(self):
        self.z3 = ctypes.CDLL("libz3.so.4")
        for name, result, taken in (("Z3_mk_config", ctypes.c_void_p, []),
                                    ("Z3_mk_context", ctypes.c_void_p, [ctypes.c_void_p]),
                                    ("Z3_eval_smtlib2_string", ctypes.c_char_p,
                                     [ctypes.c_void_p, ctypes.c_char_p])):
            function = getattr(self.z3, name)
            function.restype, function.argtypes = result, taken
        self.context = self.z3.Z3_mk_context(self.z3.Z3_mk_config())

    def satisfiable(self, declarations, claims):
        text = "(reset)" + "".join(declarations) + "".join(f"(assert {one})" for one in claims)
        answer = self.z3.Z3_eval_smtlib2_string(self.context, (text + "(check-sat)").encode())
        answer = answer.decode().strip()
        assert answer in ("sat", "unsat"), answer
        return answer == "sat"


def both(*claims):
    return "(and true " + " ".join(claims) + ")"


def either(*claims):
    return "(or false " + " ".join(claims) + ")"


def negated(claim):
    return f"(not {claim})"


def before(one, other):
    return f"(< p{one} p{other})"


def orders(operations, real_time=True):
    """(declarations, claims): each has a place of its own, and what was over comes first."""
    count = range(len(operations))
    declared = [f"(declare-fun p{one} () Int)(declare-fun e{one} () Bool)" for one in count]
    claims = [f"e{one}" for one in count if operations[one]["complete"] is not None]
    if len(operations) > 1:
        claims.append("(distinct " + " ".join(f"p{one}" for one in count) + ")")
    for one in count:
        over = operations[one]["complete"]
        claims += [before(one, other) for other in count
                   if real_time and over is not None and over < operations[other]["invoke"]]
    return declared, claims


def register_claims(operations):
    """A read, or what a swap expected, is of the last write before it."""
    writes = {}
    for number, one in enumerate(operations):
        for kind, key, value in one["steps"]:
            if kind == "write":
                writes.setdefault(key, []).append((number, value))
    for number, one in enumerate(operations):
        for kind, key, value in one["steps"]:
            if kind == "write":
                continue
            others = [(by, what) for by, what in writes.get(key, []) if by != number]
            last = [both(f"e{by}", before(by, number), *(
                either(negated(f"e{third}"), before(third, by), before(number, third))
                for third, _ in others if third != by)) for by, what in others if what == value]
            if value is None:
                last.append(both(*(either(negated(f"e{by}"), before(number, by))
                                   for by, _ in others)))
            yield either(negated(f"e{number}"), *last)


def list_claims(operations):
    """A list has what was appended to it before, in that order, and nothing else."""
    appends = {}
    for number, one in enumerate(operations):
        for kind, key, value in one["steps"]:
            if kind == "append":
                appends.setdefault(key, []).append((number, value))
    for number, one in enumerate(operations):
        own = {}
        for kind, key, value in one["steps"]:
            if kind == "append":
                own.setdefault(key, []).append(value)
                continue
            mine = own.get(key, [])
            foreign = [(by, what) for by, what in appends.get(key, []) if by != number]
            yield from one_list(number, value, mine, foreign)


def one_list(number, values, mine, foreign):
    head = values[:len(values) - len(mine)]
    if values[len(head):] != mine or len(set(values)) < len(values) or \
            not set(head) <= {what for _, what in foreign}:
        yield "false"
        return
    by_value = {what: by for by, what in foreign}
    for by, what in foreign:
        there = both(f"e{by}", before(by, number))
        yield there if what in head else negated(there)
    place = {what: at for at, (_, what) in enumerate(foreign)}
    for first, second in zip(head, head[1:]):
        if by_value[first] == by_value[second]:
            yield "true" if place[first] < place[second] else "false"
        else:
            yield before(by_value[first], by_value[second])
