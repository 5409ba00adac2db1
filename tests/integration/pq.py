# SPDX-License-Identifier: Apache-2.0
"""libpq for tests, called by ctypes so that no driver of Python's own is needed. Every wait has a
deadline, and a connection that fell silent can be asked again later. A success with warning 01000
(not replicated) is told apart: it is no acknowledgement."""
import ctypes
import select
import time

OK = (1, 2)  # PGRES_COMMAND_OK, PGRES_TUPLES_OK
READING, WRITING, READY = 1, 2, 3
PG_DIAG_SQLSTATE = ord("C")
RECEIVER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


def _load():
    lib = ctypes.CDLL("libpq.so.5")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
            ("PQconnectStart", pointer, [text]), ("PQconnectPoll", number, [pointer]),
            ("PQfinish", None, [pointer]), ("PQstatus", number, [pointer]),
            ("PQsocket", number, [pointer]), ("PQerrorMessage", text, [pointer]),
            ("PQsendQuery", number, [pointer, text]), ("PQflush", number, [pointer]),
            ("PQconsumeInput", number, [pointer]), ("PQisBusy", number, [pointer]),
            ("PQgetResult", pointer, [pointer]), ("PQclear", None, [pointer]),
            ("PQresultStatus", number, [pointer]), ("PQresultErrorMessage", text, [pointer]),
            ("PQresultErrorField", text, [pointer, number]), ("PQntuples", number, [pointer]),
            ("PQnfields", number, [pointer]), ("PQgetvalue", text, [pointer, number, number]),
            ("PQsetNoticeReceiver", pointer, [pointer, RECEIVER, pointer])):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


LIB = _load()


class Failed(Exception):
    """The statement ended with an error, or the connection broke: `state` is the SQLSTATE or ''."""

    def __init__(self, message, state=""):
        super().__init__(message.strip())
        self.state = state


class Silent(Exception):
    """No answer within the time given; the statement may still be under way."""


class Connection:
    """One connection to an instance, as superuser `postgres`."""

    def __init__(self, port, timeout_s=0.5, options="", host="127.0.0.1"):
        self.warned = False
        self.receiver = RECEIVER(self._on_notice)
        self.raw = LIB.PQconnectStart(
            f"hostaddr={host} port={port} user=postgres dbname=postgres "
            f"application_name=indaba_test {options}".encode())
        deadline = time.monotonic() + timeout_s
        state = WRITING
        try:
            while state in (READING, WRITING):
                if LIB.PQstatus(self.raw) == 1:
                    raise self._failure()
                self._wait(state == WRITING, deadline)
                state = LIB.PQconnectPoll(self.raw)
            if state != READY:
                raise self._failure()
        except Exception:
            self.close()
            raise
        LIB.PQsetNoticeReceiver(self.raw, self.receiver, None)

    def send(self, statement):
        """Begins a statement; `end` waits for it."""
        self.warned = False
        if LIB.PQsendQuery(self.raw, statement.encode()) != 1:
            raise self._failure()

    def end(self, timeout_s):
        """Rows of the statement sent. Raises Failed or Silent; after Silent, ask again."""
        deadline = time.monotonic() + timeout_s
        rows, failure = [], None
        while True:
            while LIB.PQisBusy(self.raw):
                self._wait(False, deadline)
                if LIB.PQconsumeInput(self.raw) != 1:
                    raise self._failure()
            result = LIB.PQgetResult(self.raw)
            if not result:
                break
            if LIB.PQresultStatus(result) in OK:
                rows = [[LIB.PQgetvalue(result, row, column).decode()
                         for column in range(LIB.PQnfields(result))]
                        for row in range(LIB.PQntuples(result))]
            else:
                state = LIB.PQresultErrorField(result, PG_DIAG_SQLSTATE) or b""
                failure = Failed(LIB.PQresultErrorMessage(result).decode(), state.decode())
            LIB.PQclear(result)
        if failure:
            raise failure
        return rows

    def run(self, statement, timeout_s=5.0):
        self.send(statement)
        return self.end(timeout_s)

    def close(self):
        if self.raw:
            LIB.PQfinish(self.raw)
            self.raw = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _wait(self, writing, deadline):
        left = deadline - time.monotonic()
        socket = LIB.PQsocket(self.raw)
        if socket < 0:
            raise self._failure()
        waited = [socket]
        ready = left > 0 and select.select([] if writing else waited, waited if writing else [], [],
                                           left)
        if not ready or not (ready[0] or ready[1]):
            raise Silent("no answer in time")

    def _failure(self):
        return Failed((LIB.PQerrorMessage(self.raw) or b"the connection broke").decode())

    def _on_notice(self, _, result):
        if LIB.PQresultErrorField(result, PG_DIAG_SQLSTATE) == b"01000":
            self.warned = True


def ask(port, statement, timeout_s=5.0, host="127.0.0.1"):
    """The first field of a statement on a connection of its own."""
    with Connection(port, timeout_s, host=host) as connection:
        rows = connection.run(statement, timeout_s)
    return rows[0][0] if rows else ""
