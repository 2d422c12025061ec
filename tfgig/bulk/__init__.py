"""Bulk: explains millions of table rows, images, texts or records, and summarizes the results.

`tfgig-bulk` is the program. It needs the extra `bulk`; Spark needs Java 17 or later.
"""

from tfgig.bulk.extra import check_extra

check_extra("pyarrow")

from tfgig.bulk.frames import explain  # noqa: E402
from tfgig.bulk.running import on_this_machine, prepare, run_job  # noqa: E402
from tfgig.bulk.settings import Settings  # noqa: E402
from tfgig.bulk.summary import summarize  # noqa: E402

__all__ = ("Settings", "explain", "on_this_machine", "prepare", "run_job", "summarize")
