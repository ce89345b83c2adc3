"""
Programs of Debian's packages, unpacked into .services: that needs no root and changes nothing of the machine, where
installing would, and would start a server.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.services.process import STATE, UnavailableError

FETCH_S_MAX: Final = 120  # each step


class Program(NamedTuple):
    """A program that starts here: its path, and the environment that it needs."""

    path: str
    environment: Mapping[str, str]


def program(name: str, packages: Sequence[str], say: Callable[[str], None]) -> Program:
    """
    Return the program `name` of the path, else the one of the first of `packages`, fetched when it is not there.

    Raises:
        UnavailableError: there is none, and no Debian to get it from.
    """
    installed = shutil.which(name)
    if installed is not None:
        return Program(installed, os.environ)
    folder = STATE / name
    STATE.mkdir(exist_ok=True)
    with (STATE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one checkout
        if not folder.exists():
            if shutil.which("apt-get") is None:
                raise UnavailableError(f"no {name}, and no apt-get to fetch it with")
            say(f"Fetching Debian's {name} into .services/{name}, once")
            try:
                _unpack(packages, folder)
            except UnavailableError as error:
                raise UnavailableError(f"no {name}, and {error}") from None
    libraries = [str(path) for path in folder.glob("**/lib/*-linux-*") if path.is_dir()]
    search = ":".join([*libraries, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    path = next((path for path in (folder / "usr/bin" / name, folder / "usr/sbin" / name) if path.exists()), None)
    if path is None:
        raise UnavailableError(f"no {name} among the programs of {packages[0]}")
    return Program(str(path), {**os.environ, "LD_LIBRARY_PATH": search})


def _unpack(packages: Sequence[str], folder: Path) -> None:
    """Fetch packages and what of their dependencies the machine lacks; unpack all of it into `folder`."""
    apt_folder = STATE / "apt"
    shutil.rmtree(apt_folder, ignore_errors=True)
    for inner in ("lists/partial", "cache/archives/partial"):
        (apt_folder / inner).mkdir(parents=True)
    # Its own lists, always new: the machine's may be missing or name versions that are gone, and are root's to renew.
    apt = ["apt-get", "--quiet", "--yes"]
    options = {"Dir::State::lists": f"{apt_folder}/lists", "Dir::Cache": f"{apt_folder}/cache"}
    options |= {"Debug::NoLocking": "true", "APT::Sandbox::User": ""}
    apt += [f"--option={name}={value}" for name, value in options.items()]
    _run([*apt, "update"], apt_folder)
    plan = _run([*apt, "--simulate", "--no-install-recommends", "install", *packages], apt_folder)
    missing = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
    _run([*apt, "download", *sorted({*missing, *packages})], apt_folder)
    for package in apt_folder.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(apt_folder / "root")], apt_folder)
    (apt_folder / "root").rename(folder)  # whole or not at all
    shutil.rmtree(apt_folder)


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, check=True, text=True, timeout=FETCH_S_MAX, env=_in_english()
        )
    except FileNotFoundError:
        raise UnavailableError(f"no {command[0]} to fetch it with") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"apt did not get it in {FETCH_S_MAX} s") from None
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"apt did not get it: {error.stderr[-500:].strip()}") from None
    return done.stdout


def _in_english() -> Mapping[str, str]:
    return {**os.environ, "LC_ALL": "C"}
