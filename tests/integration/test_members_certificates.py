#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys that pass every look and are of no use: refused at the start and at a reload,
with words, while the old ones stay in force. And nobody is asked for a pass phrase, whatever
terminal there is."""
import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402

ANSWER_S = 5


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)


def key_of(path, curve):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", path)
    os.chmod(path, 0o600)


def certificate_of(cluster, member, path, key, usage):
    """Of our authority, for this member, with that extended key usage."""
    request, extensions = path + ".csr", path + ".ext"
    domain = subprocess.run(
        ["openssl", "x509", "-in", os.path.join(cluster.certs, f"{member.name}.pem"), "-noout",
         "-ext", "subjectAltName"], capture_output=True, text=True, check=True).stdout
    uri = next(word.rstrip(",") for word in domain.split() if word.startswith("URI:"))
    with open(extensions, "w", encoding="utf-8") as file:
        file.write(f"subjectAltName={uri},IP:127.0.0.1\nextendedKeyUsage={usage}\n"
                   "basicConstraints=critical,CA:FALSE\nkeyUsage=digitalSignature\n")
    openssl("req", "-new", "-key", key, "-subj", f"/CN={member.name}", "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", os.path.join(cluster.certs, "ca.pem"), "-CAkey",
            os.path.join(cluster.certs, "ca.key"), "-CAcreateserial", "-days", "2", "-extfile",
            extensions, "-out", path)


def put_in_place(cluster, name, pair):
    for ending, path in zip(("pem", "key"), pair):
        shutil.copy(path, os.path.join(cluster.certs, f"{name}.{ending}.new"))
        os.rename(os.path.join(cluster.certs, f"{name}.{ending}.new"),
                  os.path.join(cluster.certs, f"{name}.{ending}"))


def log_of(member):
    with open(member.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def test_a_pair_that_no_peer_would_take_is_refused_and_the_old_one_stays():
    with members.cluster() as cluster:
        cluster.wait_ready()
        member = cluster.members[0]
        mine = [os.path.join(cluster.certs, f"n1.{ending}") for ending in ("pem", "key")]
        kept = [shutil.copy(path, path + ".kept") for path in mine]
        both = "serverAuth,clientAuth"
        for usage, curve, word in (("serverAuth", "P-256", "as a client it is of no use"),
                                   ("clientAuth", "P-256", "as a server it is of no use"),
                                   (both, "secp256k1", "of no use here"),
                                   (both, "P-256", None)):
            pair = [os.path.join(cluster.dir, f"odd.{ending}") for ending in ("pem", "key")]
            key_of(pair[1], curve)
            certificate_of(cluster, member, pair[0], pair[1], usage)
            put_in_place(cluster, "n1", pair)
            before = len(log_of(member))
            member.process.send_signal(signal.SIGHUP)
            said = members.wait_until("it says what came of it", lambda at=before: [
                line for line in log_of(member)[at:].splitlines() if "event=tls.reload" in line])
            if word is None:
                assert "event=tls.reloaded" in said[0], said
                continue
            assert "event=tls.reload_failed" in said[0] and word in said[0], said
            done = subprocess.run([members.INDABA, "serve", "--config", member.config],
                                  capture_output=True, text=True, timeout=20, check=False)
            assert done.returncode == 1 and word in done.stderr, done
        # What is in force now is good: the others come back to it.
        for other in cluster.members[1:]:
            other.kill()
            other.start()
            cluster.wait_ready()
        put_in_place(cluster, "n1", kept)


def on_a_terminal(member, words):
    """Starts it in a session of its own that has a terminal; the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(members.INDABA, [members.INDABA, *words])
    member.pid_on_terminal = pid
    return terminal


def test_nobody_is_asked_for_a_pass_phrase_even_at_a_terminal():
    with members.cluster(1) as cluster:
        member = cluster.members[0]
        member.kill(signal.SIGTERM)
        key = os.path.join(cluster.certs, "n1.key")
        with open(key, "rb") as file:
            plain = file.read()
        terminal = on_a_terminal(member, ["serve", "--config", member.config])
        os.set_blocking(terminal, False)
        said = b""

        def hear(*words):
            nonlocal said
            with contextlib.suppress(OSError):
                said += os.read(terminal, 65536)
            assert b"pass phrase:" not in said, said
            return all(word in said for word in words)

        try:
            members.wait_until("it is ready", lambda: hear(b"member.started") and
                               member.ready())
            openssl("pkcs8", "-topk8", "-in", key, "-out", key + ".locked", "-passout", "pass:secret")
            os.chmod(key + ".locked", 0o600)
            os.rename(key + ".locked", key)
            os.kill(member.pid_on_terminal, signal.SIGHUP)
            members.wait_until("it says that it cannot", lambda: hear(
                b"event=tls.reload_failed", b"pass phrase", b"n1.key"), ANSWER_S)
            assert member.ready()
            # Commands ask nobody either.
            pid, other = pty.fork()
            if pid == 0:
                os.environ.update(INDABA_CERTS=cluster.certs, INDABA_IDENTITY="n1",
                                  INDABA_MEMBERS=f"127.0.0.1:{member.api}")
                os.execv(members.INDABA, [members.INDABA, "member", "ls"])
            members.wait_until("the command ends",
                               lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, ANSWER_S)
            os.close(other)
        except AssertionError as error:
            raise AssertionError(f"{error}: {said.decode(errors='replace')}") from error
        finally:
            with open(key, "wb") as file:
                file.write(plain)
            os.kill(member.pid_on_terminal, signal.SIGKILL)
            os.waitpid(member.pid_on_terminal, 0)
            os.close(terminal)


if __name__ == "__main__":
    members.run_tests([
        test_a_pair_that_no_peer_would_take_is_refused_and_the_old_one_stays,
        test_nobody_is_asked_for_a_pass_phrase_even_at_a_terminal,
    ])
