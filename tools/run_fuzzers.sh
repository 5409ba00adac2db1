#!/bin/bash
# Runs fuzzers that `make fuzz` has built, one after the other, and closes with "N passed, N failed".
#   run_fuzzers.sh BUILD-FOLDER SECONDS NAME...
# MERGE=1: instead of fuzzing, makes of tests/fuzz/corpus and of what was found a corpus that reaches as
# much and is as small as can be, of small inputs only.
set -uo pipefail

build=$1
seconds=$2
shift 2

passed=0
failed=0

# One corpus from git, one that grows in the build folder.
fuzz() {
    local name=$1 log=$build/$1.log
    mkdir -p "$build/corpus/$name" "$build/crashes" "tests/fuzz/corpus/$name"
    if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$build/crashes/$name-" "$build/corpus/$name" \
        "tests/fuzz/corpus/$name" 2>"$log"; then
        passed=$((passed + 1))
        echo "ok   fuzz $name: $(grep -oE 'number_of_executed_units: [0-9]+' "$log"), $(
            grep -oE 'cov: [0-9]+' "$log" | tail -1)"
    else
        failed=$((failed + 1))
        tail -40 "$log"
        echo "FAILED fuzz $name: the input is in $build/crashes"
    fi
}

# The smallest set of small inputs, of both corpora, that reaches all that they reach.
merge() {
    local name=$1 all=$build/merge/$1 kept=$build/merge/$1.kept folder input
    rm -rf "$all" "$kept"
    mkdir -p "$all" "$kept" "$build/corpus/$name" "tests/fuzz/corpus/$name"
    for folder in "tests/fuzz/corpus/$name" "$build/corpus/$name"; do
        find "$folder" -type f -size -2 -exec cp -t "$all" {} +
    done
    if ! "$build/tests/fuzz/fuzz_$name" -set_cover_merge=1 -use_counters=0 "$kept" "$all" \
        2>"$build/merge/$name.log"; then
        failed=$((failed + 1))
        tail -20 "$build/merge/$name.log"
        return
    fi
    find "tests/fuzz/corpus/$name" -type f -delete
    for input in "$kept"/*; do
        [[ -f $input ]] && cp "$input" "tests/fuzz/corpus/$name/$(basename "$input" | cut -c1-12)"
    done
    echo "$name: $(find "tests/fuzz/corpus/$name" -type f | wc -l) inputs"
}

for name in "$@"; do
    if [[ ${MERGE:-} == 1 ]]; then
        merge "$name"
    else
        fuzz "$name"
    fi
done
if [[ ${MERGE:-} != 1 ]]; then
    echo "$passed passed, $failed failed"
fi
((failed == 0))
