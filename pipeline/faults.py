"""What went wrong, in one line (rules: a line or more a fault), and the exit code that says so to scripts."""

from __future__ import annotations

import os
import sys
from typing import Final

import click

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
TOO_MANY_REJECTED: Final = 3
INTERRUPTED: Final = 130  # what shells make of SIGINT


def failed(error: Exception) -> int:
    """Tell what went wrong; return the exit code."""
    from config.journeys import JourneyError
    from config.load import ConfigError
    from connectors.file_source import SourceError
    from connectors.kafka_client import KafkaFault
    from pipeline.recovery import RunError
    from pipeline.run import TooManyRejectedError

    if is_debugging():
        import traceback

        traceback.print_exception(error)
    match error:
        case ConfigError():
            say(str(error))
            return WRONG_USAGE
        case JourneyError():
            for line in str(error).splitlines():
                say(line)
            return WRONG_USAGE
        case TooManyRejectedError():
            say(str(error))
            return TOO_MANY_REJECTED
        case RunError() | KafkaFault() | SourceError():
            say(str(error))
        case BrokenPipeError():  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        case OSError(strerror=str(reason)):
            say(f"{error.filename or 'output'}: {reason}; see to that and run again")
        case _:
            say(_bug(error))
    return FAILED


def _bug(error: BaseException) -> str:
    """Say where our own code broke: the engine wraps what that raised in errors of its own."""
    import traceback

    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"a bug: {what}{where}; set NEXTMOVE_DEBUG=1 for the traceback, and please report it"


def say(line: str) -> None:
    """Write one line on stderr."""
    click.echo(f"nextmove: {line}", err=True)


def clause(message: str) -> str:
    """Make click's sentences the first half of our line."""
    text = " ".join(message.split()).rstrip(".?").replace("'. Did you mean", "', did you mean")
    return text[:1].lower() + text[1:]


def is_debugging() -> bool:
    """Tell whether whoever runs this wants tracebacks."""
    return os.environ.get("NEXTMOVE_DEBUG", "") not in ("", "0")
