"""Telling open pages that something was recorded: one look at the ledger for all of them, twice a second."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict

from bot.errors import VaultkeelError
from bot.ledger.browse import Newest

LOOK_EVERY_S = 0.5
SILENT_S = 15.0
MOST_LISTENERS = 64


class Live:
    """The newest state of the ledger, and who waits for the next one. `look` may take its time: it runs in a thread."""

    def __init__(self, look: Callable[[], Newest]) -> None:
        self._look = look
        self._newest: Newest | None = None
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.listeners = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks while the context is open."""
        self._task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while True:
            try:
                found = await asyncio.to_thread(self._look) if self.listeners else self._newest
            except VaultkeelError:
                found = None  # the pages say themselves what is wrong with the ledger
            if found != self._newest:
                async with self._changed:
                    self._newest = found
                    self._changed.notify_all()
            await asyncio.sleep(LOOK_EVERY_S)

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events: `recorded` with the newest ids at the start and after every change."""
        self.listeners += 1
        seen: Newest | None = None
        try:
            yield "retry: 1000\n\n"
            while True:
                if self._newest is not None and self._newest != seen:
                    seen = self._newest
                    yield f"event: recorded\ndata: {json.dumps(asdict(seen))}\n\n"
                try:
                    await asyncio.wait_for(self._next(seen), SILENT_S)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self.listeners -= 1

    async def _next(self, seen: Newest | None) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._newest is not None and self._newest != seen)
