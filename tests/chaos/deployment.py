"""A deployment: one process of nextmove, or several that share the work, each with a supervisor of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.supervisor import Exit, Supervisor


class Deployment:
    """So many shards, which are told things all at once."""

    def __init__(self, config: Path, folder: Path, count: int, arguments: Sequence[str] = ()) -> None:
        """All have the same settings and `arguments`; their logs go to `folder`."""
        self.config, self.folder = config, folder
        self.shards = [
            Supervisor(config, folder / f"logs-{index}-of-{count}", f"{index}/{count}", arguments)
            for index in range(count)
        ]

    def start(self) -> None:
        """Start them, and watch."""
        self._each(Supervisor.start)

    def kill(self) -> None:
        """End all by SIGKILL; the next ones are started at once."""
        self._each(Supervisor.kill)

    def terminate(self) -> None:
        """End all by SIGTERM; the next one of each is started when it has stopped."""
        self._each(Supervisor.terminate)

    def stop(self) -> None:
        """End all by SIGTERM, for good; `start` starts them again."""
        self._each(Supervisor.stop)

    def retire(self) -> None:
        """Start none any more: others are to end those that run, as we want it to be."""
        self._each(Supervisor.retire)

    def join(self) -> None:
        """Wait until all is over."""
        self._each(Supervisor.join)

    def abandon(self) -> None:
        """Leave no process behind, whatever has happened."""
        self._each(Supervisor.abandon)

    def one(self, chance: float) -> Supervisor:
        """Return one of them, by a number from 0 to 1."""
        return self.shards[int(chance * len(self.shards))]

    def some(self, chance: float) -> list[Supervisor]:
        """Return one of them or all, by a number from 0 to 1."""
        which = int(chance * (len(self.shards) + 1))
        return self.shards if which == len(self.shards) else [self.shards[which]]

    @property
    def exits(self) -> list[Exit]:
        """How all processes ended."""
        return [one for shard in self.shards for one in shard.exits]

    @property
    def stops_s(self) -> list[float]:
        """How long each stop of a process by SIGTERM took."""
        return [seconds for shard in self.shards for seconds in shard.stops_s]

    def outputs(self) -> list[str]:
        """Return what each process has printed on stdout."""
        return [text for shard in self.shards for text in shard.outputs()]

    def warnings(self) -> list[str]:
        """Return what each process has said on stderr."""
        return [text for shard in self.shards for text in shard.warnings()]

    def _each(self, do: Callable[[Supervisor], None]) -> None:
        with ThreadPoolExecutor(len(self.shards)) as pool:
            list(pool.map(do, self.shards))
