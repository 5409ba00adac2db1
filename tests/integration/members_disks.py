# SPDX-License-Identifier: Apache-2.0
"""Members with a disk of their own: an ext4 file system in a file, mounted through a loop device,
which can lose its power. A cut is the file system's own shutdown without a flush of its journal:
what was not synced is gone when it is mounted again, as nothing of the page cache reaches the file.
A kill loses none of that, since the page cache outlives the process.

Needs root and a loop device. A test says enter_namespace() first: what it mounts is then its own and
goes with it, however it ends."""
import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import sys

import members

EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_WITHOUT_LOG_FLUSH = 2
MEBIBYTE = 1 << 20
SKIPPED = 77
ENTERED = "INDABA_TEST_NAMESPACE"


def enter_namespace():
    """Starts this script again in a mount namespace of its own; skips the test where none may be
    made."""
    if os.environ.get(ENTERED):
        return
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        print("skipped: disks of their own need root and loop devices")
        sys.exit(SKIPPED)
    os.environ[ENTERED] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                          os.path.abspath(sys.argv[0]), *sys.argv[1:]])


class Disk:
    def __init__(self, path, mebibytes):
        self.image = path + ".img"
        self.mount_point = path
        os.makedirs(path)
        with open(self.image, "wb") as image:
            image.truncate(mebibytes * MEBIBYTE)
        self.command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0",
                     self.image)
        self.mount()

    def mount(self):
        self.command("mount", "-o", "loop", self.image, self.mount_point)

    def unmount(self):
        self.command("umount", self.mount_point)

    def cut(self):
        """The power is gone, from one moment to the next. Files that are open fail from now on."""
        folder = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_WITHOUT_LOG_FLUSH))
        finally:
            os.close(folder)

    def power_on(self):
        """After a cut, once nobody has a file open."""
        self.unmount()
        self.mount()

    def free_bytes(self):
        status = os.statvfs(self.mount_point)
        return status.f_bavail * status.f_frsize

    def fill(self, leave_bytes):
        """Takes all space but so much, in a file beside the member's folder."""
        size = self.free_bytes() - leave_bytes
        with open(os.path.join(self.mount_point, "filler"), "ab") as filler:
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.fallocate64(filler.fileno(), 0, ctypes.c_int64(filler.tell()),
                                      ctypes.c_int64(max(size, 1)))
            assert failed == 0, os.strerror(ctypes.get_errno())

    def empty(self):
        os.unlink(os.path.join(self.mount_point, "filler"))

    @staticmethod
    def command(*words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


@contextlib.contextmanager
def cluster(count=3, mebibytes=600, kind=members.Cluster):
    """As members.cluster, each member on a disk of its own, member.disk."""
    made = kind(count)
    failed = True
    try:
        for member in made.members:
            member.disk = Disk(os.path.join(made.dir, f"disk-{member.name}"), mebibytes)
            member.dir = os.path.join(member.disk.mount_point, "data")
        made.prepare()
        made.start()
        yield made
        failed = False
    finally:
        for member in made.members:
            if member.alive:
                member.kill()
        if failed:
            keep_logs(made)
        for member in made.members:
            with contextlib.suppress(AssertionError):
                member.disk.unmount()
        made.stop(failed)


def keep_logs(made):
    folder = os.environ.get("KEEP_LOGS")
    for member in made.members if folder else []:
        with contextlib.suppress(OSError):
            shutil.copy(member.log, folder)
