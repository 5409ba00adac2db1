#!/usr/bin/env python3
"""Placeholder runner: each program in turn."""
import subprocess
import sys

programs = sys.argv[3:]
failed = [p for p in programs if subprocess.run([p], check=False).returncode != 0]
print(f"{len(programs) - len(failed)} passed, {len(failed)} failed")
for program in failed:
    print("failed:", program)
sys.exit(1 if failed else 0)
