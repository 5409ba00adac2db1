# SPDX-License-Identifier: Apache-2.0
"""What each process of a world is started with, so that a nemesis can get at it while it runs: a wall clock
that can be wrong, a disk that can be slow or fail, failpoints if the binary has some, a log that goes
through a pipe, a limit of memory, a clock since boot of its own. What a host lacks says why."""
import errno
import fcntl
import mmap
import os
import struct
import subprocess
import termios
import threading
import time

import armed
import hosts
import members
import world

PRELOAD = os.path.join(hosts.ROOT, os.environ.get("B", "build"), "tests", "preload")
DISK = os.environ.get("DISK_FAULTS") or os.path.join(PRELOAD, "disk_faults.so")
CLOCK = os.environ.get("CLOCK_SKEW") or os.path.join(PRELOAD, "clock_skew.so")
SYNC_AS_ALWAYS, SYNC_FAILS, SYNC_WAITS, SYNC_LIES, SYNC_IS_SLOW = range(5)
WRITE_AS_ALWAYS, WRITE_FAILS, WRITE_HAS_NO_SPACE = range(3)
MEMORY = "/sys/fs/cgroup/memory"  # of the first kind, else the unified one
UNIFIED = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
PIPE_BYTES = 4096
PRODUCT = os.path.join(hosts.ROOT, os.environ.get("B", "build"), "indaba")


class Control:
    """A file that a preloaded library looks at."""

    def __init__(self, path, size):
        self.path = path
        with open(path, "w+b") as file:
            file.write(bytes(size))
            file.flush()
            self.bytes = mmap.mmap(file.fileno(), size)
        os.chmod(path, 0o666)  # the database's user maps it, too


class Pipe:
    """What a process says is read by us; `still`: by nobody."""

    def __init__(self):
        self.going = threading.Event()
        self.going.set()

    @staticmethod
    def small(descriptor):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @staticmethod
    def waiting(descriptor):
        """Bytes that nobody has read."""
        return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]


class Geared(armed.Armed):
    """Put before a kind of member or instance."""

    def __init__(self, earth, number):
        super().__init__(earth, number)
        self.disk_control = Control(self.config + ".disk", 6)
        self.clock_control = Control(self.config + ".clock", 32)
        self.pipe = Pipe()

    def environment(self):
        libraries = [path for path in (DISK, CLOCK) if os.path.exists(path)]
        return {**super().environment(), "LD_PRELOAD": ":".join(libraries),
                "DISK_FAULTS_CONTROL": self.disk_control.path, "DISK_FAULTS_PATH": self.dir + "/",
                "CLOCK_SKEW_CONTROL": self.clock_control.path}

    # --- its disk

    def disk_does(self, sync=SYNC_AS_ALWAYS, write=WRITE_AS_ALWAYS, slow_ms=0):
        control = self.disk_control.bytes
        control[4:6] = struct.pack("<H", slow_ms)
        control[1], control[0] = write, sync

    def disk_met(self):
        """Syncs and writes that met a fault, modulo 256."""
        return self.disk_control.bytes[2] + self.disk_control.bytes[3]

    # --- its clock

    def clock_is(self, offset_s=0.0, ppm=0):
        struct.pack_into("<qqq", self.clock_control.bytes, 0, int(offset_s * 1e9), ppm, time.time_ns())

    def clock_told(self):
        return struct.unpack_from("<Q", self.clock_control.bytes, 24)[0]

    # --- its log

    def before_line(self):
        self.pipe.going.wait()


class GearedMember(Geared, world.WatchedMember):
    def start(self):
        super().start()
        self.pipe.small(self.process.stdout.fileno())

    def unread(self):
        return self.pipe.waiting(self.process.stdout.fileno())


class GearedInstance(Geared, world.Instance):
    """Its log goes through a pipe, as a journal's does."""

    def __init__(self, earth, number):
        super().__init__(earth, number)
        self.end = -1

    def start(self):
        end, theirs = os.pipe()
        self.pipe.small(end)
        self.process = self.start_writing_to(theirs)
        os.close(theirs)
        self.end = end
        threading.Thread(target=self.follow, args=(end,), daemon=True).start()

    def follow(self, end):
        with open(end, "rb", buffering=0) as pipe, open(self.log, "ab", buffering=0) as log:
            while True:
                self.before_line()
                some = pipe.read(512)
                if not some:
                    return
                log.write(some)

    def unread(self):
        return self.pipe.waiting(self.end)


# --- memory ---------------------------------------------------------------------------------------


class Memory:
    """A control group for what one member or instance runs."""

    def __init__(self, name):
        self.first = os.path.isdir(MEMORY) and os.access(MEMORY, os.W_OK)
        top = MEMORY if self.first else next(
            (path for path in UNIFIED if "memory" in read(path + "/cgroup.subtree_control").split()),
            None)
        if not top:
            raise hosts.Missing("limits of memory need a control group for it that we may write to")
        self.path = os.path.join(top, name)
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise hosts.Missing(f"limits of memory: {self.path}: {error.strerror}") from error

    def launcher(self):
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh"]

    def in_use(self):
        """What cannot be given back: not the files' pages."""
        names = ("total_rss", "total_shmem") if self.first else ("anon", "shmem")
        numbers = dict(line.split() for line in read(self.path + "/memory.stat").splitlines())
        return sum(int(numbers.get(name, 0)) for name in names)

    def limit(self, count):
        name = "memory.limit_in_bytes" if self.first else "memory.max"
        text = str(count) if count else "-1" if self.first else "max"
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text)

    def press(self, count):
        """A limit of as little as can be from `count` on: what it is."""
        while True:
            try:
                self.limit(count)
                return count
            except OSError as error:  # the kernel's own pages for it cannot be given back
                if error.errno != errno.EBUSY or count > 1 << 32:
                    raise
                count += 1 << 19

    def pressed(self):
        """How often it met its limit."""
        if self.first:
            return int(read(self.path + "/memory.failcnt") or 0)
        events = dict(line.split() for line in read(self.path + "/memory.events").splitlines())
        return int(events.get("max", 0))

    def remove(self):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.1)


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


# --- clocks since boot ----------------------------------------------------------------------------


class Origin:
    """A time namespace in which the clocks that only run began earlier."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.holder = subprocess.Popen(
            ["unshare", "--time", "--monotonic", str(seconds), "--boottime", str(seconds), "--fork",
             "--kill-child", "sh", "-c", "echo ready; exec sleep infinity"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline().strip() != "ready":
            why = self.holder.stderr.read().strip()
            self.holder.wait(10)
            raise hosts.Missing(f"clocks since boot of their own: {why}")
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        self.inside = read(children).split()[0]

    def launcher(self):
        return ["nsenter", f"--time=/proc/{self.inside}/ns/time"]

    def stop(self):
        self.holder.kill()
        self.holder.wait(10)


def lacking(kinds):
    """{what this host or this build has not: why} of what these nemeses need."""
    needs = {need for kind in kinds for need in kind.needs}
    lacks = {}
    for need, path in (("clock", CLOCK), ("io", DISK)):
        if need in needs and not os.path.exists(path):
            lacks[need] = f"make {path}"
    if "failpoints" in needs and not os.path.exists(armed.BINARY):
        lacks["failpoints"] = "make build/failpoints/indaba"
    elif "failpoints" in needs and os.path.realpath(members.INDABA) not in (
            os.path.realpath(PRODUCT), os.path.realpath(armed.BINARY)):
        lacks["failpoints"] = "INDABA names a binary without any"
    for need, attempt in (("memory", lambda: Memory(f"indaba-jepsen-{os.getpid()}").remove()),
                          ("origins", lambda: Origin(1000).stop())):
        if need in needs:
            try:
                attempt()
            except (hosts.Missing, OSError, IndexError) as error:
                lacks[need] = str(error)
    return lacks


class GearedWorld(hosts.HostedWorld):
    """Each member and each database with all that `needs` names."""

    member_type, instance_type = GearedMember, GearedInstance

    def __init__(self, shape, mode, fabric, distance, disks, needs):
        super().__init__(shape, mode, fabric, distance, disks)
        self.origins, self.memories = {}, {}
        for number, one in enumerate(self.members + self.instances):
            if "memory" in needs:
                self.memories[one] = Memory(f"{os.path.basename(self.dir)}-{one.name}")
                one.launcher = self.memories[one].launcher() + one.launcher
            if "origins" in needs:
                self.set_origin(one, 1000 * (number + 1) ** 3)
        if "failpoints" in needs:
            members.INDABA = armed.BINARY

    def set_origin(self, one, seconds):
        """From its next start on: its clocks since boot say so much more than ours."""
        if one in self.origins:
            self.origins[one].stop()
            one.launcher = one.launcher[2:]
        self.origins[one] = Origin(seconds)
        one.launcher = self.origins[one].launcher() + one.launcher

    def stop(self, failed):
        for one in self.members + self.instances:
            one.pipe.going.set()
        super().stop(failed)
        for origin in self.origins.values():
            origin.stop()
        for memory in self.memories.values():
            memory.remove()
