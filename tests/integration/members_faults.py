# SPDX-License-Identifier: Apache-2.0
"""Members whose disk does what a test says: a library that is preloaded (tests/preload) stands between
them and the C library."""
import mmap
import os

import members

PRELOADED = os.environ.get("DISK_FAULTS", os.path.join(members.ROOT, "build", "tests", "preload",
                                                       "disk_faults.so"))
SYNC, WRITE, SYNCS_MET, WRITES_MET = range(4)
AS_ALWAYS, FAILS, WAITS, LIES = range(4)


class Faulty:
    """Put before a kind of member: its disk does what `fault` says, byte by byte (disk_faults.c)."""

    def __init__(self, cluster, number):
        super().__init__(cluster, number)
        self.control = os.path.join(cluster.dir, self.name + ".fault")
        with open(self.control, "w+b") as file:
            file.write(bytes(4))
            file.flush()
            self.fault = mmap.mmap(file.fileno(), 4)

    def environment(self):
        return dict(super().environment(), LD_PRELOAD=PRELOADED, DISK_FAULTS_CONTROL=self.control,
                    DISK_FAULTS_PATH=self.dir + "/")
