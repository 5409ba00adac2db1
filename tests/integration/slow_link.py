# SPDX-License-Identifier: Apache-2.0
"""A way to a port of this machine that takes time, or lets little through: what is far away, or
behind a narrow line, is so for whoever connects to `port` instead. Each direction delays by itself."""
import asyncio
import threading
import time

PIECE = 16 * 1024


class SlowLink:
    """Listens on `port`, and passes everything on to `target`. There: `delay_s` later, and at most
    `bytes_per_s` of all connections together (0: as much as comes). Back: at once, or `back_s`
    later. Both may be changed while it runs."""

    def __init__(self, port, target, delay_s=0.0, back_s=0.0, bytes_per_s=0):
        self.port, self.target = port, target
        self.delay_s, self.back_s, self.bytes_per_s = delay_s, back_s, bytes_per_s
        self.free_at = 0.0  # when the line has let through what it was given
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._on_connect, "127.0.0.1", self.port))
        started.set()
        self.loop.run_forever()

    async def _on_connect(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self.loop.create_task(self._pass_on(reader, far_writer, there=True))
        self.loop.create_task(self._pass_on(far_reader, writer, there=False))

    async def _pass_on(self, reader, writer, there):
        """What was read waits in order; the queue is as long as a line's own buffer would be."""
        waiting = asyncio.Queue(64)
        task = self.loop.create_task(self._deliver(waiting, writer))
        try:
            while True:
                piece = await reader.read(PIECE)
                if not piece:
                    break
                await waiting.put((self._due(len(piece), there), piece))
        except OSError:
            pass
        await waiting.put((0, None))
        await task

    def _due(self, size, there):
        now = time.monotonic()
        if there and self.bytes_per_s:
            self.free_at = max(self.free_at, now) + size / self.bytes_per_s
            return self.free_at + self.delay_s
        return now + (self.delay_s if there else self.back_s)

    async def _deliver(self, waiting, writer):
        try:
            while True:
                due, piece = await waiting.get()
                if piece is None:
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
