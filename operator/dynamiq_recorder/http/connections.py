"""uvicorn's protocol with limits on what a connection may cost before anybody knows whose it is: time and bytes until a head is there."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_WITHIN = 10.0
HEAD_MAX = 32 * 1024
TAKEN_WITHIN = 30.0
"""Seconds for an answer to be taken on."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head, self._is_head = 0, True
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_WITHIN, transport.abort)
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_head:
            if self._head == 0 and self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_WITHIN, self.transport.abort)
            self._head += len(data)
        super().data_received(data)
        if self._is_head and self._head > HEAD_MAX and not self.transport.is_closing():
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._is_head, self._head = False, 0
        self._cancel()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_head, self._head = True, 0

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(TAKEN_WITHIN, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _cancel(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
