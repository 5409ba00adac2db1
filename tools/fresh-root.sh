#!/bin/bash
# Proves that a machine with nothing on it can build and run this: makes a bare Debian 12 in FOLDER,
# clones the committed tree into it, and runs `make TARGETS` there. Needs root and debootstrap.
#
#   tools/fresh-root.sh [--user] FOLDER [TARGET ...]
#
# --user runs as an ordinary user who may sudo, else as root. FOLDER is made when it is not there
# (about 5 minutes with the packages) and used again when it is; remove it with rm -rf. All that runs
# inside has mounts and processes of its own, which end with this script.
set -euo pipefail

if ((EUID != 0)); then
    echo "fresh-root: needs root" >&2
    exit 1
fi
if [[ ${FRESH_ROOT_INSIDE:-} != 1 ]]; then
    export FRESH_ROOT_INSIDE=1
    exec unshare --mount --propagation private --pid --fork --kill-child -- "$0" "$@"
fi

account=root
if [[ ${1:-} == --user ]]; then
    account=tester
    shift
fi
if (($# < 1)); then
    echo "usage: tools/fresh-root.sh [--user] FOLDER [TARGET ...]" >&2
    exit 1
fi
root=$(realpath -m "$1")
shift
source_tree=$(realpath "$(dirname "$0")/..")

make_root() {
    local mirror
    mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
        grep -oE '^[^#]*(https?:[^ ]+/debian)/?( |$)' | grep -oE 'https?:[^ ]+' | head -1) || true
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" \
        "${mirror:-http://deb.debian.org/debian}"
    # The archive is reached as this machine reaches it.
    rm -f "$root/etc/apt/sources.list"
    cp -a /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/trusted.gpg.d "$root/etc/apt/"
    if [[ -f /etc/apt/sources.list ]]; then
        cp -a /etc/apt/sources.list "$root/etc/apt/"
    fi
    cp -a /usr/share/keyrings/. "$root/usr/share/keyrings/"
    cp -a /usr/local/share/ca-certificates "$root/usr/local/share/" 2>/dev/null || true
    cp -L /etc/hosts "$root/etc/hosts"
    # Nothing that a package brings is started by it.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    touch "$root/.made"
}

mount_all() {
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
}

inside() {
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@" </dev/null
}

if [[ ! -e $root/.made ]]; then
    make_root
fi
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
mount_all

# What the README asks for, and no more; sudo stands for the ordinary machine of a user.
inside apt-get -qq update
inside apt-get -qq install -y --no-install-recommends make git >/dev/null
home=/root
if [[ $account != root ]]; then
    inside apt-get -qq install -y --no-install-recommends sudo >/dev/null
    inside id "$account" >/dev/null 2>&1 || inside useradd --create-home --shell /bin/bash "$account"
    echo "$account ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$account"
    home=/home/$account
fi

rm -rf "${root:?}$home/indaba"
git clone --quiet "file://$source_tree" "$root$home/indaba"
inside chown -R "$account:$account" "$home/indaba"
echo "fresh-root: as $account: make $*"
inside su - "$account" -c "cd indaba && make $*"
