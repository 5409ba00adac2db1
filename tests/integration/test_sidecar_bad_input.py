#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What reaches a sidecar from outside and is wrong: bytes on its role endpoint and on its guardian's
socket, configuration, certificates, folders of others, ports in use. Always a clear error; a sidecar
that runs keeps its database, lease and role, one that starts refuses."""
import contextlib
import os
import random
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import world  # noqa: E402

CLIENTS_MAX = 4  # of a guardian


def write_config(instance, text):
    path = instance.config + ".bad.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def refuses(path, *words):
    done = subprocess.run([members.INDABA, "sidecar", "--config", path], capture_output=True,
                          text=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2), (done.returncode, said)
    for word in words:
        assert word in said, f"not said: {word}: {said}"


@contextlib.contextmanager
def says(path, word):
    """A sidecar that runs and soon logs a warning or an error with this word in it."""
    log = path + ".log"
    with open(log, "wb") as file:
        sidecar = subprocess.Popen([members.INDABA, "sidecar", "--config", path],
                                   stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def said():
        with open(log, encoding="utf-8") as file:
            return [line for line in file if word in line and (" warn " in line or
                                                               " error " in line)]

    try:
        members.wait_until(f"it says {word}", said)
        yield
    except AssertionError:
        world.tail(log)
        raise
    finally:
        sidecar.kill()
        sidecar.wait(20)


def send_http(port, data):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 3) as link:
        link.sendall(data)
        link.settimeout(0.3)
        while link.recv(4096):
            pass


def send_guardian(path, packets):
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX,
                                                     socket.SOCK_SEQPACKET) as link:
        link.settimeout(0.3)
        link.connect(path)
        for packet in packets:
            link.send(packet)
        while link.recv(4096):
            pass


def test_garbage_on_role_endpoint_and_guardian_changes_nothing():
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print(f"SEED={seed}")
    rand = random.Random(seed)
    with world.world() as earth:
        primary = earth.primary()
        guardian, postmaster = primary.guardian(), primary.postmaster()
        before = earth.failovers()[0]["id"]
        guard_socket = os.path.join(primary.dir, "run", "guardian.sock")
        for _ in range(8):
            data = rand.randbytes(rand.choice((1, 8, 40, 48, 56, 64, 4000)))
            send_http(primary.http, data)
            send_http(primary.http, b"GET /primary HTTP/1.1\r\nX: " + b"y" * 70000 + b"\r\n\r\n")
            send_http(primary.http, b"GET /primary?" + data.hex().encode() + b" HTTP/1.1\r\n\r\n")
            send_guardian(guard_socket, [data, data[:7]])
        idle = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                for _ in range(2 * CLIENTS_MAX)]
        for one in idle:
            one.settimeout(1)
            with contextlib.suppress(OSError):
                one.connect(guard_socket)
        earth.wait_writes(primary.name)
        for one in idle:
            one.close()
        assert primary.get("/primary")[0] == 200 and primary.get("/nothing")[0] == 404
        assert (primary.guardian(), primary.postmaster()) == (guardian, postmaster)
        assert primary.alive and earth.failovers()[0]["id"] == before
        earth.wait_whole()
        earth.check()


def test_a_folder_in_use_and_a_folder_of_another_instance_are_refused():
    with world.world() as earth:
        primary = earth.primary()
        standby, other = [one for one in earth.instances if one is not primary]
        port = members.free_ports(1)[0]
        refuses(write_config(primary, primary.config_text(http=port)), primary.dir, "in use")
        standby.end_sidecar(9)
        refuses(write_config(other, other.config_text(dir=standby.dir, http=port)), standby.dir,
                f'"{standby.name}"', f'"{other.name}"')
        standby.start()
        earth.wait_writes(primary.name)
        earth.wait_whole()
        earth.check()


def test_a_folder_that_served_another_cluster_is_not_given_goals():
    with world.world(1, mode="async") as earth:
        instance = earth.instances[0]
        instance.kill()
        with members.cluster(1) as strangers:
            strangers.issue(instance.name, f"/sidecar/main/{instance.name}")
            strangers.wait_ready()
            strangers.client("shard", "create", "main", "--mode", "async")
            text = instance.config_text().replace(earth.certs, strangers.certs)
            text = text.replace(f":{earth.members[0].api}", f":{strangers.members[0].api}")
            with says(write_config(instance, text), "was set up for another cluster"):
                assert not instance.is_writable()
        instance.start()
        earth.wait_writes(instance.name)
        earth.check()


def test_a_wrong_configuration_is_refused_with_its_field():
    with world.world(1, up=False) as earth:
        instance = earth.instances[0]
        good = instance.config_text()
        for old, new, word in ((":", ": [", ".bad.yaml"), ("shard:", "chard:", "chard"),
                               ("shard: main", "shard: 'a b'", "instance.shard"),
                               (f"dir: {instance.dir}", "dir: relative", "dir"),
                               ("/ca.pem", "/nothing.pem", "nothing.pem"),
                               (f"127.0.0.1:{instance.port}", "localhost:5432",
                                "instance.address"),
                               ("replication_password: only-for-tests", "replication_password: ''",
                                "password"),
                               ("127.0.0.1/32 trust", "127.0.0.1/32 scram", "postgres.hba"),
                               (f"127.0.0.1:{earth.members[0].api}", "127.0.0.1:99999",
                                "cluster.members"),
                               (f"127.0.0.1:{earth.members[0].api}", "127.0.0.01:7102",
                                "cluster.members")):
            assert old in good, old
            refuses(write_config(instance, good.replace(old, new, 1)), word)
        refuses(write_config(instance, good + "# " + "x" * (4 << 20)), ".bad.yaml")
        refuses(instance.config + ".none", ".none")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", instance.http))
            taken.listen()
            refuses(write_config(instance, good), str(instance.http))


def test_a_certificate_of_another_instance_gets_no_goal():
    with world.world(1, up=False) as earth:
        earth.start()
        earth.wait_ready()
        earth.client("shard", "create", "main", "--mode", "async")
        earth.issue("stranger", "/sidecar/main/stranger")
        instance = earth.instances[0]
        path = write_config(instance, instance.config_text(cert="stranger"))
        with says(path, "may not speak for main/pg1"):
            assert instance.postmaster() == 0
        assert earth.shard()["instances"] == []


if __name__ == "__main__":
    members.run_tests([
        test_garbage_on_role_endpoint_and_guardian_changes_nothing,
        test_a_folder_in_use_and_a_folder_of_another_instance_are_refused,
        test_a_folder_that_served_another_cluster_is_not_given_goals,
        test_a_wrong_configuration_is_refused_with_its_field,
        test_a_certificate_of_another_instance_gets_no_goal,
    ])
