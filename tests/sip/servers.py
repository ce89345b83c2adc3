"""
Kamailio and SIPp on loopback, from Debian's packages: a proxy that tells of calls as JSON, and phones that make them.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from tests.services.debian import Program, program
from tests.services.process import HOST, STATE, Server, free_ports

HERE: Final = Path(__file__).resolve().parent
AGENTS: Final = 6  # extensions 2001 to 2006
CALL_S_MAX: Final = 30  # the longest takes four
DATAGRAM_BYTES_MAX: Final = 65_535


def kamailio_program() -> Program:
    """Return a Kamailio that starts here; raises as `debian.program`."""
    return program("kamailio", ("kamailio", "kamailio-extra-modules", "kamailio-json-modules"), _say)


def sipp_program() -> Program:
    """Return a SIPp that starts here; raises as `debian.program`."""
    return program("sipp", ("sip-tester",), _say)


def _say(line: str) -> None:
    """Tell whoever waits what is fetched."""
    sys.stderr.write(f"{line}\n")


class Listener:
    """Takes datagrams and keeps them, each with the instant (ms) at which it came."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self.lines: list[tuple[int, bytes]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (HOST, self.port))
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while datagram := self._socket.recv(DATAGRAM_BYTES_MAX):
            self.lines.append((time.time_ns() // 1_000_000, datagram))


class Kamailio(Server):
    """The proxy of kamailio.cfg. `agents` are the ports of the agents' phones, from 2001 on."""

    name = "Kamailio"

    def __init__(self, folder: Path, events_port: int, agents: list[int]) -> None:
        super().__init__(folder)
        self.port = free_ports(1)[0]
        self._ports = {"PROXY_PORT": self.port, "EVENTS_PORT": events_port}
        self._ports |= {f"AGENT_{number}_PORT": port for number, port in enumerate(agents, 1)}
        self._program = kamailio_program()

    def answers(self) -> bool:
        """Ask what it can do."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind((HOST, 0))
            asking.settimeout(1)
            mine = f"{HOST}:{asking.getsockname()[1]}"
            asking.sendto(_OPTIONS.format(mine=mine, proxy=f"{HOST}:{self.port}").encode(), (HOST, self.port))
            try:
                return b"200" in asking.recv(DATAGRAM_BYTES_MAX).partition(b"\r\n")[0]
            except TimeoutError:
                return False

    def _environment(self) -> Mapping[str, str]:
        # Its modules' own libraries lie in a folder of their own.
        given = self._program.environment
        own = [str(path.parent) for path in self._modules()]
        return {**given, "LD_LIBRARY_PATH": ":".join([*own, *filter(None, [given.get("LD_LIBRARY_PATH")])])}

    def _modules(self) -> list[Path]:
        """Find the modules of one that was unpacked, which looks for them where it would have been installed."""
        is_installed = not self._program.path.startswith(str(STATE))
        return [] if is_installed else list((STATE / "kamailio").glob("usr/lib/*/kamailio/modules"))

    def _command(self) -> list[str]:
        ports = [f"--substdef=!{name}!{port}!g" for name, port in self._ports.items()]
        modules = [option for path in self._modules() for option in ("-L", f"{path}/")]
        run = ["-DD", "-E", "-w", str(self.folder), "-Y", str(self.folder), "-m", "32", "-M", "8"]
        return [self._program.path, "-f", str(HERE / "kamailio.cfg"), *run, *modules, *ports]


class Phone:
    """A SIPp that plays a scenario once, as the one who calls or the one who is called."""

    def __init__(self, scenario: str, folder: Path, port: int, calls: tuple[int, str] | None = None) -> None:
        """`calls`: the proxy's port and the number to call; None waits for a call."""
        session = uuid.uuid4().hex  # what a customer's phone says in all dialogs of one call (RFC 7989)
        installed = sipp_program()
        self.name = scenario
        self._log = folder / f"{scenario}.log"
        remote = [f"{HOST}:{calls[0]}", "-s", calls[1]] if calls else []
        command = [installed.path, *remote, "-sf", str(HERE / "scenarios" / f"{scenario}.xml"), "-i", HOST]
        command += [
            "-p",
            str(port),
            "-key",
            "session",
            session,
            "-m",
            "1",
            "-nostdin",
            "-timeout",
            f"{CALL_S_MAX}s",
            "-timeout_error",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-trace_err", "-error_file", str(self._log) + ".errors"],
                cwd=folder,
                env={**os.environ, **installed.environment, "TERM": "dumb"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def finish(self) -> str:
        """Wait until the scenario is over; return what went wrong, "" for nothing."""
        try:
            code = self._process.wait(CALL_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} did not end"
        if code == 0:
            return ""
        errors = Path(str(self._log) + ".errors")
        told = errors.read_text(errors="replace") if errors.exists() else self._log.read_text(errors="replace")
        return f"{self.name} ended with {code}: {told[:1500]}"

    def kill(self) -> None:
        """End it now."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


_OPTIONS: Final = (
    "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {mine};branch=z9hG4bK-hello\r\n"
    "From: <sip:hello@{mine}>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: hello@{mine}\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 10\r\nContent-Length: 0\r\n\r\n"
)
