"""
`make image-check`: the steps of the Dockerfile without a container engine.

What the build stage copies and runs is done in a clean folder, with a bare environment, from what git has committed;
the paths of the image are moved into that folder. Then the result is used as the image would use it. What needs an
engine or another root is not done: apt-get, the base image, the user, the volume, the limits.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SHELL: Final = ("/bin/sh", "-ec")
NOT_HERE: Final = "apt-get "
# What pip needs to find packages, on this machine as on another.
KEPT: Final = ("HOME", "LANG", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")


def main() -> None:
    """Build and use it; an AssertionError or a failed command says what is wrong."""
    stages = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    with TemporaryDirectory(prefix="nextmove-image-") as folder:
        place = Place(Path(folder))
        place.build(stages[0])
        place.use(stages[1])
    say("the image's steps work here; not tried: apt-get, the base image, the user, the volume, limits, compose.yaml")


class Place:
    """A clean folder that stands for the root of the image."""

    def __init__(self, root: Path) -> None:
        """Unpack what is committed, and make the Python that stands for the base image's."""
        self._moved = {"/build": str(root / "build"), "/opt/nextmove": str(root / "nextmove")}
        self._context, self._elsewhere = root / "context", root / "elsewhere"
        for path in (self._context, self._elsewhere, root / "build"):
            path.mkdir()
        committed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x"], cwd=self._context, input=committed.stdout, check=True)
        subprocess.run([sys.executable, "-m", "venv", root / "base"], check=True)
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in KEPT or name.startswith("PIP_")},
            "PATH": f"{root / 'base' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        }
        self._cwd = root / "build"

    def build(self, stage: list[tuple[str, str]]) -> None:
        """Do what the build stage does."""
        for name, rest in stage:
            match name:
                case "ENV":
                    self._environment |= dict(word.split("=", 1) for word in shlex.split(rest))
                case "WORKDIR":
                    self._cwd = Path(self._here(rest))
                case "COPY":
                    self._copy(rest.split())
                case "RUN" if rest.startswith(NOT_HERE):
                    say(f"left out: {rest}")
                case "RUN":
                    say(rest)
                    subprocess.run([*SHELL, self._here(rest)], cwd=self._cwd, env=self._environment, check=True)
                case _:
                    raise AssertionError(f"no way yet to do {name} {rest}")

    def use(self, stage: list[tuple[str, str]]) -> None:
        """Run the entry point from another folder, and the health check against an answer of each kind."""
        told = dict(stage)  # of ENTRYPOINT and HEALTHCHECK the last counts
        self._environment |= {"PATH": f"{self._here('/opt/nextmove')}/bin:/usr/bin:/bin"}
        entry = json.loads(told["ENTRYPOINT"])
        assert self._run(*entry, "--version").startswith(b"nextmove ")
        self._run(*entry, "generate", "--out", "day.jsonl", "--events", "2000")
        summary = self._run(*entry, "run", "day.jsonl", "--out", "out", "--recovery", "state", "--restart", "1")
        assert summary.startswith(b"Done: 2,000 records"), summary
        data = [path.relative_to(self._context) for path in self._context.glob("con*/*.*") if path.suffix != ".py"]
        code = "import config, pathlib; print(pathlib.Path(config.__file__).parent.parent)"
        installed = Path(self._run("python", "-I", "-c", code).decode().strip())
        assert self._here("/opt/nextmove") in str(installed), f"{installed} is not what was built"
        missing = [str(path) for path in data if not (installed / path).exists()]
        assert not missing, f"not in the wheel: {missing}"
        self._check_health(json.loads(told["HEALTHCHECK"].partition("CMD ")[2]))

    def _check_health(self, command: list[str]) -> None:
        for status, healthy in ((200, True), (503, False)):
            with HTTPServer(("127.0.0.1", 0), _answering(status)) as server:
                threading.Thread(target=server.handle_request, daemon=True).start()
                environment = self._environment | {"NEXTMOVE_TELEMETRY_PORT": str(server.server_port)}
                result = subprocess.run(command, env=environment, capture_output=True, check=False)
                assert (result.returncode == 0) is healthy, f"{status} is healthy: {not healthy}"

    def _copy(self, names: list[str]) -> None:
        *sources, target = names
        ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        for source in sources:
            assert f"!{source}" in ignored, f"{source} is copied, but .dockerignore keeps it out"
            path = self._context / source
            if path.is_dir():
                shutil.copytree(path, self._cwd / target)
            else:
                shutil.copy2(path, self._cwd / target)

    def _here(self, text: str) -> str:
        for path, moved in self._moved.items():
            text = text.replace(path, moved)
        return text

    def _run(self, *command: str) -> bytes:
        say(" ".join(command))
        return subprocess.run(
            command, cwd=self._elsewhere, env=self._environment, stdout=subprocess.PIPE, check=True
        ).stdout


def instructions(text: str) -> list[list[tuple[str, str]]]:
    """Read the instructions of each stage: the name and what follows it on one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stages.append([])
        else:
            stages[-1].append((name, " ".join(rest.split())))
    return stages


def _answering(status: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    return Handler


def say(line: str) -> None:
    """Tell what is done."""
    sys.stdout.write(f"image-check: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
