#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stock gRPC client (python3-grpcio) with mutual TLS: it checks the health of each member, watches
it, and reads the topology from any of them; without a certificate it gets nothing."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402
import members  # noqa: E402
import members_grpc  # noqa: E402

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
STALE = 2  # Consistency
TOPOLOGY = "/indaba.v1.Topology/"
HEALTH = "/grpc.health.v1.Health/"


def load(cluster):
    """Messages by short name: ours, and those of the health service."""
    messages = members_grpc.load_messages(cluster.dir)
    health = members_grpc.load_pool(cluster.dir, ["grpc/health/v1/health.proto"])
    messages.update({name.split(".")[-1]: message for name, message in health.items()})
    return messages


def health(messages, link, service=""):
    return members_grpc.call(messages, link, HEALTH + "Check",
                             messages["HealthCheckRequest"](service=service),
                             "HealthCheckResponse").status


def topology(messages, link):
    listed = members_grpc.call(messages, link, TOPOLOGY + "ListMembers",
                               messages["ListMembersRequest"](), "ListMembersResponse")
    regions = members_grpc.call(messages, link, TOPOLOGY + "ListRegions",
                                messages["ListRegionsRequest"](), "ListRegionsResponse")
    return listed, regions


def test_a_stock_client_checks_health_and_reads_the_topology_of_every_member():
    with members.cluster() as cluster:
        cluster.wait_ready()
        messages = load(cluster)
        expected = {(one.name, one.region, f"127.0.0.1:{one.api}") for one in cluster.members}
        for member in cluster.members:
            with members_grpc.channel(cluster, member, "operator") as link:
                assert health(messages, link) == SERVING
                listed, regions = topology(messages, link)
                assert {(one.name, one.region, one.api_address)
                        for one in listed.members} == expected, listed
                assert sorted(one.name for one in regions.regions) == ["r1", "r2", "r3"], regions
                assert listed.header.revision > 0 and listed.header.leader, listed.header
                assert not listed.header.stale, listed.header
                stale = members_grpc.call(messages, link, TOPOLOGY + "ListRegions",
                                          messages["ListRegionsRequest"](consistency=STALE),
                                          "ListRegionsResponse")
                assert stale.header.stale and stale.header.answered_by == member.name, stale
                try:
                    health(messages, link, "no.such.Service")
                except grpc.RpcError as error:
                    assert error.code() is grpc.StatusCode.NOT_FOUND, error
                else:
                    raise AssertionError("a service that is not there is healthy")


def test_a_stock_client_reads_the_topology_from_the_survivors_of_a_leader():
    with members.cluster() as cluster:
        leader = cluster.wait_ready()
        messages = load(cluster)
        leader.process.send_signal(signal.SIGKILL)
        leader.process.wait(20)
        for member in (one for one in cluster.members if one is not leader):
            with members_grpc.channel(cluster, member, "operator") as link:
                def read(link=link):
                    try:
                        return topology(messages, link)
                    except grpc.RpcError as error:
                        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                        return None

                listed, _ = members.wait_until("the topology is read", read)
                assert len(listed.members) == 3
                assert listed.header.leader != leader.name


def test_a_stock_client_without_a_certificate_is_refused():
    with members.cluster() as cluster:
        member = cluster.wait_ready()
        messages = load(cluster)
        with open(os.path.join(cluster.certs, "ca.pem"), "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        with grpc.secure_channel(f"127.0.0.1:{member.api}", credentials) as link:
            try:
                topology(messages, link)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error
            else:
                raise AssertionError("it was served without a certificate")


if __name__ == "__main__":
    members.run_tests([
        test_a_stock_client_checks_health_and_reads_the_topology_of_every_member,
        test_a_stock_client_reads_the_topology_from_the_survivors_of_a_leader,
        test_a_stock_client_without_a_certificate_is_refused,
    ])
