"""A share of a core for each process that is measured, by control groups of Linux.

Where servers run on the same machine, a second process of ours has no second core to itself. With half a core each, two
of ours take one, and the servers have the other: then it shows what a second process gains by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
# Short beside the tenth of a second in which shards tell each other the time.
PERIOD_US: Final = 20_000
_JOIN: Final = 'echo $$ > "$0" && exec "$@"'


class NoSharesError(Exception):
    """Control groups cannot be made here; the message says why."""


@contextmanager
def shares(count: int, share: float) -> Iterator[list[list[str]]]:
    """Yield for each of `count` processes what goes before its command, for it to get that share of a core at most.

    All of them must have ended when the context is left.

    Raises:
        NoSharesError: this is no Linux with control groups, or they are not ours to make.
    """
    groups: list[Path] = []
    try:
        try:
            for number in range(count):
                group = _group(f"nextmove-bench-{os.getpid()}-{number}", round(share * PERIOD_US))
                groups.append(group)  # one by one: those that are made are removed if one cannot be
        except OSError as error:
            raise NoSharesError(f"no control groups for shares of a core: {error}") from None
        yield [["sh", "-c", _JOIN, str(group / "cgroup.procs")] for group in groups]
    finally:
        for group in groups:
            group.rmdir()


def _group(name: str, quota_us: int) -> Path:
    """Make a group of that quota, by the second version of control groups, or by the first."""
    second = ROOT / "cgroup.controllers"
    group = (ROOT if second.exists() else ROOT / "cpu") / name
    group.mkdir()
    try:
        if second.exists():
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}", encoding="ascii")
        else:
            (group / "cpu.cfs_period_us").write_text(f"{PERIOD_US}", encoding="ascii")
            (group / "cpu.cfs_quota_us").write_text(f"{quota_us}", encoding="ascii")
    except OSError:
        group.rmdir()
        raise
    return group
