"""Compiles the modules that every event passes through; `docs/decisions/0007-compiled-core.md` says why.

Everything else about the package stands in pyproject.toml. A module of this list defines no msgspec struct, for
mypyc does not keep the annotations that msgspec reads.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

COMPILED = [
    "connectors/formats/canonical.py",
    "connectors/formats/common.py",
    "connectors/formats/decoding.py",
    "connectors/formats/identifiers.py",
    "connectors/formats/made.py",
    "connectors/formats/products.py",
    "connectors/formats/pseudonyms.py",
    "connectors/formats/screening.py",
    "connectors/formats/segment.py",
    "connectors/formats/segment_names.py",
    "connectors/formats/segment_rows.py",
    "connectors/redis_names.py",
    "connectors/redis_recent.py",
    "operators/activity.py",
    "operators/also.py",
    "operators/attribution.py",
    "operators/browse.py",
    "operators/call.py",
    "operators/call_assembly.py",
    "operators/call_course.py",
    "operators/callers.py",
    "operators/caps.py",
    "operators/cart.py",
    "operators/cart_lines.py",
    "operators/cart_state.py",
    "operators/case.py",
    "operators/claim.py",
    "operators/consent.py",
    "operators/contacts.py",
    "operators/crediting.py",
    "operators/decision.py",
    "operators/duplicates.py",
    "operators/erasure.py",
    "operators/event.py",
    "operators/experiment.py",
    "operators/footprint.py",
    "operators/held.py",
    "operators/identity.py",
    "operators/ids.py",
    "operators/lead.py",
    "operators/leg.py",
    "operators/leg_track.py",
    "operators/local_time.py",
    "operators/memory.py",
    "operators/moment.py",
    "operators/ordered.py",
    "operators/packing.py",
    "operators/past.py",
    "operators/payload.py",
    "operators/person.py",
    "operators/planning.py",
    "operators/plans.py",
    "operators/policy.py",
    "operators/priority.py",
    "operators/profile.py",
    "operators/profile_state.py",
    "operators/rate.py",
    "operators/reach.py",
    "operators/recent.py",
    "operators/refractory.py",
    "operators/request.py",
    "operators/rule_book.py",
    "operators/session.py",
    "operators/stitching.py",
    "operators/undoing.py",
    "operators/unmerge.py",
    "pipeline/away.py",
    "pipeline/calls.py",
    "pipeline/deal.py",
    "pipeline/desk.py",
    "pipeline/exchange.py",
    "pipeline/gather.py",
    "pipeline/key_groups.py",
    "pipeline/lead_groups.py",
    "pipeline/messages.py",
    "pipeline/purges.py",
    "pipeline/resolve.py",
    "pipeline/states.py",
    "pipeline/timers.py",
    "pipeline/watermark.py",
]


ROOT = Path(__file__).resolve().parent


def built() -> list[Path]:
    """Find the compiled modules that lie beside their sources."""
    folders = (ROOT / folder for folder in ("operators", "connectors", "pipeline"))
    return [*ROOT.glob("*__mypyc*.so"), *(path for folder in folders for path in folder.rglob("*.so"))]


def missing() -> str:
    """Say what is not there to compile with, "" where all is."""
    if os.environ.get("NEXTMOVE_COMPILE", "1") == "0":
        return "NEXTMOVE_COMPILE is 0"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler})"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "no Python.h: install Python's headers (python3-dev)"
    return ""


def extensions() -> list[Extension]:
    """Return what is to be compiled: nothing where it cannot be, for the same modules run interpreted too."""
    reason = missing()
    if reason:
        sys.stderr.write(f"nextmove is not compiled and will run at a fraction of its speed: {reason}\n")
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 -- needed only where there is a compiler

    compiled: list[Extension] = mypycify(COMPILED, opt_level="3", debug_level="0", group_name="nextmove")
    return compiled


for path in built():
    path.unlink()  # Python would load it instead of a source that is no longer compiled
setup(ext_modules=extensions())
for path in built():
    os.utime(path)  # one that came out as before is up to date too; tests/conftest.py asks
