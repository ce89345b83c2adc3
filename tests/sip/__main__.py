"""
Real calls: `make sip`. SIPp places them through a Kamailio on loopback, nextmove says what they were.

    make sip                                    half a minute; the first time it fetches both from Debian
    make sip RECORD=1                           also writes benchmarks/results/DATE-sip-COMMIT.md
    python -m tests.sip --lines FILE            also writes the lines that Kamailio said, each after when it came
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import keep
from tests.services.process import UnavailableError
from tests.sip.plays import PLAYS, complaints, perform
from tests.sip.records import Record, assembled, legs_of, published
from tests.sip.servers import kamailio_program, sipp_program


def main(arguments: list[str]) -> int:
    """Place the calls, print a line on each; return 1 where something was found wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.sip")
    parser.add_argument("--record", action="store_true", help="write down what was found")
    parser.add_argument("--lines", type=Path, help="write the lines that Kamailio said into this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            lines, faults = perform(Path(folder))
        except UnavailableError as error:
            print(f"sip: {error}", file=sys.stderr)  # noqa: T201 -- what it is for
            return 2
        legs = legs_of(lines)
        records = published(lines, Path(folder))
    who = "the legs, put together here: nextmove publishes no calls" if records is None else "nextmove run"
    records = assembled(legs) if records is None else records
    if len(records) != len(PLAYS):
        faults.append(f"{len(records)} calls, not {len(PLAYS)}")
    for play, record in zip(PLAYS, records, strict=False):
        faults += complaints(play, record)
    rows = [("told by", who), ("lines, legs' records", f"{len(lines)}, {len(legs)}")]
    rows += [(play.name, shown(record)) for play, record in zip(PLAYS, records, strict=False)]
    rows.append(("wrong", str(len(faults))))
    width = max(len(name) for name, _ in rows)
    print("\n".join([f"{name:{width}}  {told}" for name, told in rows] + [f"WRONG: {one}" for one in faults]))  # noqa: T201 -- as above
    if options.lines:
        options.lines.write_bytes(b"".join(b"%d %b\n" % line for line in lines))
    if options.record:
        first = [("Kamailio", version(kamailio_program().path)), ("SIPp", version(sipp_program().path))]
        command = ["python", "-m", "tests.sip", *arguments]
        print(f"recorded in {keep('sip', command, first + rows, faults)}")  # noqa: T201 -- as above
    return bool(faults)


def shown(record: Record) -> str:
    """Return what a record says, in words."""
    told = f"{record.reason}; waited {record.wait_ms} ms, talked {record.talk_ms} ms"
    told += f", held {record.holds} times for {record.hold_ms} ms" if record.holds else ""
    told += f"; agents {', '.join(record.agents)}" if record.agents else ""
    return told + (f"; transfers {', '.join(record.transfers)}" if record.transfers else "")


def version(path: str) -> str:
    """Return the first line with a digit that a program says of its version."""
    program = next(one for one in (kamailio_program(), sipp_program()) if one.path == path)
    done = subprocess.run([path, "-v"], capture_output=True, text=True, env=dict(program.environment), check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if any(map(str.isdigit, line))]
    return lines[0] if lines else "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
