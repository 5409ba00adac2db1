#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A key-value server for tests: as little of a database as an engine can be asked to keep in one place.
Keys are in memory, made of one log of lines; a standby receives the log of its upstream, byte by byte.

    keyvalue_server.py FOLDER HOST PORT START

It starts as a standby, always; the file START says of whom and under which name: "HOST:PORT ID NAME",
or "- 0 NAME". FOLDER holds
  identity   one number for all copies of this database
  history    a line for each promotion: timeline, the one before, where that was left
  log        the lines; an offset is a position

One line asks, one line answers:
  PING                     PONG
  INFO                     key=value …
  SET KEY VALUE            OK (durable here) or READONLY
  GET KEY                  OK VALUE or NONE
  CUT                      OK: nothing is received any more
  FOLLOW HOST PORT ID      OK
  PROMOTE TIMELINE         OK
  COPY                     OK IDENTITY HISTORY-BYTES LOG-BYTES, then both
  STREAM NAME IDENTITY TIMELINE OFFSET
                           OK HISTORY-BYTES, then the history, then the log from there on, for ever;
                           the other side says how much it holds, a number a line
It ends on SIGTERM."""
import contextlib
import os
import signal
import socket
import sys
import threading
import time

SILENCE_S = 1.0


class Server:
    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.changed = threading.Condition()
        self.writable = False
        self.receiver = None
        self.upstream = None
        self.heard = 0.0
        self.standbys = {}
        self.keys = {}
        with open(os.path.join(folder, "identity"), encoding="ascii") as file:
            self.identity = file.read().strip()
        with open(os.path.join(folder, "history"), encoding="ascii") as file:
            self.history = file.read()
        self.log = open(os.path.join(folder, "log"), "r+b", buffering=0)
        whole = self.log.read()
        self.end = whole.rfind(b"\n") + 1  # a torn line was never acknowledged
        self.log.truncate(self.end)
        self.log.seek(self.end)
        self.apply(whole[:self.end])

    def timelines(self):
        """Of each: (it, the one before it, where that was left)."""
        return [tuple(int(word) for word in line.split()) for line in self.history.splitlines()]

    def timeline(self):
        """Of what is held: a standby may know of promotions that it has not reached."""
        return [one for one in self.timelines() if one[2] <= self.end][-1]

    def can_be_followed_from(self, timeline, offset):
        known = self.timelines()
        for one, after in zip(known, known[1:] + [(0, 0, self.end)]):
            if one[0] == timeline:
                return offset <= after[2]
        return False

    def apply(self, data):
        for line in data.decode().splitlines():
            key, value = line.split(" ", 1)
            self.keys[key] = value

    def append(self, data):
        """Durable when it returns; under the lock."""
        self.log.write(data)
        os.fdatasync(self.log.fileno())
        self.end += len(data)
        self.apply(data)
        self.changed.notify_all()

    def keep_history(self, text):
        path = os.path.join(self.folder, "history")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".new", path)
        self.history = text

    # --- asked ------------------------------------------------------------------------------------
    def info(self):
        timeline, parent, left = self.timeline()
        streaming = self.receiver is not None and self.heard > 0
        silence = int(1000 * (time.monotonic() - self.heard)) if streaming else 0
        standbys = ",".join(f"{name}:{held}" for name, held in sorted(self.standbys.items()))
        upstream = "{}:{} of={}".format(*self.upstream) if self.upstream else "- of=0"
        return (f"identity={self.identity} writable={int(self.writable)} timeline={timeline} "
                f"parent={parent} left={left} end={self.end} upstream={upstream} "
                f"receiving={int(self.receiver is not None)} streaming={int(streaming)} "
                f"silence_ms={silence} standbys={standbys or '-'}")

    def cut(self):
        with self.changed:
            self.upstream = None
            if self.receiver:
                with contextlib.suppress(OSError):
                    self.receiver.shutdown(socket.SHUT_RDWR)
            self.changed.wait_for(lambda: self.receiver is None)
        return "OK"

    def follow(self, host, port, instance):
        if self.writable:
            return "WRITABLE"
        self.cut()
        with self.changed:
            self.upstream = (host, int(port), int(instance))
        return "OK"

    def promote(self, timeline):
        with self.changed:
            if self.upstream or self.receiver:
                return "FOLLOWS"
            self.keep_history(f"{self.history}{timeline} {self.timeline()[0]} {self.end}\n")
            self.writable = True
        return "OK"

    def set(self, key, value):
        with self.changed:
            if not self.writable:
                return "READONLY"
            self.append(f"{key} {value}\n".encode())
        return "OK"

    # --- between servers --------------------------------------------------------------------------
    def copy(self, peer):
        with self.changed:
            history = self.history.encode()
            with open(os.path.join(self.folder, "log"), "rb") as file:
                log = file.read(self.end)
        peer.sendall(f"OK {self.identity} {len(history)} {len(log)}\n".encode() + history + log)

    def stream(self, peer, name, identity, timeline, offset):
        if (identity != self.identity or not self.writable or
                not self.can_be_followed_from(timeline, offset)):
            peer.sendall(b"NO\n")
            return
        history = self.history.encode()
        peer.sendall(f"OK {len(history)}\n".encode() + history)
        threading.Thread(target=self.hear, args=(peer, name), daemon=True).start()
        with open(os.path.join(self.folder, "log"), "rb") as file:
            file.seek(offset)
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.end > offset, SILENCE_S / 4)
                    data = file.read(self.end - offset)
                offset += len(data)
                peer.sendall(data or b"\n")  # an empty line says that all is well

    def hear(self, peer, name):
        with peer.makefile("r") as lines:
            for line in lines:
                self.standbys[name] = int(line)
        self.standbys.pop(name, None)

    def receive(self):
        """Follows whoever is to be followed, again and again."""
        while True:
            time.sleep(0.05)
            with self.changed:
                if not self.upstream:
                    continue
                target, self.receiver, self.heard = self.upstream, socket.socket(), 0.0
            try:
                self.receive_from(self.receiver, target)
            except (OSError, ValueError):
                pass
            with self.changed:
                self.receiver.close()
                self.receiver = None
                self.changed.notify_all()

    def receive_from(self, peer, target):
        peer.settimeout(SILENCE_S)
        peer.connect(target[:2])
        peer.sendall(f"STREAM {self.name} {self.identity} {self.timeline()[0]} {self.end}\n".encode())
        lines = peer.makefile("rb")
        words = lines.readline().split()
        if words[:1] != [b"OK"]:
            return
        history = lines.read(int(words[1])).decode()
        with self.changed:
            if history != self.history:
                self.keep_history(history)
        peer.sendall(f"{self.end}\n".encode())
        while True:
            line = lines.readline()
            if not line.endswith(b"\n"):
                return
            with self.changed:
                if self.upstream != target:
                    return
                self.heard = time.monotonic()
                if line != b"\n":
                    self.append(line)
            peer.sendall(f"{self.end}\n".encode())

    def serve(self, peer):
        with contextlib.suppress(OSError, ValueError), peer:
            for line in peer.makefile("r"):
                words = line.split()
                if words[:1] == ["COPY"]:
                    self.copy(peer)
                    return
                if words[:1] == ["STREAM"]:
                    self.stream(peer, words[1], words[2], int(words[3]), int(words[4]))
                    return
                peer.sendall((self.answer(words) + "\n").encode())

    def answer(self, words):
        if words == ["PING"]:
            return "PONG"
        if words == ["INFO"]:
            return self.info()
        if words == ["CUT"]:
            return self.cut()
        if words[:1] == ["FOLLOW"] and len(words) == 4:
            return self.follow(*words[1:])
        if words[:1] == ["PROMOTE"] and len(words) == 2:
            return self.promote(words[1])
        if words[:1] == ["SET"] and len(words) == 3:
            return self.set(*words[1:])
        if words[:1] == ["GET"] and len(words) == 2:
            return f"OK {self.keys[words[1]]}" if words[1] in self.keys else "NONE"
        return "WHAT"


def main():
    folder, host, port, start = sys.argv[1:]
    os.chdir(folder)
    with open(start, encoding="ascii") as file:
        upstream, instance, name = file.read().split()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = Server(folder, name)
    if upstream != "-":
        address = upstream.rsplit(":", 1)
        server.upstream = (address[0], int(address[1]), int(instance))
    threading.Thread(target=server.receive, daemon=True).start()
    with socket.create_server((host, int(port)), reuse_port=False, backlog=64) as listener:
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=server.serve, args=(peer,), daemon=True).start()


if __name__ == "__main__":
    main()
