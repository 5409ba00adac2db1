# SPDX-License-Identifier: Apache-2.0
"""Clients that write numbered rows straight to each instance, past every router: one thread an
instance, one transaction a row. They remember what was sent when and acknowledged when; a connection
that fell silent is kept, and its late answer counts. From that follow the two questions of every
test: is an acknowledged row missing, and did two instances acknowledge at the same time."""
import threading
import time

import pq

ANSWER_S = 0.8
CONNECT_S = 0.4
PAUSE_S = 0.004     # between rows
CALM_S = 0.1        # … while a test waits for something else
READ_ONLY_S = 0.02  # between two tries of a standby
SILENT_MAX = 16
READ_ONLY = "25006"
ROWS_PER_INSTANCE = 10 ** 9


class Row:
    def __init__(self, number, instance):
        self.number = number
        self.instance = instance
        self.sent = time.monotonic()
        self.acked = None
        self.late = False
        self.answer = []

    def __repr__(self):
        return f"row {self.number} of {self.instance}"


class Writer(threading.Thread):
    """Writes to one instance, whatever it is, until told to stop."""

    def __init__(self, index, name, port, first=0, host="127.0.0.1", pause_s=PAUSE_S):
        super().__init__(daemon=True)
        self.host, self.pause_s = host, pause_s
        self.base = (index + 1) * ROWS_PER_INSTANCE + first
        self.name_of_instance = name
        self.port = port
        self.sent = 0
        self.acked = []
        self.silent = []  # (row, connection)
        self.failure = None
        self.pause_s = PAUSE_S
        self.stopping = threading.Event()

    def run(self):
        connection = None
        try:
            while not self.stopping.is_set():
                self.collect_late()
                connection = self.write_one(connection)
        except Exception as failure:  # the test looks at it
            self.failure = failure
        finally:
            if connection:
                connection.close()

    def write_one(self, connection):
        """One row, or one try to connect; the connection to go on with, or None."""
        if connection is None:
            try:
                return pq.Connection(self.port, CONNECT_S, host=self.host)
            except (pq.Failed, pq.Silent):
                self.stopping.wait(READ_ONLY_S)
                return None
        row = Row(self.base + self.sent, self.name_of_instance)
        self.sent += 1
        try:
            connection.send(self.statement(row))
            row.answer = connection.end(ANSWER_S)
        except pq.Failed as failed:
            self.stopping.wait(READ_ONLY_S)
            if failed.state == READ_ONLY:
                return connection
            connection.close()
            return None
        except pq.Silent:
            self.silent.append((row, connection))
            while len(self.silent) > SILENT_MAX:
                self.silent.pop(0)[1].close()
            return None
        self.take(row, connection, late=False)
        self.stopping.wait(self.pause_s)
        return connection

    def statement(self, row):
        """What is sent for a row; kinds of writers that say more override this."""
        return f"INSERT INTO rows (id) VALUES ({row.number})"

    def take(self, row, connection, late):
        if not connection.warned:
            row.acked = time.monotonic()
            row.late = late
            self.acked.append(row)

    def collect_late(self):
        waiting = []
        for row, connection in self.silent:
            try:
                row.answer = connection.end(0)
                self.take(row, connection, late=True)
            except pq.Failed:
                pass
            except pq.Silent:
                waiting.append((row, connection))
                continue
            connection.close()
        self.silent = waiting


class Writers:
    """A writer for each instance of a world."""

    def __init__(self, instances):
        self.all = [Writer(index, one.name, one.port) for index, one in enumerate(instances)]
        for one in self.all:
            one.start()

    def set_pause(self, pause_s, but=None):
        """Between rows, of all but one instance."""
        for one in self.all:
            if one.name_of_instance != but:
                one.pause_s = pause_s

    def acked(self, instance=None):
        """Acknowledged rows (of one instance), in the order of their sending."""
        rows = [row for one in self.all if instance in (None, one.name_of_instance)
                for row in list(one.acked)]
        return sorted(rows, key=lambda row: row.sent)

    def last_sent(self, instance=None):
        """When the newest acknowledged row was sent; 0 if there is none."""
        return max((one.acked[-1].sent for one in self.all
                    if instance in (None, one.name_of_instance) and one.acked), default=0.0)

    def stop(self):
        for one in self.all:
            one.stopping.set()
        for one in self.all:
            one.join(30)
        for one in self.all:
            one.collect_late()
            for _, connection in one.silent:
                connection.close()
            if one.failure:
                raise one.failure

    def missing(self, port):
        """Acknowledged rows that this instance does not have."""
        with pq.Connection(port, 5) as connection:
            held = {int(row[0]) for row in connection.run("SELECT id FROM rows", 30)}
        return [row for row in self.acked() if row.number not in held]

    def offices(self):
        """Who acknowledged, in order: [(instance, first sent, last sent)]."""
        offices = []
        for row in self.acked():
            if offices and offices[-1][0] == row.instance:
                offices[-1] = (row.instance, offices[-1][1], row.sent)
            else:
                offices.append((row.instance, row.sent, row.sent))
        return offices

    def gap_s(self, since):
        """The longest pause between two acknowledged rows of which the later came after `since`."""
        times = sorted(row.acked for row in self.acked())
        return max((later - before for before, later in zip(times, times[1:]) if later > since),
                   default=0.0)
