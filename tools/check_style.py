#!/usr/bin/python3
"""What clang-format and clang-tidy do not see: banned calls, leftovers, functions that do not fit a
screen, files that do not say what they are for. One line per finding; exits with 1 if there is one."""
import os
import re
import subprocess
import sys

FUNCTION_LINES_MAX = 70
# Built from pieces, so that this file does not find itself.
LEFTOVER = re.compile(r"\b(" + "|".join(("FIX" + "ME", "TO" + "DO", "XX" + "X")) + r")\b")
MACHINE_PATH = re.compile("/" + r"work/(main|shared|\.)")
BANNED = {
    r"strcpy|strcat|stpcpy|strncpy|strncat|sprintf|vsprintf|gets": "no bound: snprintf or buf_printf",
    r"strtok|strtok_r": "changes its input: walk it",
    r"atoi|atol|atoll|atof": "cannot fail: strtoull with checks",
    r"alloca": "no bound on the stack",
    r"rand|srand|random|srandom|drand48": "base/prng.h or id128_random",
    r"setjmp|longjmp": "no jumps over frames",
    r"system|popen": "no shell",
    r"strerror|gmtime|localtime|asctime|ctime|inet_ntoa|getpwnam|getpwuid|gethostbyname": "shares "
    "its result between threads: the _r twin",
}
BANNED_IN_SRC = {
    r"malloc|calloc|realloc|strdup|strndup|reallocarray": "base/mem.h",
    r"assert": "base/check.h",
    r"sleep|usleep|nanosleep": "nothing of ours blocks: a timer",
}
BANNED_IN_TESTS = {r"sleep|usleep|nanosleep": "wait on a condition, or move the fake clock"}
BANNED_IN_PURE = {
    r"printf|fprintf|puts|fopen|open|read|write|getenv|id128_random|request_id_new|log_event|"
    r"clock_boottime_ns|clock_monotonic_ms|clock_wall_ms": "a pure layer has no input, output, "
    "clock or randomness",
}
# A kind that is appended falls out of every range: ask its column (COMMAND_TABLE).
RANGE_OF_KINDS = re.compile(r"[<>]=?\s*COMMAND_(?!KIND_COUNT|BODY_COUNT|NONE|LEVEL)[A-Z_]+")
# file -> calls that are its very purpose.
ALLOWED = {
    "src/base/mem.c": {"malloc", "calloc", "realloc"},
}
# A file that a comment or a document names; <system.h>, NAME.txt and NNNN.md are none of ours.
FILE_NAMED = re.compile(r"(?<![\w./<-])((?:[\w-]+/)*[\w-]+\.(?:c|h|md|py|proto|mk|sh|txt))\b(?!\w)")
NOT_OURS = re.compile(r"(\b|_)(NAME|NNNN|SERVICE|LAYER)\b|^google/|^cmocka\.h$|^uv\.h$")
# Numbered references: what they look like, where they lead, how the place begins there.
NUMBERED = (
    (re.compile(r"(?<!\w)\(?(E\d+[a-z]?)(?=[,)])"), "docs/experiments.md", "| {} |"),
    (re.compile(r"\bsafety\.md[,)]? (?:section )?(\d+)"), "docs/safety.md", "## {}."),
)
ADR_NUMBERED = re.compile(r"\bADR (\d+)")
PURE = ("src/model/", "src/raft/", "src/state/", "src/decide/")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    findings = []
    tree = Tree(root)
    for path in tree.paths:
        if path.startswith("tests/fuzz/corpus/"):  # bytes, whatever they look like
            continue
        with open(os.path.join(root, path), "rb") as file:
            raw = file.read()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            continue
        findings += check_text(path, text)
        findings += check_references(path, text, tree)
        if path.endswith((".c", ".h")) and path.startswith(("src/", "tests/", "bench/", "jepsen/")):
            findings += check_c(path, text)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def files(root):
    """The files under version control and those about to be; a tree without git is walked."""
    command = ["git", "-C", root, "ls-files", "-co", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
        found = done.stdout.splitlines()
    else:
        found = [
            os.path.relpath(os.path.join(where, name), root)
            for where, _, names in os.walk(root)
            for name in names
        ]
    return sorted(path for path in found if os.path.isfile(os.path.join(root, path)))


class Tree:
    """What references may lead to."""

    def __init__(self, root):
        self.root = root
        self.paths = files(root)
        self.known = set(self.paths)
        self.names = {os.path.basename(path) for path in self.paths}
        self.texts = {}

    def has(self, named, at):
        if "/" not in named:
            return named in self.names
        beside = os.path.normpath(os.path.join(os.path.dirname(at), named))
        return beside in self.known or any(
            path == named or path.endswith("/" + named) for path in self.paths)

    def text(self, path):
        if path not in self.texts and path in self.known:
            with open(os.path.join(self.root, path), encoding="utf-8") as file:
                self.texts[path] = file.read()
        return self.texts.get(path)


def check_references(path, text, tree):
    """Whatever a comment or a document refers to is there."""
    findings = []
    if path.endswith((".c", ".h", ".proto")):
        parts = [(match.start(), match[0])
                 for match in re.finditer(r"/\*.*?\*/|//[^\n]*", text, re.DOTALL)]
    elif path.endswith(".md"):
        parts = [(0, text)]
    else:
        return findings
    for start, part in parts:
        for at, named in broken_references(path, part, tree):
            line = text.count("\n", 0, start + at) + 1
            findings.append(f"{path}:{line}: {named}: there is no such place")
    return findings


def broken_references(path, part, tree):
    for match in FILE_NAMED.finditer(part):
        if not NOT_OURS.search(match[1]) and not tree.has(match[1], path):
            yield match.start(), match[1]
    for pattern, place, begins in NUMBERED:
        for match in pattern.finditer(part):
            there = tree.text(place)
            if there is not None and begins.format(match[1]) not in there:
                yield match.start(), match[0]
    for match in ADR_NUMBERED.finditer(part):
        prefix = f"docs/adr/{int(match[1]):04}-"
        if "docs" in {one.split("/")[0] for one in tree.paths} and not any(
                one.startswith(prefix) for one in tree.paths):
            yield match.start(), match[0]


def check_text(path, text):
    findings = []
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            findings.append(f"{path}:{number}: a path of one machine")
        if LEFTOVER.search(line) and not path.endswith(".md"):
            findings.append(f"{path}:{number}: a leftover: do it, or open an issue")
        if line != line.rstrip() and not path.endswith((".md", ".expected", ".golden")):
            findings.append(f"{path}:{number}: space at the end of the line")
    if text and not text.endswith("\n") and path.endswith((".c", ".h", ".py", ".sh", ".mk", ".md")):
        findings.append(f"{path}: no newline at the end")
    return findings


def check_c(path, text):
    findings = []
    lines = text.splitlines()
    if not lines or lines[0] != "/* SPDX-License-Identifier: Apache-2.0 */":
        findings.append(f"{path}:1: the first line is the SPDX comment")
    if len(lines) < 2 or not lines[1].startswith("/* "):
        findings.append(f"{path}:2: the second line says what the file is for")
    if path.endswith(".h"):
        findings += check_guard(path, text)
    code = strip_comments(text)
    findings += check_calls(path, code)
    for match in RANGE_OF_KINDS.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        findings.append(f"{path}:{line}: a range of command kinds: ask a column of COMMAND_TABLE")
    findings += check_functions(path, lines)
    return findings


def check_guard(path, text):
    """INDABA_LAYER_FILE_H in src; elsewhere the end of the name counts."""
    parts = [re.sub(r"[^A-Z0-9]", "_", part.upper()) for part in path.split("/")]
    guard = "INDABA_" + "_".join(parts[1:])
    match = re.search(r"^#ifndef (INDABA_\w+)\n#define (\w+)$", text, re.MULTILINE)
    if match and match[1] == match[2]:
        if match[1] == guard or not path.startswith("src/") and match[1].endswith(parts[-1]):
            return []
    return [f"{path}: its include guard is {guard}"]


def strip_comments(text):
    """Comments and string contents blanked, newlines kept."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])

    return re.sub(r"/\*.*?\*/|//[^\n]*|'(\\.|[^'\\\n])'"
                  r'|"(\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def check_calls(path, code):
    tables = [BANNED]
    tables += [BANNED_IN_SRC] if path.startswith("src/") else [BANNED_IN_TESTS]
    tables += [BANNED_IN_PURE] if path.startswith(PURE) else []
    findings = []
    for table in tables:
        for names, why in table.items():
            for match in re.finditer(rf"(?<![\w.>])({names})\s*\(", code):
                if match[1] in ALLOWED.get(path, ()):
                    continue
                line = code.count("\n", 0, match.start()) + 1
                findings.append(f"{path}:{line}: {match[1]}: {why}")
    return findings


def check_functions(path, lines):
    """A function's body starts with '{' in the first column, and so ends it."""
    findings = []
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            length = number - start - 1
            if length > FUNCTION_LINES_MAX:
                findings.append(f"{path}:{start}: {length} lines in a function, at most "
                                f"{FUNCTION_LINES_MAX}")
            start = None
    return findings


if __name__ == "__main__":
    sys.exit(main())
