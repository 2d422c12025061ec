"""What can go wrong between a client and a server: one hierarchy, with the canonical codes."""

from __future__ import annotations

import enum
import re

LATE = "Timed out waiting for notification"  # as TensorFlow says it
LONGEST = 4096  # bytes of a message; all metadata of a call have 8 KiB in gRPC
TOO_MANY_ROWS = "Task size {} is larger than maximum input batch size {}"  # of TensorFlow Serving's
STOPPING = "The server is stopping."


class Code(enum.Enum):
    """A canonical status: its number in gRPC and TensorFlow, and TensorFlow Serving's for HTTP."""

    OK = (0, 200)
    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    ABORTED = (10, 409)
    OUT_OF_RANGE = (11, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    DATA_LOSS = (15, 500)
    UNAUTHENTICATED = (16, 401)

    @property
    def number(self) -> int:
        """As gRPC and TensorFlow count them."""
        return self.value[0]

    @property
    def http(self) -> int:
        """The HTTP status."""
        return self.value[1]


class ServingError(RuntimeError):
    """A failed request.

    Args:
        message: The error, truncated if long, because it may quote the request.
        code: The canonical code.
    """

    code: Code

    def __init__(self, message: str, code: Code = Code.UNKNOWN) -> None:
        super().__init__(_cut(message))
        self.code = code


def _cut(message: str) -> str:
    size = 0
    for place, letter in enumerate(message):
        # As gRPC writes it: others than those of ASCII as "%", and two digits for each byte.
        size += 1 if " " <= letter <= "~" else 3 * len(letter.encode(errors="surrogatepass"))
        if size > LONGEST:
            return f"{message[:place]} ... ({len(message):,} characters)"
    return message


class InvalidRequest(ServingError):
    """The request is invalid; retrying does not help."""

    def __init__(self, message: str, code: Code = Code.INVALID_ARGUMENT) -> None:
        super().__init__(message, code)


class NotFound(ServingError):
    """The model, version or label does not exist."""

    def __init__(self, message: str, code: Code = Code.NOT_FOUND) -> None:
        super().__init__(message, code)


class DeadlineExceeded(ServingError):
    """The deadline passed; the computation was stopped."""

    def __init__(self, message: str, code: Code = Code.DEADLINE_EXCEEDED) -> None:
        super().__init__(message, code)


class Overloaded(ServingError):
    """Too many concurrent requests, or a message that is too large."""

    def __init__(self, message: str, code: Code = Code.RESOURCE_EXHAUSTED) -> None:
        super().__init__(message, code)


class Unavailable(ServingError):
    """The server cannot be reached, is busy, starting or stopping, or disconnected."""

    def __init__(self, message: str, code: Code = Code.UNAVAILABLE) -> None:
        super().__init__(message, code)


_KINDS: dict[Code, type[ServingError]] = {
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.FAILED_PRECONDITION: InvalidRequest,
    Code.OUT_OF_RANGE: InvalidRequest,
    Code.NOT_FOUND: NotFound,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.RESOURCE_EXHAUSTED: Overloaded,
    Code.UNAVAILABLE: Unavailable,
}
_BY_NUMBER = {code.number: code for code in Code}
# Where several codes share a status, the first; and what proxies and size limits answer.
_BY_HTTP = {code.http: code for code in reversed(Code)} | {
    413: Code.RESOURCE_EXHAUSTED,
    500: Code.INTERNAL,
    502: Code.UNAVAILABLE,
}


def error_of(code: Code, message: str) -> ServingError:
    """The error of a code, of its own kind."""
    return _KINDS.get(code, ServingError)(message, code)


def error_of_number(number: int, message: str) -> ServingError:
    """The error of TensorFlow's or gRPC's number."""
    return error_of(_BY_NUMBER.get(number, Code.UNKNOWN), message)


def error_of_http(status: int, message: str) -> ServingError:
    """The error of an HTTP status."""
    return error_of(_BY_HTTP.get(status, Code.UNKNOWN), message)


def too_many_rows(rows: int, most: int) -> InvalidRequest:
    """The error of a request of more rows than a server that merges requests takes."""
    return InvalidRequest(TOO_MANY_ROWS.format(rows, most))


def most_rows(message: str) -> int | None:
    """The most rows that such an error says the server takes; None if it is another error."""
    found = re.search(TOO_MANY_ROWS.format(r"\d+", r"(\d+)"), message)
    return int(found.group(1)) if found and int(found.group(1)) else None
