"""Connections over HTTP that have so long to say what they want, and no longer."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0  # from when a request may come until its last header


class Impatient(H11Protocol):
    """uvicorn's protocol, which waits for ever for a head that does not end, with a bound."""

    waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport):
        super().connection_made(transport)
        self._expect_a_head()

    def data_received(self, data):
        super().data_received(data)
        self._expect_a_head()

    def on_response_complete(self):
        super().on_response_complete()
        self._expect_a_head()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self._expect_none()

    def _expect_a_head(self) -> None:
        """Starts the time where no request is under way, and ends it where one is."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_none()
        elif self.waiting is None and not self.transport.is_closing():
            self.waiting = self.loop.call_later(SECONDS, self.transport.close)

    def _expect_none(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
