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
# The commit gate is compiled for one major version of the server.
headers=$("${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}" --includedir-server || true)
if [[ ! -f $headers/postgres.h || ! -f $headers/pg_config.h ]]; then
    echo "configure: src/gate needs the headers of PostgreSQL 15's server, and they are not in" \
        "'$headers'." >&2
    echo "configure: Debian has them in postgresql-server-dev-15 (make deps installs it);" \
        "elsewhere set PG_CONFIG to the pg_config of that server." >&2
    exit 1
fi
mkdir -p "$(dirname "$out")"
cat > "$out.new" <<END
PKG_CFLAGS := $cflags
PKG_LIBS := $libs -lhttp_parser
CMOCKA_LIBS := $(pkg-config --libs cmocka)
PG_SERVER_INCLUDE := $headers
END
mv "$out.new" "$out"
