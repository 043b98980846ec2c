"""What all local services have in common: they start and stop, and stand in `with` statements."""

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class LocalService(ABC):
    """Something that runs between `start` and `stop`; `with` and `async with` call both."""

    @abstractmethod
    def start(self) -> Self:
        """Start it, if it is not running."""

    @abstractmethod
    def stop(self) -> None:
        """End it; nothing if it is not running."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)
