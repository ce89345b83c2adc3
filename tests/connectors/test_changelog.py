"""
The changelog gives back exactly what was appended up to a checkpoint, or says that it cannot.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.changelog import BLOCK_ENTRIES, HEADER, Changelog, ChangelogError, Entry, Rewrites

KEYS: Final = st.sampled_from(["anna", "ben", "zoë", ""])
ENTRIES: Final = st.lists(st.tuples(KEYS, st.integers(0, 1 << 62), st.binary(max_size=200)), max_size=6)
EPOCHS: Final = st.lists(ENTRIES, min_size=1, max_size=8)


def changelog(folder: Path, name: str = "group", rewrites: Rewrites | None = None) -> Changelog:
    """Prepare the changelog of a group."""
    return Changelog(folder, name, rewrites or Rewrites(), fsync=False)


def entries_in(folder: Path, generation: int, length: int) -> list[Entry]:
    """Load a changelog and close it."""
    loaded = changelog(folder)
    entries = [entry for block in loaded.load(generation, length) for entry in block]
    loaded.close()
    return entries


def latest(entries: list[Entry]) -> dict[str, tuple[int, bytes]]:
    """What holds in the end: of each key the last entry, without those that are gone."""
    last = {key: (due_at, raw) for key, due_at, raw in entries}
    return {key: value for key, value in last.items() if value[1]}


@given(epochs=EPOCHS, chosen=st.integers(0, 7), torn=st.integers(0, 60))
def test_a_checkpoint_gives_back_what_was_appended_up_to_it(epochs: list[list[Entry]], chosen: int, torn: int) -> None:
    """
    Any checkpoint, though more epochs and a piece of one that was torn came after it; those are cut off, and what is
    appended next follows directly.
    """
    chosen %= len(epochs)
    with TemporaryDirectory() as name:
        folder, lengths = Path(name), []
        log = changelog(folder)
        log.start()
        for entries in epochs:
            log.append(entries)
            lengths.append(log.checkpoint())
        log.close()
        path = folder / "group.0.log"
        path.write_bytes(path.read_bytes() + b"\x07" * torn)

        resumed = changelog(folder)
        loaded = [entry for block in resumed.load(*lengths[chosen]) for entry in block]
        size = path.stat().st_size
        resumed.append([("next", 1, b"state")])
        end = resumed.checkpoint()
        resumed.close()

        expected = [entry for entries in epochs[: chosen + 1] for entry in entries]
        assert loaded == expected
        assert (0, size) == lengths[chosen]
        assert entries_in(folder, *end) == [*expected, ("next", 1, b"state")]


@given(epochs=st.lists(ENTRIES, min_size=1, max_size=40))
def test_a_rewrite_keeps_the_last_values(epochs: list[list[Entry]]) -> None:
    """
    Whenever a file is rewritten, the checkpoint names one that holds what held, and so does the one before.
    """
    with TemporaryDirectory() as name:
        folder, live = Path(name), dict[str, tuple[int, bytes]]()
        rewrites = Rewrites()
        log = changelog(folder, rewrites=rewrites)
        log.start()
        before: tuple[tuple[int, int], dict[str, tuple[int, bytes]]] | None = None
        for entries in epochs:
            # Large states, so that a few of them are worth a rewrite.
            larger = [(key, due_at, raw * 30) for key, due_at, raw in entries]
            log.append(larger)
            live |= {key: (due_at, raw) for key, due_at, raw in larger}
            live = {key: value for key, value in live.items() if value[1]}
            log.compact(
                [(key, *value) for key, value in live.items()],
                sum(len(key) + len(raw) + 16 for key, (_, raw) in live.items()),
            )
            at = log.checkpoint()
            for (generation, length), expected in [(at, dict(live)), *([before] if before else [])]:
                data = (folder / f"group.{generation}.log").read_bytes()[:length]
                with TemporaryDirectory() as copy:
                    (Path(copy) / f"group.{generation}.log").write_bytes(data)
                    assert latest(entries_in(Path(copy), generation, length)) == expected
            before = at, dict(live)
        log.close()


def test_a_rewrite_waits_until_enough_was_appended(tmp_path: Path) -> None:
    """
    A file of dead entries is rewritten under the next name; the old one stays for one more checkpoint.
    """
    log = changelog(tmp_path)
    log.start()
    seen = []
    for epoch in range(8):
        log.append([("anna", epoch, bytes(3_000))])
        log.compact([("anna", epoch, bytes(3_000))], 3_020)
        log.checkpoint()
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
    log.close()

    assert seen == [
        ["group.0.log"],
        ["group.0.log"],
        ["group.0.log"],
        ["group.0.log", "group.1.log"],
        ["group.0.log", "group.1.log"],
        ["group.1.log"],
        ["group.1.log", "group.2.log"],
        ["group.1.log", "group.2.log"],
    ]


def test_what_other_runs_left_behind_goes(tmp_path: Path) -> None:
    """
    A start removes every generation of its own name, a load all but its own; other groups' files stay.
    """
    for name in ("group.0.log", "group.7.log", "group-2.0.log", "other.0.log"):
        (tmp_path / name).write_bytes(HEADER)
    log = changelog(tmp_path)
    log.start()
    log.close()
    started = sorted(path.name for path in tmp_path.iterdir())
    for name in ("group.3.log", "group.9.log"):
        (tmp_path / name).write_bytes(HEADER)
    loaded = entries_in(tmp_path, 3, len(HEADER))

    assert started == ["group-2.0.log", "group.0.log", "other.0.log"]
    assert loaded == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["group-2.0.log", "group.3.log", "other.0.log"]


def test_a_long_epoch_is_cut_into_blocks(tmp_path: Path) -> None:
    """
    More entries than a block holds come back in order, block by block.
    """
    entries: list[Entry] = [(f"key-{i}", i, b"x") for i in range(2 * BLOCK_ENTRIES + 1)]
    log = changelog(tmp_path)
    log.start()
    log.append(entries)
    at = log.checkpoint()
    log.close()
    loaded = changelog(tmp_path)
    blocks = list(loaded.load(*at))
    loaded.close()

    assert [len(block) for block in blocks] == [BLOCK_ENTRIES, BLOCK_ENTRIES, 1]
    assert [entry for block in blocks for entry in block] == entries


def written(folder: Path) -> tuple[Path, int]:
    """Write a changelog of one block; return its path and length."""
    log = changelog(folder)
    log.start()
    log.append([("anna", 1, b"state of anna")])
    _, length = log.checkpoint()
    log.close()
    return folder / "group.0.log", length


def test_every_damaged_byte_is_found(tmp_path: Path) -> None:
    """
    Whichever byte of the block is another one, one line says where the block begins and what to do.
    """
    path, length = written(tmp_path)
    sound = path.read_bytes()
    told = set()
    for i in range(len(HEADER), length):
        path.write_bytes(sound[:i] + bytes([sound[i] ^ 0x40]) + sound[i + 1 :])
        with pytest.raises(ChangelogError) as caught:
            entries_in(tmp_path, 0, length)
        told.add(str(caught.value))

    assert told == {f"{path}: damaged at byte {len(HEADER)}; restore its folder from a copy"}


@pytest.mark.parametrize("missing", [1, 10, 30])
def test_a_short_file_is_refused(tmp_path: Path, missing: int) -> None:
    """
    A file without its end, which the checkpoint counted, is not read: one line with both lengths.
    """
    path, length = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-missing])

    with pytest.raises(ChangelogError) as caught:
        entries_in(tmp_path, 0, length)

    assert str(caught.value) == (
        f"{path}: {length - missing} bytes where the checkpoint has {length}; restore its folder"
    )


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """
    One line names the file that the checkpoint names.
    """
    with pytest.raises(ChangelogError) as caught:
        entries_in(tmp_path, 4, 100)

    assert str(caught.value) == (
        f"{tmp_path / 'group.4.log'}: No such file or directory: the checkpoint names it; restore its folder whole"
    )


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """
    A file that does not begin as a changelog does is not one, however long, and is left alone.
    """
    path = tmp_path / "group.0.log"
    path.write_bytes(b"x" * 100)

    with pytest.raises(ChangelogError) as caught:
        entries_in(tmp_path, 0, 50)

    assert str(caught.value) == f"{path}: not a changelog of this version; restore its folder"
    assert path.read_bytes() == b"x" * 100
