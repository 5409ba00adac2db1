# SPDX-License-Identifier: Apache-2.0
"""A member's peer port, spoken to by hand: TLS with any certificate of the cluster's authority, a
handshake with any name and id, and whatever message of Raft a test wants."""
import contextlib
import os
import random
import socket
import ssl
import struct
import threading

import members_grpc

HANDSHAKE, RAFT, ASK = 1, 2, 5
REQUEST_VOTE, APPEND, HEARTBEAT, INSTALL_SNAPSHOT = 1, 3, 5, 7
COMMAND_ENTRY, REGION_PUT = 2, 2


def load(folder):
    """Name -> class of every message of indaba.internal."""
    files = ["indaba/internal/peer.proto", "indaba/internal/command.proto"]
    return {name.split(".")[-1]: message
            for name, message in members_grpc.load_pool(folder, files).items()}


def halves(text):
    return int(text[:16], 16), int(text[16:], 16)


class Stranger:
    """Dials members as `name` with the id `ident`, and listens at an address of its own, where it
    takes what is dialled to it and says that it is itself."""

    def __init__(self, cluster, messages, name, ident=None, port=0):
        self.cluster = cluster
        self.messages = messages
        self.name = name
        self.id = ident or f"{random.getrandbits(128) | 1:032x}"
        self.incarnation = random.getrandbits(63) | 1
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _context(self, purpose):
        context = ssl.SSLContext(purpose)
        context.check_hostname = False
        context.load_verify_locations(os.path.join(self.cluster.certs, "ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(os.path.join(self.cluster.certs, self.name + ".pem"),
                                os.path.join(self.cluster.certs, self.name + ".key"))
        context.set_alpn_protocols(["indaba-peer/1"])
        return context

    def handshake(self, lane):
        cluster, ident = halves(self.cluster.id), halves(self.id)
        return self.messages["Handshake"](
            protocol_version=1, process_incarnation=self.incarnation, lane=lane, name=self.name,
            peer_address=f"127.0.0.1:{self.port}", command_level=1, cluster_hi=cluster[0],
            cluster_lo=cluster[1], member_hi=ident[0], member_lo=ident[1])

    def _serve(self):
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(context, plain), daemon=True).start()

    def _answer(self, context, plain):
        with contextlib.suppress(OSError, ssl.SSLError), \
                context.wrap_socket(plain, server_side=True) as stream:
            write(stream, HANDSHAKE, self.handshake(1))
            while stream.recv(4096):
                pass

    def dial(self, member, lane=1):
        """A connection whose handshake was answered: (stream, the member's handshake)."""
        stream = self.connect(member)
        write(stream, HANDSHAKE, self.handshake(lane))
        said = self.messages["Handshake"]()
        said.ParseFromString(read(stream)[1])
        return stream, said

    def connect(self, member):
        plain = socket.create_connection(("127.0.0.1", member.peer), timeout=5)
        return self._context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(plain)

    def message(self, member, kind, term, **body):
        me, you = halves(self.id), halves(member.id)
        return self.messages["RaftMessage"](type=kind, term=term, from_hi=me[0], from_lo=me[1],
                                            to_hi=you[0], to_lo=you[1], **body)

    def say(self, member, lane, *messages):
        """Dials, and says it all whatever the answer is. The refusal; "" if there was none."""
        with contextlib.suppress(OSError, ssl.SSLError):
            stream, said = self.dial(member, lane)
            with stream:
                for message in messages:
                    write(stream, RAFT, message)
                stream.settimeout(1)
                with contextlib.suppress(OSError):
                    stream.recv(1)  # until it is read, or the connection ends
            return said.refusal
        return "the connection ended"

    def stop(self):
        self.listener.close()


def write(stream, kind, message):
    payload = message.SerializeToString()
    stream.sendall(struct.pack("<IB", len(payload), kind) + payload)


def read(stream):
    """(type, payload) of the next frame."""
    def exactly(count):
        data = b""
        while len(data) < count:
            more = stream.recv(count - len(data))
            if not more:
                raise OSError("the connection ended")
            data += more
        return data

    length, kind = struct.unpack("<IB", exactly(5))
    return kind, exactly(length)
