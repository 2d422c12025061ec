"""What the server needs of a protocol, whichever it is."""

from __future__ import annotations

from typing import Protocol


class Front(Protocol):
    """One protocol at one port.

    Attributes:
        address: Where clients find it.
    """

    @property
    def address(self) -> str:
        """Where clients find it."""

    def start(self) -> None:
        """Answers from now on.

        Raises:
            RuntimeError: it could not start.
        """

    def stop(self, grace: float) -> None:
        """Takes no more requests, gives those under way so many seconds, and ends them."""


def authority(host: str, port: int) -> str:
    """ "host:port", as gRPC and URLs write it: an address of IPv6 stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
