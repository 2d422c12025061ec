"""The page at `/`: try the served model, and see its explanations, in a browser.

One file without a build, which asks the same REST interface as every client. It is given what that
interface does not tell: the labels, and what is black and what is white.
"""

from __future__ import annotations

import json
import pathlib
from importlib import resources
from urllib.parse import urlsplit

from tfgig.exported.description import Description, read_description
from tfgig.exported.directory import versions
from tfgig.spec import check

_ABOUT = '<script type="application/json" id="about">{}</script>'


class Page:
    """The page of a model.

    Args:
        base: The model's directory.
        name: What clients call the model.
        server: The REST address of another server of the same model, which the page asks instead;
            None for the server it comes from.

    Raises:
        ValueError: that is no address.
    """

    def __init__(self, base: pathlib.Path, name: str, server: str | None = None) -> None:
        self._base, self._name = base, name
        self._server = None if server is None else address_of(server)

    def html(self) -> bytes:
        """The page with what the newest version says of itself, in UTF-8."""
        found = list(versions(self._base).values())
        described = read_description(found[-1]) if found else Description()
        about = {
            "model": self._name,
            "server": self._server,
            "labels": described.labels,
            "value_range": described.value_range,
        }
        text = (resources.files(__package__) / "page.html").read_text(encoding="utf-8")
        data = json.dumps(about).replace("<", "\\u003c")  # or a label could end the element
        return text.replace(_ABOUT, _ABOUT.replace("{}", data), 1).encode()

    @property
    def headers(self) -> dict[str, str]:
        """What a browser lets the page do: draw, and ask one server."""
        asked = "'self'" if self._server is None else self._server
        policy = (
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
            f"img-src data: blob:; connect-src {asked}; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        return {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }


def address_of(server: str) -> str:
    """A REST address without the slash at its end.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(server)
    whole = parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/")
    plain = not any(character in server for character in " ;,'\"")
    check(
        bool(whole) and plain and not (parts.query or parts.fragment),
        'The address of a REST server must look like "http://localhost:8501".',
        server,
    )
    return f"{parts.scheme}://{parts.netloc}"
