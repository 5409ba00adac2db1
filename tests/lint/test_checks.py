#!/usr/bin/python3
"""Goal: our own checks find what they are for, and nothing else. Method: small trees with one fault
each, and one without."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n/* What it is for. */\n"


def check(tool, files):
    """The findings of a tool in a tree of these files."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run(
            ["/usr/bin/python3", os.path.join(ROOT, "tools", tool), root],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == bool(done.stdout), done.stderr
        return done.stdout


class Layers(unittest.TestCase):
    def findings(self, path, text):
        return check("check_layers.py", {path: text})

    def test_a_layer_may_include_those_below_it(self):
        text = '#include "base/buf.h"\n#include "model/role.h"\n#include <string.h>\n'
        self.assertEqual(self.findings("src/raft/raft.c", text), "")

    def test_a_layer_may_not_include_those_beside_or_above_it(self):
        self.assertIn("may not know", self.findings("src/raft/raft.c", '#include "state/lease.h"\n'))
        self.assertIn("may not know", self.findings("src/base/buf.c", '#include "raft/raft.h"\n'))
        self.assertIn("may not know", self.findings("src/rpc/h2.c", '#include "model/role.h"\n'))

    def test_storage_sees_only_the_types_of_raft(self):
        self.assertEqual(self.findings("src/storage/wal.c", '#include "raft/types.h"\n'), "")
        self.assertIn("may not know", self.findings("src/storage/wal.c", '#include "raft/raft.h"\n'))

    def test_a_pure_layer_sees_no_clock(self):
        for header in ('"base/clock.h"', "<time.h>", "<pthread.h>", "<sys/socket.h>", "<unistd.h>"):
            self.assertIn("pure", self.findings("src/state/lease.c", f"#include {header}\n"))

    def test_a_ring_across_nouns_is_found_and_one_of_a_family_is_not(self):
        ring = {
            "src/rpc/apple.h": SPDX, "src/rpc/pear.h": SPDX,
            "src/rpc/apple.c": '#include "rpc/pear.h"\n', "src/rpc/pear.c": '#include "rpc/apple.h"\n',
        }
        self.assertIn("apple pear", check("check_rings.py", ring))
        family = {path.replace("pear", "apple_core"): text.replace("pear", "apple_core")
                  for path, text in ring.items()}
        self.assertEqual(check("check_rings.py", family), "")
        del ring["src/rpc/pear.c"]
        self.assertEqual(check("check_rings.py", ring), "")

    def test_a_ring_of_calls_is_found_in_the_objects(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
            os.makedirs(os.path.join(root, "src/rpc"))
            for name, other in (("apple", "pear"), ("pear", "apple")):
                path = os.path.join(root, "src/rpc", name)
                with open(path + ".c", "w", encoding="utf-8") as file:
                    file.write(f"void {other}(void);\nvoid {name}(void);\nvoid {name}(void) {{ {other}(); }}\n")
                subprocess.run(["cc", "-c", "-o", path + ".o", path + ".c"], check=True)
            done = subprocess.run(
                ["/usr/bin/python3", os.path.join(ROOT, "tools/check_rings.py"), root, root],
                capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("apple -> pear: uses pear", done.stdout)

    def test_the_core_of_a_node_sees_no_loop_and_no_clock(self):
        for header in ('"base/clock.h"', "<uv.h>", "<pthread.h>", '"storage/wal_writer.h"', '"node/node_uv.h"'):
            self.assertIn("core of node", self.findings("src/node/node_step.c", f"#include {header}\n"))
            self.assertEqual(self.findings("src/node/node_uv_log.c", f"#include {header}\n"), "")

    def test_the_consensus_core_is_stepped_in_one_place(self):
        self.assertEqual(self.findings("src/node/node_step.c", "raft_step(raft, event, update);\n"), "")
        self.assertIn("alone", self.findings("src/node/node_members.c", "raft_step(raft, event, update);\n"))

    def test_third_party_headers_stay_in_their_place(self):
        self.assertEqual(self.findings("src/rpc/h2.c", "#include <nghttp2/nghttp2.h>\n"), "")
        self.assertIn("stays in", self.findings("src/rpc/grpc.c", "#include <nghttp2/nghttp2.h>\n"))
        self.assertIn("libuv", self.findings("src/wire/arena.c", "#include <uv.h>\n"))

    def test_a_driver_sees_no_loop(self):
        self.assertEqual(self.findings("src/replication/engine.c", "#include <uv.h>\n"), "")
        self.assertIn("libuv", self.findings("src/replication/postgres/pg_probe.c", "#include <uv.h>\n"))

    def test_includes_are_written_from_src(self):
        self.assertIn("write", self.findings("src/rpc/h2.c", '#include "stream.h"\n'))

    def test_long_files_and_names_taken_twice_are_found(self):
        self.assertIn("401 lines", self.findings("src/base/big.c", "\n" * 401))
        twice = check("check_layers.py", {"src/base/a.c": "", "src/rpc/a.c": ""})
        self.assertIn("name is taken", twice)


class Waits(unittest.TestCase):
    def findings(self, path, text):
        return check("check_waits.py", {path: text})

    def test_a_thread_may_make_a_file_durable(self):
        self.assertEqual(self.findings("src/storage/disk.c", "    return fsync(file);\n"), "")
        self.assertEqual(self.findings("src/replication/postgres/pg_start.c",
                                       "    return durable_file_write(path, line, len, owner);\n"), "")

    def test_a_loop_may_not(self):
        for call in ("fsync(file)", "fdatasync(file)", "durable_file_write(path, data, len, NULL)",
                     "kept_file_write(path, format, value)", "tls_reload(tls, errmsg)"):
            self.assertIn("waits for a disk",
                          self.findings("src/replication/agent.c", f"    return {call};\n"))

    def test_words_and_strings_are_not_calls(self):
        text = '/* fsync(file) is not for us. */\nstatic const char *const NAME = "fsync(";\n'
        self.assertEqual(self.findings("src/replication/agent.c", text), "")


class Style(unittest.TestCase):
    def findings(self, path, text):
        return check("check_style.py", {path: text})

    def test_a_clean_file_has_no_findings(self):
        text = SPDX + 'int\nmain(void)\n{\n    return puts("strcpy(a, b)"); /* atoi( */\n}\n'
        self.assertEqual(self.findings("src/cmd/main.c", text), "")

    def test_banned_calls_are_found(self):
        for call in ("strcpy(a, b)", "sprintf(a, b)", "atoi(a)", "strtok (a, b)", "malloc(1)"):
            self.assertIn("src/rpc/h2.c:5", self.findings("src/rpc/h2.c", SPDX + f"f(void)\n{{\n{call};\n}}\n"))

    def test_names_that_only_end_like_a_banned_call_are_fine(self):
        text = SPDX + "f(void)\n{\nmy_malloc(1);\nops->malloc(1);\nops.free(1);\n}\n"
        self.assertEqual(self.findings("src/rpc/h2.c", text), "")

    def test_tests_do_not_sleep(self):
        self.assertIn("usleep", self.findings("tests/unit/rpc/test_x.c", SPDX + "usleep(1);\n"))

    def test_pure_layers_do_not_draw_or_log(self):
        for call in ("id128_random(&a, &b)", 'log_event(LOG_INFO, "a.b")', "clock_wall_ms()"):
            self.assertIn("pure layer", self.findings("src/state/lease.c", SPDX + f"{call};\n"))

    def test_a_reference_that_leads_nowhere_is_found(self):
        tree = {
            "docs/safety.md": "## 3. Cutting\n",
            "docs/experiments.md": "| E1 | kill |\n",
            "docs/adr/0002-memory.md": "# 2\n",
            "src/node/b.h": SPDX + "#ifndef INDABA_NODE_B_H\n"
                            "#define INDABA_NODE_B_H\n#endif\n",
        }
        good = "/* As node/b.h, ADR 2, safety.md 3 and <uv.h> say (E1). */\n"
        self.assertEqual(check("check_style.py", {**tree, "src/node/a.c": SPDX + good}), "")
        for bad in ("node/c.h", "c.md", "ADR 3", "safety.md, section 4", "(E2)"):
            found = check("check_style.py", {**tree, "src/node/a.c": SPDX + f"/* See {bad}. */\n"})
            self.assertIn("src/node/a.c:3", found, bad)

    def test_a_range_of_command_kinds_is_found(self):
        text = SPDX + "x = kind >= COMMAND_MEMBER_ADD && kind <= COMMAND_CLUSTER_SET;\n"
        self.assertIn("src/node/a.c:3: a range", self.findings("src/node/a.c", text))
        text = SPDX + "x = kind > COMMAND_NONE && kind < COMMAND_KIND_COUNT;\n"
        self.assertEqual(self.findings("src/node/a.c", text), "")

    def test_leftovers_are_found(self):
        word = "TO" + "DO"
        self.assertIn("leftover", self.findings("src/rpc/h2.c", SPDX + f"/* {word}: later */\n"))

    def test_functions_that_do_not_fit_a_screen_are_found(self):
        body = "    x++;\n"
        self.assertEqual(self.findings("src/rpc/a.c", SPDX + "f(void)\n{\n" + body * 70 + "}\n"), "")
        long = self.findings("src/rpc/a.c", SPDX + "f(void)\n{\n" + body * 71 + "}\n")
        self.assertIn("71 lines", long)

    def test_files_say_their_licence_and_purpose(self):
        self.assertIn("SPDX", self.findings("src/rpc/a.c", "/* What it is for. */\n"))
        no_purpose = "/* SPDX-License-Identifier: Apache-2.0 */\n#include <stdio.h>\n"
        self.assertIn("what the file is for", self.findings("src/rpc/a.c", no_purpose))

    def test_include_guards_follow_the_path(self):
        good = SPDX + "#ifndef INDABA_RPC_A_H\n#define INDABA_RPC_A_H\n#endif\n"
        self.assertEqual(self.findings("src/rpc/a.h", good), "")
        self.assertIn("guard", self.findings("src/rpc/a.h", good.replace("RPC_A", "A")))


class Runner(unittest.TestCase):
    def run_scripts(self, scripts, *options):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
            paths = []
            for name, text in scripts.items():
                paths.append(os.path.join(root, name))
                with open(paths[-1], "w", encoding="utf-8") as file:
                    file.write(text)
            command = ["/usr/bin/python3", os.path.join(ROOT, "tools", "run_tests.py")]
            command += ["--logs", os.path.join(root, "logs"), *options, *paths]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout.splitlines()

    def test_the_last_line_sums_up(self):
        scripts = {"a.sh": 'echo "3 passed, 0 failed"\n', "b.sh": "true\n"}
        code, lines = self.run_scripts(scripts)
        self.assertEqual((code, lines[-1]), (0, "4 passed, 0 failed"))

    def test_a_failure_is_counted_and_shown(self):
        code, lines = self.run_scripts({"a.sh": "echo oh no\nexit 3\n", "b.sh": "true\n"})
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertTrue(any("oh no" in line for line in lines))
        self.assertTrue(any("exit code 3" in line for line in lines))

    def test_cmocka_reports_are_counted_also_when_the_program_crashes(self):
        text = "echo '[  PASSED  ] 2 test(s).'\nkill -SEGV $$\n"
        code, lines = self.run_scripts({"a.sh": text})
        self.assertEqual((code, lines[-1]), (1, "2 passed, 1 failed"))

    def test_what_takes_too_long_is_ended_with_all_its_processes(self):
        marker = "600." + str(os.getpid())
        text = f"setsid sleep {marker} &\nsleep {marker}\n"
        code, lines = self.run_scripts({"a.sh": text}, "--timeout", "1")
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed"))
        processes = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True)
        self.assertNotIn(marker, processes.stdout)

    def test_skipped_is_neither_passed_nor_failed(self):
        code, lines = self.run_scripts({"a.sh": "exit 77\n"})
        self.assertEqual((code, lines[-1]), (0, "0 passed, 0 failed"))
        self.assertIn("1 skipped", lines)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)
