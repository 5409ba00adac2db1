#!/bin/bash
# Writes the make file given as $1: where the libraries are. Installs missing packages first
# (tools/deps.sh does nothing when all are there).
set -euo pipefail
out=$1
cd "$(dirname "$0")/../.."
tools/deps.sh

packages=(libuv openssl lmdb libnghttp2 libpq libxxhash libcyaml jansson libprotobuf-c)
# -isystem: warnings in headers of others are not ours.
cflags=$(pkg-config --cflags "${packages[@]}" | sed 's/-I/-isystem /g')
libs=$(pkg-config --libs "${packages[@]}")
mkdir -p "$(dirname "$out")"
cat > "$out.new" <<END
PKG_CFLAGS := $cflags
PKG_LIBS := $libs -lhttp_parser
CMOCKA_LIBS := $(pkg-config --libs cmocka)
PG_SERVER_INCLUDE := $(/usr/lib/postgresql/15/bin/pg_config --includedir-server)
END
mv "$out.new" "$out"
