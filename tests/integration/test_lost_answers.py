#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The answers to what changes members never reach the operator: a command looks at the result before it
says that it failed."""
import concurrent.futures
import contextlib
import os
import re
import sys

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402

LOST = ("TransferLeadership", "ChangeMember", "AddMember")


class Keeper(grpc.GenericRpcHandler):
    """Between the operator and the leader: passes all on, and keeps the answers to what is LOST."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.links = {one.name: members_grpc.channel(cluster, one, "operator")
                      for one in cluster.members}
        self.kept = 0
        self.works = True

    def service(self, handler_call_details):
        path = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.pass_on(
            path, request, context))

    def pass_on(self, path, request, context):
        leader = self.cluster.leader()
        if leader is None or not self.works:
            context.abort(grpc.StatusCode.UNAVAILABLE, "nobody is there")
        try:
            answer = self.links[leader.name].unary_unary(path)(request, timeout=5)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        if path.rsplit("/", 1)[1] in LOST:
            self.kept += 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        return answer


class Place:
    """Where a keeper listens, as a member's."""

    def __init__(self, api):
        self.host, self.api = members.LOOPBACK, api


@contextlib.contextmanager
def keeper_of(cluster):
    def read(name):
        with open(os.path.join(cluster.certs, name), "rb") as file:
            return file.read()

    keeper = Keeper(cluster)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[keeper])
    credentials = grpc.ssl_server_credentials([(read("n1.key"), read("n1.pem"))], read("ca.pem"), True)
    place = Place(server.add_secure_port(f"{members.LOOPBACK}:0", credentials))
    server.start()
    try:
        yield keeper, place
    finally:
        server.stop(0).wait(5)


def expect_done(cluster, place, keeper, *words, said):
    kept = keeper.kept
    code, text, error = cluster.client(*words, "--timeout", "2000", member=place, check=False)
    assert keeper.kept > kept, (words, error)
    assert code == 0 and "the answer was lost, but it is done" in error, (words, code, text, error)
    assert re.search(said, text), (words, text)


def test_a_change_whose_answer_is_lost_is_looked_at_before_it_is_called_failed():
    with members.cluster(3) as cluster:
        leader = cluster.wait_ready()
        others = [one for one in cluster.members if one is not leader]
        with keeper_of(cluster) as (keeper, place):
            to = others[0]
            expect_done(cluster, place, keeper, "member", "transfer", to.name,
                        said=f"^{to.name} leads, after {leader.name}\n$")
            assert cluster.wait_ready() is to
            expect_done(cluster, place, keeper, "member", "transfer",
                        said=f"^n[1-3] leads, after {to.name}\n$")
            assert cluster.wait_ready() is not to
            expect_done(cluster, place, keeper, "member", "demote", to.name, "--yes",
                        said=f"{to.name} becomes a learner")
            expect_done(cluster, place, keeper, "member", "promote", to.name,
                        said=f"{to.name} becomes a voter")
            expect_done(cluster, place, keeper, "member", "add", "n9", "--region", "r2", "--peer",
                        "127.0.0.1:9401", "--api", "127.0.0.1:9400", "--learner",
                        said="member n9 is added as a learner")
            expect_done(cluster, place, keeper, "member", "move", "n9", "--api", "127.0.0.1:9500",
                        said="n9 has its new addresses")
            expect_done(cluster, place, keeper, "member", "remove", "n9", said="n9 leaves")
            # Where the result cannot be seen either, nothing is claimed.
            keeper.works = False
            code, _, error = cluster.client("member", "transfer", to.name, "--timeout", "300",
                                            member=place, check=False)
            assert code == 3 and "it is done" not in error, (code, error)


if __name__ == "__main__":
    members.run_tests([
        test_a_change_whose_answer_is_lost_is_looked_at_before_it_is_called_failed,
    ])
