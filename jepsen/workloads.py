# SPDX-License-Identifier: Apache-2.0
"""Workloads: what clients do while faults happen, and which judges look at it.

An outcome is :ok only if it was acknowledged; :fail only if it certainly did nothing; everything else
is :info, and the client goes on as a new process. A commit with the warning that it was not
replicated is :info, too."""
import hosts  # noqa: F401  (where the modules below are)
import contextlib
import os
import random
import threading

import grpc

import etcd_history
import members
import members_grpc
import pq

ANSWER_S = 2.0
CONNECT_S = 1.0
PAUSE_S = 0.02
WAIT_S = 0.2  # after no answer: what is down shall not fill a history
CLIENTS, CLIENTS_MIN = 5, 2  # of a workload; of each of many
# Errors after which a statement certainly did nothing.
REFUSED = {"25006", "40001", "40P01", "57P03", "53300", "42P01"}


class Client(threading.Thread):
    """One operation after the other, through one server until that gives no answer."""

    def __init__(self, workload, number):
        super().__init__(daemon=True)
        self.workload, self.history = workload, workload.history
        self.dice = random.Random(f"{workload.seed} {number}")
        self.process = self.history.new_process()
        self.stopping = threading.Event()
        self.error = None  # what its last call was refused with, if that says more than the outcome
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                process = self.process
                self.step()
                pause_s = WAIT_S if self.process != process or self.error else PAUSE_S
                self.stopping.wait(pause_s * self.dice.uniform(0.5, 1.5))
        except Exception as failure:  # whoever stops it looks at it
            self.failure = failure
        finally:
            self.close()

    def step(self):
        """One operation."""
        raise NotImplementedError

    def close(self):
        """What is open is closed."""

    def operate(self, f, value, act):
        """`act()` gives (kind, value, extra)."""
        invoked = self.history.invoke(self.process, f, value)
        kind, result, extra = act()
        self.history.complete(self.process, kind, f, result, invoked, **extra)
        if kind == "info":
            self.process = self.history.new_process()
        return kind

    def stop(self):
        self.stopping.set()

    def end(self):
        self.join(60)
        if self.failure:
            raise self.failure


class Workload:
    """`judges` look at its history; `setup` makes what it needs, `finish` reads what is there in the
    end."""

    name = ""
    client_type = Client
    judges = ()
    tables = ()

    def __init__(self, earth, history, seed):
        self.earth, self.history, self.seed = earth, history, seed
        self.clients = []
        self.clients_count = CLIENTS

    def setup(self):
        for statement in self.tables:
            self.earth.primary().ask(statement)

    def start(self):
        self.clients = [self.client_type(self, number) for number in range(self.clients_count)]
        for one in self.clients:
            one.start()

    def stop(self):
        for one in self.clients:
            one.stop()
        for one in self.clients:
            one.end()

    def finish(self):
        """Nothing to read."""

    def close(self):
        """What is open is closed."""


# --- through the current primary --------------------------------------------------------------------


class DatabaseClient(Client):
    """Keeps a connection to an instance; goes to another one when that takes no writes."""

    def __init__(self, workload, number):
        super().__init__(workload, number)
        self.instances = list(workload.earth.instances)
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def leave(self):
        self.close()
        self.instances.append(self.instances.pop(0))

    def connected(self):
        if self.connection is None:
            try:
                one = self.instances[0]
                self.connection = pq.Connection(one.port, CONNECT_S, host=one.host)
            except (pq.Failed, pq.Silent):
                self.leave()
                self.stopping.wait(PAUSE_S)
        return self.connection is not None

    def commit(self, statements, last):
        """(kind, rows of all statements); before the last one nothing is done."""
        rows = []
        try:
            for statement in statements:
                rows.append(self.connection.run(statement, ANSWER_S))
        except pq.Failed as failed:
            if failed.state not in ("40001", "40P01"):
                self.leave()
            else:
                self.roll_back()
            return "fail", rows
        except pq.Silent:
            self.leave()
            return "fail", rows
        try:
            rows.append(self.connection.run(last, ANSWER_S))
        except pq.Failed as failed:
            if failed.state in ("40001", "40P01"):
                return "fail", rows
            self.leave()
            return ("fail" if failed.state in REFUSED else "info"), rows
        except pq.Silent:
            self.leave()
            return "info", rows
        return ("info" if self.connection.warned else "ok"), rows

    def roll_back(self):
        try:
            self.connection.run("ROLLBACK", ANSWER_S)
        except (pq.Failed, pq.Silent):
            self.leave()


BEGIN = "BEGIN ISOLATION LEVEL SERIALIZABLE"
MARKS = "CREATE TABLE IF NOT EXISTS marks (id int)"  # what a reader writes


class SetClient(DatabaseClient):
    def step(self):
        if not self.connected():
            return
        number = self.workload.next_number()

        def act():
            kind, _ = self.commit((), f"INSERT INTO set_rows (id) VALUES ({number})")
            return kind, number, {}

        self.operate("add", number, act)


class Set(Workload):
    """Unique numbers are added; in the end they are read from every database."""

    name = "set"
    client_type = SetClient
    judges = ("set", "rates", "recovery")
    tables = ("CREATE TABLE set_rows (id bigint)",)

    def __init__(self, earth, history, seed):
        super().__init__(earth, history, seed)
        self.numbers = 0
        self.lock = threading.Lock()

    def next_number(self):
        with self.lock:
            self.numbers += 1
            return self.numbers

    def finish(self):
        target = self.earth.primary().ask("SELECT pg_current_wal_insert_lsn()")
        for one in self.earth.instances:
            def caught_up(one=one):
                with contextlib.suppress(pq.Failed, pq.Silent):
                    return one.ask("SELECT NOT pg_is_in_recovery() OR "
                                   f"pg_last_wal_replay_lsn() >= '{target}'") == "t"
                return False
            members.wait_until(f"{one.name} has replayed everything", caught_up, 60)
            process = self.history.new_process()
            self.history.invoke(process, "read", None)
            with pq.Connection(one.port, 5, host=one.host) as connection:
                rows = connection.run("SELECT id FROM set_rows", 30)
            self.history.complete(process, "ok", "read", [int(row[0]) for row in rows],
                                  instance=one.name)


class CounterClient(DatabaseClient):
    """A read writes, too: only then its transaction is acknowledged by whoever is in office."""

    def step(self):
        if not self.connected():
            return
        if self.dice.random() < 0.7:
            amount = self.dice.randrange(1, 5)

            def add():
                kind, _ = self.commit((), f"UPDATE counters SET n = n + {amount} WHERE id = 1")
                return kind, amount, {}

            self.operate("increment", amount, add)
            return

        def read():
            kind, rows = self.commit((), "UPDATE counters SET reads = reads + 1 WHERE id = 1 "
                                         "RETURNING n")
            return kind, int(rows[-1][0][0]) if kind == "ok" else None, {}

        self.operate("read", None, read)


class Counter(Workload):
    name = "counter"
    client_type = CounterClient
    judges = ("counter", "rates", "recovery")
    tables = ("CREATE TABLE counters (id int PRIMARY KEY, n bigint, reads bigint)",
              "INSERT INTO counters VALUES (1, 0, 0)")


class BankClient(DatabaseClient):
    def step(self):
        if not self.connected():
            return
        if self.dice.random() < 0.8:
            one, other = self.dice.sample(range(1, ACCOUNTS + 1), 2)
            amount = self.dice.randrange(1, 6)
            value = {"from": one, "to": other, "amount": amount}

            def transfer():
                kind, _ = self.commit(
                    (BEGIN, f"UPDATE accounts SET n = n - {amount} WHERE id = {one}",
                     f"UPDATE accounts SET n = n + {amount} WHERE id = {other}"), "COMMIT")
                return kind, value, {}

            self.operate("transfer", value, transfer)
            return

        def read():
            kind, rows = self.commit((BEGIN, "SELECT id, n FROM accounts",
                                      "INSERT INTO marks VALUES (1)"), "COMMIT")
            seen = {int(row[0]): int(row[1]) for row in rows[1]} if kind == "ok" else None
            return kind, seen, {}

        self.operate("read", None, read)


ACCOUNTS = 6


class Bank(Workload):
    name = "bank"
    client_type = BankClient
    judges = ("bank", "rates", "recovery")
    tables = ("CREATE TABLE accounts (id int PRIMARY KEY, n bigint)", MARKS,
              f"INSERT INTO accounts SELECT one, 100 FROM generate_series(1, {ACCOUNTS}) one")


class AppendClient(DatabaseClient):
    """Up to three steps on up to three lists; keys go out of use, so that lists stay short."""

    def step(self):
        if not self.connected():
            return
        asked = []
        for _ in range(self.dice.randrange(1, 4)):
            key = self.workload.key(self.dice)
            append = self.dice.random() < 0.5
            asked.append((key, self.workload.next_number() if append else None))
        form = [[history_step(value), key, value] for key, value in asked]

        def act():
            statements = [BEGIN, "INSERT INTO marks VALUES (1)"]
            statements += [statement_of(key, value) for key, value in asked]
            kind, rows = self.commit(statements, "COMMIT")
            if kind != "ok":
                return kind, form, {}
            seen = []
            for (key, value), answer in zip(asked, rows[2:]):
                read = [int(one) for one in answer[0][0].split()] if answer and value is None else []
                seen.append([history_step(value), key, read if value is None else value])
            return kind, seen, {}

        self.operate("txn", form, act)


def history_step(value):
    from history import Keyword
    return Keyword("r" if value is None else "append")


def statement_of(key, value):
    if value is None:
        return f"SELECT items FROM lists WHERE id = {key}"
    return (f"INSERT INTO lists VALUES ({key}, '{value}') ON CONFLICT (id) DO UPDATE "
            f"SET items = lists.items || ' {value}'")


class Append(Set):
    name = "append"
    client_type = AppendClient
    judges = ("append", "rates", "recovery")
    tables = ("CREATE TABLE lists (id int PRIMARY KEY, items text)", MARKS)
    KEYS, TXNS_A_KEY = 3, 60

    def key(self, dice):
        return self.numbers // self.TXNS_A_KEY + dice.randrange(self.KEYS)

    def finish(self):
        """Each list is read once more."""
        process = self.history.new_process()
        from history import Keyword
        one = self.earth.primary()
        with pq.Connection(one.port, 5, host=one.host) as connection:
            keys = [int(row[0]) for row in connection.run("SELECT id FROM lists", 30)]
            for key in keys:
                self.history.invoke(process, "txn", [[Keyword("r"), key, None]])
                rows = connection.run(f"SELECT items FROM lists WHERE id = {key}", 30)
                self.history.complete(process, "ok", "txn", [
                    [Keyword("r"), key, [int(item) for item in rows[0][0].split()]]])


# --- through the coordinators -----------------------------------------------------------------------

CALL_S = 2.0
NEVER_SENT = "failed to connect to all addresses"  # no connection to send it by


class ApiClient(Client):
    """Through one member until that gives no answer."""

    def __init__(self, workload, number):
        super().__init__(workload, number)
        self.api = workload.apis[number % len(workload.apis)]

    def operate(self, f, value, act):
        """The history says what a call was refused with."""
        def told():
            kind, result, extra = act()
            return kind, result, {"error": self.error, **extra} if self.error else extra

        return super().operate(f, value, told)

    def ask(self, call, read_only=False):
        """(kind, answer)."""
        try:
            self.error = None
            return "ok", call(self.api)
        except grpc.RpcError as error:
            self.error = f"{error.code().name}: {error.details()}"
            self.api = self.dice.choice(self.workload.apis)
            certain = read_only or error.code() in etcd_history.HARMLESS or \
                error.details().startswith(NEVER_SENT)
            return ("fail" if certain else "info"), None


def number_of(value):
    return None if value is etcd_history.ABSENT else int(value)


class RegisterClient(ApiClient):
    def __init__(self, workload, number):
        super().__init__(workload, number)
        self.seen = {}

    def step(self):
        key = self.workload.key(self.dice)
        name = f"reg/{key}".encode()
        kind = self.dice.choices(["read", "write", "cas"], [4, 3, 3])[0]
        value = self.workload.next_number()

        def read():
            outcome, reply = self.ask(lambda api: api.range(name), read_only=True)
            seen = number_of(etcd_history.value_of(reply)) if reply else None
            if reply:
                self.seen[key] = seen
            return outcome, [key, seen], {}

        def write():
            outcome, _ = self.ask(lambda api: api.put(name, str(value).encode()))
            return outcome, [key, value], {}

        def swap():
            old = self.seen.get(key)
            given = etcd_history.ABSENT if old is None else str(old).encode()
            outcome, reply = self.ask(lambda api: api.swap(name, given, str(value).encode()))
            if reply and not reply.succeeded:
                seen = number_of(etcd_history.value_of(reply.responses[0].response_range))
                self.seen[key] = seen
                return "fail", [key, [old, value]], {"seen": seen}
            if reply:
                self.seen[key] = value
            return outcome, [key, [old, value]], {}

        if kind == "read":
            self.operate("read", [key, None], read)
        elif kind == "write":
            self.operate("write", [key, value], write)
        else:
            self.operate("cas", [key, [self.seen.get(key), value]], swap)


class Register(Set):
    """Few keys at a time, and new ones as the run goes on, so that the search for an order ends."""

    name = "register"
    client_type = RegisterClient
    judges = ("register", "rates", "recovery")
    tables = ()
    KEYS, VALUES_A_KEY = 3, 150

    def setup(self):
        if not os.path.exists(os.path.join(self.earth.certs, "app.pem")):
            self.earth.issue("app", "/client/app")
        messages = etcd_history.load_messages(self.earth.dir)
        self.links = [members_grpc.channel(self.earth, member, "app")
                      for member in self.earth.members]
        # A call that fails at once lets no time pass in which an attempt to connect could go on: without
        # somebody who always waits, a server that is not on loopback is found by nobody again.
        for link in self.links:
            link.subscribe(lambda state: None, try_to_connect=True)
        self.apis = [etcd_history.Api(messages, link, CALL_S) for link in self.links]
        self.messages = messages

    def key(self, dice):
        return self.numbers // self.VALUES_A_KEY + dice.randrange(self.KEYS)

    def finish(self):
        """Reads are part of it."""

    def close(self):
        for link in self.links:
            link.close()


class LockClient(ApiClient):
    """Takes a lock with a lease, writes under its token, gives it back, as long as the lease is
    certain to run; a holder that is late says nothing more."""

    LEASE_S = 5

    def step(self):
        lock = self.dice.randrange(2)
        name = f"lock/{lock}".encode()
        mine = f"{self.process}-{self.workload.next_number()}".encode()
        until = self.history.now() + self.LEASE_S * 10 ** 9
        lease = self.grant()
        if lease is None:
            return
        token = self.acquire(lock, name, mine, lease)
        if token is None:
            return
        self.stopping.wait(self.dice.choice([0.0, 0.02, 0.2]))
        self.write(lock, token)
        if self.history.now() < until - 10 ** 9:
            self.release(lock, name, mine, token)

    def grant(self):
        found = []

        def act():
            outcome, lease = self.ask(lambda api: api.grant(self.LEASE_S))
            found.append(lease.ID if lease else None)
            return outcome, self.LEASE_S, {}

        self.operate("grant", self.LEASE_S, act)
        return found[0]

    def acquire(self, lock, name, mine, lease):
        found = []

        def act():
            outcome, reply = self.ask(lambda api: api.swap(name, etcd_history.ABSENT, mine, lease))
            if reply and not reply.succeeded:
                return "fail", {"lock": lock}, {}
            if outcome == "ok":
                found.append(reply.header.revision)
                return "ok", {"lock": lock, "token": reply.header.revision}, {}
            return outcome, {"lock": lock}, {}

        self.operate("acquire", {"lock": lock}, act)
        return found[0] if found else None

    def write(self, lock, token):
        """The guarded thing takes no lower token than it has seen."""
        name, value = f"guarded/{lock}".encode(), {"lock": lock, "token": token}

        def act():
            outcome, reply = self.ask(lambda api: api.range(name), read_only=True)
            if outcome != "ok":
                return "fail", value, {}
            old = etcd_history.value_of(reply)
            if old is not etcd_history.ABSENT and int(old) > token:
                return "fail", value, {}
            outcome, reply = self.ask(lambda api: api.swap(name, old, str(token).encode()))
            if reply and not reply.succeeded:
                return "fail", value, {}
            return outcome, value, {}

        self.operate("write", value, act)

    def release(self, lock, name, mine, token):
        value = {"lock": lock, "token": token}

        def act():
            outcome, _ = self.ask(lambda api: api.delete_if(name, mine))
            return outcome, value, {}

        self.operate("release", value, act)


class Lock(Register):
    name = "lock"
    client_type = LockClient
    judges = ("lock", "rates", "recovery")


def of_names(words, earth, make_history, seed):
    """Workloads by name, each with a history of its own; many have fewer clients each."""
    made = [WORKLOADS[name](earth, make_history(), seed) for name in words.split(",")]
    for one in made:
        one.clients_count = max(CLIENTS_MIN, CLIENTS // len(made))
    return made


WORKLOADS = {"set": Set, "counter": Counter, "bank": Bank, "append": Append, "register": Register,
             "lock": Lock}
