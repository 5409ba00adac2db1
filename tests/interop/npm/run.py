#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make interop-npm`: the gRPC clients that people take from npm, @grpc/grpc-js and `buf curl`,
against real members over mutual TLS. Their versions are pinned in package.json and, with the hash of
every package, in package-lock.json; `npm ci` puts them into build/interop-npm and nowhere else. Not
part of `make test`, which needs Debian packages only."""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
import members  # noqa: E402

FOLDER = os.path.abspath(os.path.join(ROOT, os.environ.get("B", "build"), "interop-npm"))
EXPECTED = {"indaba.v1.Cluster", "indaba.v1.Shards", "indaba.v1.Ledger", "etcdserverpb.KV",
            "grpc.health.v1.Health"}


def install():
    os.makedirs(FOLDER, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, file), FOLDER)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
                   cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)


def output_of(*command):
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def buf_curl(cluster, member, version, path, *words):
    certs = cluster.certs
    return output_of("node_modules/.bin/buf", "curl", "--protocol", "grpc", "--reflect",
                     "--reflect-protocol", f"grpc-{version}", "--cacert", f"{certs}/ca.pem",
                     "--cert", f"{certs}/operator.pem", "--key", f"{certs}/operator.key", *words,
                     f"https://127.0.0.1:{member.api}{path}")


def check_buf(cluster, member, version):
    listed = buf_curl(cluster, member, version, "", "--list-methods").split()
    services = {method.rsplit("/", 1)[0] for method in listed}
    assert EXPECTED <= services, listed
    status = json.loads(buf_curl(cluster, member, version, "/indaba.v1.Cluster/GetStatus",
                                 "--data", "{}"))
    assert status["clusterName"] == "test", status
    health = json.loads(buf_curl(cluster, member, version, "/grpc.health.v1.Health/Check",
                                 "--data", "{}"))
    assert health["status"] == "SERVING", health
    put = json.loads(buf_curl(cluster, member, version, "/etcdserverpb.KV/Put", "--data",
                              '{"key": "aW50ZXJvcA==", "value": "YnVm"}'))
    assert int(put["header"]["revision"]) > 1, put
    print(f"buf: reflection {version}: {len(services)} services, {len(listed)} methods; "
          f"GetStatus of {status['clusterName']}, health {health['status']}, a put")


def main():
    install()
    print("versions:", output_of("npm", "ls", "--depth=0", "--parseable", "--long")
          .replace(FOLDER, "").split()[1:])
    with members.cluster() as cluster:
        cluster.wait_ready()
        for member in cluster.members:
            print(output_of("node", os.path.join(HERE, "grpc_js.mjs"), f"127.0.0.1:{member.api}",
                            cluster.certs, "operator", os.path.join(ROOT, "proto")), end="")
        for version in ("v1", "v1alpha"):
            check_buf(cluster, cluster.members[0], version)
    print("interop-npm: passed")


if __name__ == "__main__":
    sys.exit(main())
