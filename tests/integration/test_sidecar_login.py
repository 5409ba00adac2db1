#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The sidecar can log in, whatever people do to roles and databases and whatever its shell has in its
environment; or `status` says within a probe or two that it cannot. Standbys can log in, too, after
their password was changed in the files."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import members  # noqa: E402
import pq  # noqa: E402
import world  # noqa: E402

SOON_S = 10.0
MISLEADING = {"PGREQUIREPEER": "nobody", "PGTARGETSESSIONATTRS": "read-write", "PGHOST": "/nowhere",
              "PGOPTIONS": "-c session_preload_libraries=nope", "PGSSLMODE": "require"}


class Instance(world.Instance):
    """Nobody may log in by the names that tests have elsewhere: its sidecar is asked what it is."""

    def serves(self, as_primary):
        return self.get("/primary" if as_primary else "/replica")[0] == 200


class Earth(world.World):
    instance_type = Instance


def concern(earth, instance):
    return next(one for one in earth.shard()["instances"]
                if one["name"] == instance.name).get("concern", "")


def as_boss(instance, *statements):
    """By another superuser, in a database of the application; the last answer's first field."""
    with pq.Connection(instance.port, 5, "user=boss dbname=app") as session:
        for statement in statements:
            rows = session.run(statement)
    return rows[0][0] if rows else ""


def test_a_password_changed_in_the_files_reaches_the_database(earth):
    with_old = [one for one in earth.instances if one.end_sidecar(15) is not None]
    for one in with_old:
        with open(one.config, encoding="utf-8") as file:
            text = file.read()
        with open(one.config, "w", encoding="utf-8") as file:
            file.write(text.replace(world.PASSWORD, "another-one-for-tests"))
        one.start()
    earth.wait_whole()
    old = earth.primary()
    earth.kill_region(old)
    earth.wait_writes()
    # The third one streams from the new primary, or nothing would be acknowledged; now the old one.
    earth.revive()
    assert not any(concern(earth, one) for one in earth.instances if one is not earth.primary())


def test_variables_of_libpq_do_not_reach_the_sidecar(earth):
    standby = next(one for one in earth.instances if one is not earth.primary())
    standby.end_sidecar(15)
    with open(standby.log, "ab") as log:
        standby.process = subprocess.Popen([members.INDABA, "sidecar", "--config", standby.config],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env={**os.environ, **MISLEADING})
    members.wait_until("it is connected, and sees its database", earth.is_whole, SOON_S)
    assert standby.get("/replica")[0] == 200, standby.get("/status")


def test_no_role_and_no_database_is_needed_by_name(earth):
    """Roles and databases that the sidecar used are taken away; then the primary's region dies."""
    old = earth.primary()
    with pq.Connection(old.port, 5) as session:
        session.run("CREATE ROLE boss SUPERUSER LOGIN")
        session.run("CREATE DATABASE app")
    as_boss(old, "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)",
            "ALTER ROLE ALL SET session_preload_libraries = 'nope'",
            "ALTER ROLE indaba_sidecar SET role = 'boss'" if knows_own_role(old) else "SELECT 1",
            "ALTER ROLE ALL SET statement_timeout = '1ms'",
            "ALTER ROLE boss SET session_preload_libraries = 'plpgsql'",
            "ALTER ROLE boss SET statement_timeout = 0",
            "ALTER ROLE postgres NOLOGIN",
            "DROP DATABASE postgres WITH (FORCE)")
    members.wait_until("all goes on", earth.is_whole, SOON_S)
    earth.kill_region(old)
    new = members.wait_until("another primary is open",
                             lambda: (shard := earth.shard()) and shard["primary"] != old.name and
                             shard["opened"] and earth.primary(), 40)
    assert as_boss(new, "SELECT count(*) FROM kept") == "1"
    members.wait_until("it writes", lambda: as_boss(new, "INSERT INTO kept VALUES (8)") == "", SOON_S)
    earth.revive()


def knows_own_role(instance):
    return as_boss(instance, "SELECT count(*) FROM pg_roles WHERE rolname = 'indaba_sidecar'") == "1"


def test_who_cannot_log_in_at_all_says_so_and_comes_back(earth):
    primary = earth.primary()
    as_boss(primary, "ALTER ROLE indaba_sidecar NOLOGIN")
    members.wait_until("it is told", lambda: "cannot log in" in concern(earth, primary), SOON_S)
    assert "cannot log in" in earth.client("status")[1]
    assert "cannot log in" in primary.get("/status")[1]
    as_boss(primary, "ALTER ROLE postgres LOGIN")
    members.wait_until("its own role is made whole again",
                       lambda: as_boss(primary, "SELECT rolcanlogin FROM pg_roles WHERE rolname = "
                                       "'indaba_sidecar'") == "t", SOON_S)
    members.wait_until("all is well", lambda: "cannot log in" not in concern(earth, primary), SOON_S)


def main():
    with world.world(kind=Earth) as earth:
        test_a_password_changed_in_the_files_reaches_the_database(earth)
        test_variables_of_libpq_do_not_reach_the_sidecar(earth)
        earth.check()
        test_no_role_and_no_database_is_needed_by_name(earth)
        test_who_cannot_log_in_at_all_says_so_and_comes_back(earth)


if __name__ == "__main__":
    main()
