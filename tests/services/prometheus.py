"""
A real Prometheus, from Debian, that scrapes one target every second.

    server = Prometheus(folder, target="127.0.0.1:9464")
    server.start()
    server.query("nextmove_triggers_total")
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from tests.services.debian import Program, program
from tests.services.process import HOST, Server, free_ports

PACKAGES: Final = ("prometheus",)


class Prometheus(Server):
    """A Prometheus to ask what it has scraped."""

    name = "Prometheus"

    def __init__(self, folder: Path, target: str) -> None:
        """Scrape `target`, an address."""
        super().__init__(folder)
        (self._port,) = free_ports(1)
        self._target = target
        self._program: Program | None = None

    def answers(self) -> bool:
        """Ask whether it is ready."""
        try:
            with urlopen(f"http://{HOST}:{self._port}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """Return the value of each series by the values of its labels, in the order of their names."""
        with urlopen(f"http://{HOST}:{self._port}/api/v1/query?query={quote(expression)}", timeout=5) as answer:
            told: Any = json.load(answer)
        series = [(row["metric"], float(row["value"][1])) for row in told["data"]["result"]]
        own = {"__name__", "instance", "job"}
        return {
            tuple(value for name, value in sorted(labels.items()) if name not in own): value for labels, value in series
        }

    def _environment(self) -> Mapping[str, str]:
        return self._installed().environment

    def _command(self) -> list[str]:
        config = self.folder / "prometheus.yml"
        job = {"job_name": "nextmove", "static_configs": [{"targets": [self._target]}]}
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
        return [
            self._installed().path,
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self._port}",
        ]

    def _installed(self) -> Program:
        if self._program is None:
            self._program = prometheus_program()
        return self._program


def prometheus_program(say: Callable[[str], None] = lambda _: None) -> Program:
    """Return a Prometheus that starts here; raises as `debian.program`."""
    return program("prometheus", PACKAGES, say)


def promtool_program(say: Callable[[str], None] = lambda _: None) -> Program:
    """Return the tool that checks what Prometheus is to read; it is of the same package."""
    found = prometheus_program(say)
    return Program(str(Path(found.path).with_name("promtool")), found.environment)
