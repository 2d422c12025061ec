"""A finding: one line about an exported version or how it is to be served, with the fix."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """One breach of the contract, or a note of what a server can do without.

    Args:
        subject: Where it is: a signature, an operation, a file.
        problem: What is wrong, and what comes of it.
        remedy: What to do.
        note: Whether the version can be served all the same.
    """

    subject: str
    problem: str
    remedy: str
    note: bool = False

    def __str__(self) -> str:
        start = "note: " if self.note else ""
        return f"{start}{self.subject}: {self.problem} Fix: {self.remedy}"
