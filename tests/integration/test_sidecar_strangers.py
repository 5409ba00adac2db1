#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who speaks to a sidecar: somebody with a member's certificate who never was one, at an address that the
sidecar has; one host of the cluster that says what no other says; a member that was added since."""
import concurrent.futures
import os
import queue
import sys
import threading
import time

import grpc

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import members_grpc  # noqa: E402
import world  # noqa: E402

PRIMARY, ASYNC = 1, 2


class Impostor:
    """Serves sessions of sidecars as the member `name`: a welcome, a goal, and every renewal."""

    def __init__(self, earth, messages, name, ident, goal):
        self.messages = messages
        self.welcome = messages["Welcome"](cluster_id=earth.id, shard=1, leader=name, term=1000)
        if "member_id" in messages["Welcome"].DESCRIPTOR.fields_by_name:
            self.welcome.member_id = ident
        self.goal = goal
        self.sessions = 0
        self.asked = 0

        def read(file):
            with open(os.path.join(earth.certs, file), "rb") as opened:
                return opened.read()

        credentials = grpc.ssl_server_credentials(
            [(read(name + ".key"), read(name + ".pem"))], read("ca.pem"), True)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        session = grpc.stream_stream_rpc_method_handler(
            self._session, request_deserializer=messages["SidecarMessage"].FromString,
            response_serializer=lambda message: message.SerializeToString())
        confirm = grpc.unary_unary_rpc_method_handler(
            self._confirm, request_deserializer=lambda data: data,
            response_serializer=lambda message: message.SerializeToString())
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "indaba.v1.Sidecars", {"Session": session, "Confirm": confirm}),))
        self.name, self.ident = name, ident
        self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def _confirm(self, _request, context):
        """Names itself, and says what its goal says."""
        self.asked += 1
        answer = self.messages["ConfirmResponse"](epoch=self.goal["epoch"], mode=self.goal["mode"])
        answer.header.cluster_id = self.welcome.cluster_id
        answer.members.add(id=self.ident, name=self.name, api_address=f"127.0.0.1:{self.port}")
        return answer

    def _session(self, incoming, context):
        outgoing = queue.Queue()

        def hear():
            try:
                for message in incoming:
                    kind = message.WhichOneof("body")
                    if kind == "hello":
                        self.sessions += 1
                        outgoing.put(self._welcome(message.hello))
                        outgoing.put(self._goal())
                    elif kind == "renewal":
                        answer = self.messages["CoordinatorMessage"]()
                        answer.renewal_answer.id = message.renewal.id
                        answer.renewal_answer.epoch = message.renewal.epoch
                        answer.renewal_answer.granted = True
                        answer.renewal_answer.lease_ms = 3000
                        outgoing.put(answer)
            except grpc.RpcError:
                pass
            outgoing.put(None)

        threading.Thread(target=hear, daemon=True).start()
        return iter(outgoing.get, None)

    def _welcome(self, hello):
        self.instance = self.goal["instance_of"][hello.instance]
        message = self.messages["CoordinatorMessage"](welcome=self.welcome)
        message.welcome.instance = self.instance
        return message

    def _goal(self):
        message = self.messages["CoordinatorMessage"]()
        goal = message.goal
        goal.shard, goal.instance, goal.index = 1, self.instance, 1 << 40
        goal.epoch, goal.role, goal.mode = self.goal["epoch"], PRIMARY, self.goal["mode"]
        goal.may_promote, goal.timeline = True, self.goal["timeline"] + 1
        goal.fork.epoch, goal.fork.timeline = self.goal["epoch"] - 1, self.goal["timeline"]
        return message

    def stop(self):
        self.server.stop(0)


def log_of(instance):
    with open(instance.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def meets(earth, instance, impostor):
    """The sidecar has the impostor's address first, and starts again."""
    real = ", ".join(f'"127.0.0.1:{one.api}"' for one in earth.members)
    text = instance.config_text().replace(real, f'"127.0.0.1:{impostor.port}", {real}')
    with open(instance.config, "w", encoding="utf-8") as file:
        file.write(text)
    instance.end_sidecar(9)
    instance.start()
    members.wait_until("it has met the impostor", lambda: impostor.sessions > 0)


def nothing_has_changed(earth, primary, before):
    earth.wait_whole()
    assert [one.name for one in earth.instances if one.is_writable()] == [primary.name]
    assert earth.shard()["epoch"] == before["epoch"], (before, earth.shard())


def somebody_who_never_was_a_member_is_not_obeyed(earth, messages, instance, goal):
    before, primary = earth.shard(), earth.primary()
    earth.issue("n9", "/member/n9")
    impostor = Impostor(earth, messages, "n9", "ab" * 16, goal)
    meets(earth, instance, impostor)
    members.wait_until("it says why it does not obey", lambda: instance.is_writable() or (
        "event=session.unknown_member" in log_of(instance) and "n9" in log_of(instance)))
    writable = [one.name for one in earth.instances if one.is_writable()]
    assert writable == [primary.name], f"the impostor was obeyed: {writable} take writes"
    nothing_has_changed(earth, primary, before)
    impostor.stop()


def one_host_alone_moves_no_mode_and_leaps_no_epoch(earth, messages, instance, goal):
    before, primary = earth.shard(), earth.primary()
    thief = earth.members[1]
    impostor = Impostor(earth, messages, thief.name, thief.id, goal)
    meets(earth, instance, impostor)
    members.wait_until("it waits for another's word", lambda: instance.is_writable() or
                       "event=goal.not_confirmed" in log_of(instance))
    writable = [one.name for one in earth.instances if one.is_writable()]
    assert writable == [primary.name], f"the impostor was obeyed: {writable} take writes"
    nothing_has_changed(earth, primary, before)
    impostor.stop()


def a_member_that_was_added_since_is_obeyed(earth, _messages, instance, _goal):
    new = earth.grow()
    members.wait_until("it votes", lambda: any(
        row["member"]["name"] == new.name and row["core"] == "voter"
        for row in earth.json("member", "ls")["members"]), 30)
    earth.client("member", "transfer", new.name)
    members.wait_until("it leads", lambda: earth.leader() is new)
    began = time.monotonic()
    earth.wait_whole()
    assert time.monotonic() - began < 10, time.monotonic() - began
    for one in earth.instances:
        assert f"event=session.welcome leader={new.name}" in log_of(one), log_of(one)
    assert "event=members.known name=" + new.name in log_of(instance)


def test_a_sidecar_checks_who_speaks():
    with world.world(3, "sync") as earth:
        messages = members_grpc.load_messages(earth.dir)
        ids = {one["name"]: place + 1 for place, one in enumerate(earth.shard()["instances"])}
        goal = {"epoch": 100, "mode": ASYNC, "instance_of": ids,
                "timeline": earth.shard()["timeline"]}
        primary = earth.primary()
        instance = next(one for one in earth.instances if one is not primary)
        for check in (somebody_who_never_was_a_member_is_not_obeyed,
                      one_host_alone_moves_no_mode_and_leaps_no_epoch,
                      a_member_that_was_added_since_is_obeyed):
            check(earth, messages, instance, goal)
            print(f"  {check.__name__}", flush=True)
        earth.check()


if __name__ == "__main__":
    members.run_tests([test_a_sidecar_checks_who_speaks])
