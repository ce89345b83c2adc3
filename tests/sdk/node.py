"""
The libraries for Node.js, from npm into .services/node: which ones and their versions are in package.json, what they
lean on in package-lock.json.

To renew them: change package.json, then `npm install --package-lock-only` in this folder.
"""

import fcntl
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.services.process import STATE, UnavailableError

HERE: Final = Path(__file__).parent
FILES: Final = ("package.json", "package-lock.json", ".npmrc")
FETCH_S_MAX: Final = 240  # below the time-out of a test, so that the reason is told


def node() -> str:
    """
    Return the path of Node.js.

    Raises:
        UnavailableError: there is none.
    """
    path = shutil.which("node")
    if path is None:
        raise UnavailableError("no Node.js for the libraries that are JavaScript (node)")
    return path


def node_modules(say: Callable[[str], None] = lambda _: None) -> Path:
    """
    Return the folder of the libraries; npm fills it when it was not filled from the files that lie here.

    Raises:
        UnavailableError: there is no npm, or it could not get them.
    """
    folder = STATE / "node"
    told = "\n".join((HERE / name).read_text(encoding="utf-8") for name in FILES)
    filled_from = folder / "filled-from"
    STATE.mkdir(exist_ok=True)
    with (STATE / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs in one checkout
        if filled_from.exists() and filled_from.read_text(encoding="utf-8") == told:
            return folder / "node_modules"
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableError("no npm to fetch the libraries that are JavaScript with (npm)")
        say("Fetching client libraries with npm into .services/node; once, until tests/sdk/package.json changes")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in FILES:
            shutil.copy(HERE / name, folder)
        _install(npm, folder)
        filled_from.write_text(told, encoding="utf-8")  # last, so that a copy cut short is begun anew
        return folder / "node_modules"


def _install(npm: str, folder: Path) -> None:
    try:
        # Not `npm ci`, which wants the lock to have the binaries for every other system too.
        subprocess.run(
            [npm, "install", "--loglevel=error"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            timeout=FETCH_S_MAX,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"npm did not get the client libraries in {FETCH_S_MAX} s") from None
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"npm did not get the client libraries: {error.stderr[:500].strip()}") from None
