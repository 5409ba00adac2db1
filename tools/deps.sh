#!/bin/bash
# Installs the Debian packages that a build, the tests and the demo need, and nothing that is there
# already: when all are, it costs one dpkg-query. With --lint also those of `make lint`,
# with --bench those of `make bench`, with --compare those of `make jepsen-compare`.
# INDABA_NO_DEPS=1 skips it, for packagers and for systems without apt.
set -euo pipefail

build_packages=(
    gcc make pkg-config libc6-dev
    libuv1-dev libssl-dev liblmdb-dev libnghttp2-dev libpq-dev libxxhash-dev libhttp-parser-dev
    libcyaml-dev libyaml-dev libjansson-dev uthash-dev libcmocka-dev
    libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev
    postgresql-common postgresql-15 postgresql-server-dev-15
    python3 etcd-client python3-etcd3 python3-grpcio python3-protobuf openssl curl procps
    e2fsprogs mount util-linux
)
lint_packages=(
    clang clang-format clang-tidy cppcheck shellcheck codespell libclang-rt-14-dev git
)
compare_packages=(
    libz3-4
)
bench_packages=(
    etcd-client nghttp2-client python3-grpcio
)

main() {
    local wanted=("${build_packages[@]}") missing=()
    if [[ ${1:-} == --lint ]]; then
        wanted+=("${lint_packages[@]}")
    elif [[ ${1:-} == --bench ]]; then
        wanted+=("${bench_packages[@]}")
    elif [[ ${1:-} == --compare ]]; then
        wanted+=("${compare_packages[@]}")
    fi
    if [[ ${INDABA_NO_DEPS:-} == 1 ]]; then
        return
    fi
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "deps: this system has no apt; install what these Debian packages hold, then set" >&2
        echo "deps: INDABA_NO_DEPS=1: ${wanted[*]}" >&2
        exit 1
    fi
    mapfile -t missing < <(missing_of "${wanted[@]}")
    if ((${#missing[@]} == 0)); then
        return
    fi

    echo "deps: installing ${missing[*]}" >&2
    choose_root "${missing[@]}"
    # A source that has nothing to do with us may be unreachable; the installation tells.
    (apt_get update) || true
    if [[ " ${missing[*]} " == *" postgresql-15 "* ]]; then
        keep_postgres_from_starting
    fi
    mapfile -t missing < <(as_the_server_is "${missing[@]}")
    apt_get install "${missing[@]}"

    mapfile -t missing < <(missing_of "${wanted[@]}")
    if ((${#missing[@]} > 0)); then
        echo "deps: still missing after apt-get install: ${missing[*]}" >&2
        exit 1
    fi
}

missing_of() {
    local installed
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    local package
    for package in "$@"; do
        grep -qx "installed $package" <<<"$installed" || echo "$package"
    done
}

# Headers of a newer server would replace the one that is installed, and end what runs of it.
as_the_server_is() {
    local version package
    version=$(dpkg-query -W -f='${Version}' postgresql-15 2>/dev/null || true)
    for package in "$@"; do
        if [[ $package == postgresql-server-dev-15 && -n $version ]] &&
            apt-cache show "$package=$version" >/dev/null 2>&1; then
            package+="=$version"
        fi
        echo "$package"
    done
}

# as_root: the words that make a command run as root; empty when we are.
choose_root() {
    as_root=()
    if ((EUID == 0)); then
        return
    fi
    if command -v sudo >/dev/null; then
        if sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
            return
        fi
        if [[ -t 0 ]]; then
            as_root=(sudo)
            return
        fi
    fi
    echo "deps: not root, and sudo is not there or wants a password. As root, run:" >&2
    echo "deps:   apt-get install --no-install-recommends $*" >&2
    exit 1
}

apt_get() {
    local command=$1
    shift
    local options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    if [[ $command == install ]]; then
        options+=(-y --no-install-recommends)
    fi
    # stdin is not ours to read, and nobody answers questions.
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get "${options[@]}" "$command" "$@" </dev/null >&2; then
        echo "deps: apt-get $command failed (see above): is the package archive reachable?" >&2
        exit 1
    fi
}

# The package would make and start a server of its own on port 5432; we start ours.
keep_postgres_from_starting() {
    local conf=/etc/postgresql-common/createcluster.conf
    apt_get install postgresql-common
    if ! grep -qE '^[[:space:]]*create_main_cluster[[:space:]]*=[[:space:]]*false' "$conf"; then
        echo 'create_main_cluster = false' | "${as_root[@]}" tee -a "$conf" >/dev/null
    fi
}

main "$@"
