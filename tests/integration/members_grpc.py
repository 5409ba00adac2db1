# SPDX-License-Identifier: Apache-2.0
"""Our API through a stock gRPC client (python3-grpcio), with messages made from our .proto files by
the stock compiler: a sidecar that says whatever a test wants, and raw calls."""
import os
import queue
import subprocess
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import members

PROTO = os.path.join(members.ROOT, "proto")


def load_pool(folder, files):
    """Full name -> class of every message that these files and their imports declare."""
    path = os.path.join(folder, "descriptors.bin")
    subprocess.run(["protoc", f"-I{PROTO}", "--include_imports", f"--descriptor_set_out={path}",
                    *files], check=True, timeout=30)
    with open(path, "rb") as file:
        declared = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in declared.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    names = [f"{file.package}.{one.name}" for file in declared.file for one in file.message_type]
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(name)) for name in names}


def load_messages(folder):
    """Name -> class of every message of indaba.v1."""
    files = ["cluster", "failovers", "ledger", "shards", "sidecars", "topology"]
    messages = load_pool(folder, [f"indaba/v1/{name}.proto" for name in files])
    return {name.split(".")[-1]: message for name, message in messages.items()}


def channel(cluster, member, identity):
    def read(name):
        with open(os.path.join(cluster.certs, name), "rb") as file:
            return file.read()

    credentials = grpc.ssl_channel_credentials(read("ca.pem"), read(identity + ".key"),
                                               read(identity + ".pem"))
    # The stock client waits 20 s before it dials a refused address again.
    # "min" is also how long an attempt to connect may take, handshake and all.
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50),
               ("grpc.min_reconnect_backoff_ms", 1000)]
    return grpc.secure_channel(f"{member.host}:{member.api}", credentials, options)


def call(messages, link, path, request, response, metadata=None):
    """One unary call with a deadline."""
    method = link.unary_unary(path, request_serializer=lambda message: message.SerializeToString(),
                              response_deserializer=messages[response].FromString)
    return method(request, timeout=10, metadata=metadata)


class Sidecar:
    """One session: says what it is told to say, keeps what it hears."""

    def __init__(self, cluster, messages, member, identity):
        self.messages = messages
        self.link = channel(cluster, member, identity)
        self.outgoing = queue.Queue()
        self.incoming = queue.Queue()
        self.error = None
        method = self.link.stream_stream(
            "/indaba.v1.Sidecars/Session",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages["CoordinatorMessage"].FromString)
        self.stream = method(iter(self.outgoing.get, None))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            for message in self.stream:
                self.incoming.put(message)
        except grpc.RpcError as error:
            self.error = error
        self.incoming.put(None)

    def say(self, **body):
        self.outgoing.put(self.messages["SidecarMessage"](**body))

    def hear(self, kind, timeout_s=10):
        """The next message of this kind; others are skipped."""
        while True:
            message = self.incoming.get(timeout=timeout_s)
            if message is None:
                raise AssertionError(f"the session ended before {kind}: {self.error}")
            if message.WhichOneof("body") == kind:
                return getattr(message, kind)

    def ended(self, timeout_s=10):
        """Waits for the end of the session; the error, or None."""
        while self.incoming.get(timeout=timeout_s) is not None:
            pass
        return self.error

    def close(self):
        self.outgoing.put(None)
        self.stream.cancel()
        self.link.close()
