#!/bin/bash
# Refuses archives of pure layers that hold data which changes: anything in .data or .bss but marks.
set -euo pipefail

failed=0
for archive in "$@"; do
    found=$(objdump -t "$archive" |
        awk '/file format/ { object = $1 }
             ($4 ~ /^\.(data|bss|tdata|tbss)/ && $4 !~ /^\.data\.rel\.ro/ || $3 ~ /^\.(data|bss)/) &&
             $NF !~ /^\./ && $NF !~ /^mark_\.[0-9]+$/ { print object " " $NF }')
    if [[ -n $found ]]; then
        echo "$archive: mutable static data in a pure layer:" >&2
        echo "$found" >&2
        failed=1
    fi
done
exit $failed
