#!/bin/bash
# Placeholder until the package list is in: checks only that the compiler is there.
set -euo pipefail
command -v gcc >/dev/null
