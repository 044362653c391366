"""How workers tell the driver of steps and checkpoints, and hear whether to stop."""

from __future__ import annotations

import asyncio
from typing import Any

import ray


@ray.remote(num_cpus=0, max_concurrency=64)
class Mailbox:
    """An actor between the worker group and the driver.

    It outlives worker groups: a group that was restarted writes to the same mailbox.
    """

    def __init__(self) -> None:
        self._letters: asyncio.Queue[tuple[str, int, Any] | None] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._count = 0

    async def post(self, kind: str, value: Any) -> None:
        """Leave a letter; nobody waits."""
        await self._letters.put((kind, -1, value))

    async def ask(self, kind: str, value: Any) -> Any:
        """Leave a letter and wait for its answer."""
        number = self._count
        self._count += 1
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._letters.put((kind, number, value))
        return await self._answers[number]

    async def next(self) -> tuple[str, int, Any] | None:
        """The next letter: kind, number to answer to (−1 if none is awaited) and value. None when closed."""
        return await self._letters.get()

    async def answer(self, number: int, value: Any) -> None:
        """Answer a letter; its sender may be dead by now."""
        waiting = self._answers.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(value)

    async def close(self) -> None:
        """No letter will come any more."""
        await self._letters.put(None)
