#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Server reflection, asked by the stock gRPC client of Python: a client that has none of our .proto
files learns every service from the server, and calls one with what it learnt."""
import os
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "integration"))
import members  # noqa: E402
import members_grpc  # noqa: E402

VERSIONS = ("v1", "v1alpha")


class Reflection:
    """One stream of the reflection service; its own messages are the only ones known."""

    def __init__(self, link, version):
        self.package = f"grpc.reflection.{version}"
        with tempfile.TemporaryDirectory() as folder:
            self.messages = members_grpc.load_pool(
                folder, [f"grpc/reflection/{version}/reflection.proto"])
        self.ask_all = link.stream_stream(
            f"/{self.package}.ServerReflection/ServerReflectionInfo",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.messages[
                f"{self.package}.ServerReflectionResponse"].FromString)

    def ask(self, **question):
        request = self.messages[f"{self.package}.ServerReflectionRequest"](**question)
        answers = list(self.ask_all(iter([request]), timeout=10))
        assert len(answers) == 1 and answers[0].original_request == request, answers
        return answers[0]

    def services(self):
        answer = self.ask(list_services="*")
        return sorted(one.name for one in answer.list_services_response.service)

    def files(self, **question):
        answer = self.ask(**question)
        assert answer.HasField("file_descriptor_response"), answer
        return [descriptor_pb2.FileDescriptorProto.FromString(raw)
                for raw in answer.file_descriptor_response.file_descriptor_proto]


def each_reflection():
    """Of a member of its own, by both versions of the service."""
    with members.cluster(1) as cluster:
        cluster.wait_ready()
        with members_grpc.channel(cluster, cluster.members[0], "operator") as link:
            for version in VERSIONS:
                yield link, Reflection(link, version)


def pool_of(files):
    """Files come in any order: each is added once what it imports is there."""
    pool = descriptor_pool.DescriptorPool()
    known = set()
    while len(known) < len(files):
        before = len(known)
        for file in files:
            if file.name not in known and set(file.dependency) <= known:
                pool.Add(file)
                known.add(file.name)
        assert len(known) > before, f"imports are missing: {[file.name for file in files]}"
    return pool


def test_every_service_is_listed_and_described():
    for _, reflection in each_reflection():
        services = reflection.services()
        for expected in ("indaba.v1.Cluster", "indaba.v1.Sidecars", "grpc.health.v1.Health",
                         "grpc.reflection.v1.ServerReflection",
                         "grpc.reflection.v1alpha.ServerReflection"):
            assert expected in services, services
        for service in services:
            found = pool_of(reflection.files(file_containing_symbol=service)) \
                .FindServiceByName(service)
            assert found.methods, service


def test_a_client_without_our_files_calls_a_method_it_learnt():
    for link, reflection in each_reflection():
        pool = pool_of(reflection.files(file_containing_symbol="indaba.v1.Cluster.GetStatus"))
        method = pool.FindServiceByName("indaba.v1.Cluster").methods_by_name["GetStatus"]
        factory = message_factory.MessageFactory(pool)
        request = factory.GetPrototype(method.input_type)
        response = factory.GetPrototype(method.output_type)
        call = link.unary_unary("/indaba.v1.Cluster/GetStatus",
                                request_serializer=lambda message: message.SerializeToString(),
                                response_deserializer=response.FromString)
        assert call(request(), timeout=10).cluster_name == "test"


def test_files_are_found_by_name_and_by_nested_symbols():
    for _, reflection in each_reflection():
        by_name = reflection.files(file_by_filename="etcd/api/etcdserverpb/rpc.proto")
        for symbol in ("etcdserverpb.RangeRequest", "etcdserverpb.RangeRequest.SortOrder",
                       "etcdserverpb.KV.Range", "etcdserverpb.AlarmType",
                       "etcdserverpb.Compare.range_end"):
            assert reflection.files(file_containing_symbol=symbol)[0].name == by_name[0].name
        assert [file.name for file in by_name[1:]] == ["etcd/api/mvccpb/kv.proto"]


def test_what_is_not_declared_is_not_found():
    for _, reflection in each_reflection():
        for question in ({"file_containing_symbol": "indaba.v1.Nothing"},
                         {"file_containing_symbol": "indaba.v1"},
                         {"file_containing_symbol": ""},
                         {"file_by_filename": "nothing.proto"},
                         {"all_extension_numbers_of_type": "indaba.v1.Cluster"}):
            answer = reflection.ask(**question)
            assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0], answer


if __name__ == "__main__":
    members.run_tests([
        test_every_service_is_listed_and_described,
        test_a_client_without_our_files_calls_a_method_it_learnt,
        test_files_are_found_by_name_and_by_nested_symbols,
        test_what_is_not_declared_is_not_found,
    ])
