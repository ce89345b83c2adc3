"""
A settings file is read whole or refused in one line that says where, why and what to do.
"""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import DAY, MINUTE
from config.load import ConfigError, describe, load
from config.settings import CheckpointSettings, DeadLettersSettings, Settings, SourceSettings
from config.visits import GapSettings, SessionSettings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A file to be read under the name that messages are to show.
    """
    monkeypatch.chdir(tmp_path)
    return Path("prod.yaml")


def refusal(file: Path, content: str | bytes) -> str:
    """
    What `load` says of this content.
    """
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as raised:
        load(file)
    return str(raised.value)


def test_without_a_file_the_defaults_hold() -> None:
    """
    `nextmove run` needs no settings file.
    """
    assert load(None) == Settings()


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "---\n", "session:\n", "session: {gap: }\ncart: {}\n"])
def test_what_a_file_leaves_out_keeps_its_default(file: Path, content: str) -> None:
    """
    An empty file, and a section whose lines are all commented out, are the defaults.
    """
    file.write_text(content)
    assert load(file) == Settings()


def test_a_file_says_only_what_differs(file: Path) -> None:
    """
    Of each section what is named changes, and the rest stays; of channels too.
    """
    file.write_text(
        "session:\n"
        "  gap: {web: 20m, sms: 1h30m, chat: 0, phone: null}\n"
        "checkpoint: {interval: 500ms, fsync: on}\n"
        "dead_letters: {ratio_max: 0}\n"
        "source: {batch_records: 1_000, lateness: 0, format: segment}\n"
    )
    assert load(file) == Settings(
        session=SessionSettings(
            gap=GapSettings(
                web_ms=1_200_000,
                app_ms=1_800_000,
                chat_ms=0,
                phone_ms=0,
                sms_ms=5_400_000,
                email_ms=0,
                social_ms=0,
                server_ms=0,
            )
        ),
        checkpoint=CheckpointSettings(interval_ms=500, fsync=True),
        dead_letters=DeadLettersSettings(ratio_max=0.0),
        source=SourceSettings(batch_records=1_000, lateness_ms=0, format="segment"),
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("session: {gpa: {}}", "unknown key session.gpa; did you mean gap?"),
        ("sesion: {}", "unknown key sesion; did you mean session?"),
        ("source: {lateness_ms: 30s}", "unknown key source.lateness_ms; did you mean lateness?"),
        ("memory: 2h", "unknown key memory; did you mean session.memory or calls.memory?"),
        ("checkpoint: {zebra: 1}", "unknown key checkpoint.zebra; known here: interval, folder, fsync"),
        ("checkpoint: {1: 1}", "unknown key checkpoint.1; known here: interval, folder, fsync"),
        (
            "session: {gap: {fax: 5m}}",
            "unknown key session.gap.fax; known here: web, app, chat, phone, sms, email, social, server",
        ),
        ('output: {"a\\nb": 1}', "unknown key 'output.a\\nb'; known here: source"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(file: Path, content: str, complaint: str) -> None:
    """
    A misspelt setting is never silently the default; one in the wrong section is told its place.
    """
    assert refusal(file, content) == f"prod.yaml: {complaint}"


DURATION = "written as 500ms, 30m or 1h30m"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "session: {gap: {web: 30}}",
            f"session.gap.web is 30 but must be a duration from 0s to 24h, {DURATION}",
        ),
        (
            "session: {gap: {web: 30 minutes}}",
            f"session.gap.web is 30 minutes but must be a duration from 0s to 24h, {DURATION}",
        ),
        (
            "cart: {cart_delay: }",
            f"cart.cart_delay is empty but must be a duration from 1s to 30d, {DURATION}",
        ),
        (
            "cart: {cart_delay: 1:30}",
            f"cart.cart_delay is 90 but must be a duration from 1s to 30d, {DURATION}",
        ),
        (
            "cart: {cart_delay: yes}",
            f"cart.cart_delay is true but must be a duration from 1s to 30d, {DURATION}",
        ),
        (
            "cart: {cart_delay: 0.0}",
            f"cart.cart_delay is 0.0 but must be a duration from 1s to 30d, {DURATION}",
        ),
        (
            "cart: {browse_views_min: many}",
            "cart.browse_views_min is many but must be a whole number from 0 to 1000",
        ),
        ("key_groups: 1.5", "key_groups is 1.5 but must be a whole number from 1 to 4096"),
        ("key_groups: true", "key_groups is true but must be a whole number from 1 to 4096"),
        ("key_groups: '64'", "key_groups is 64 but must be a whole number from 1 to 4096"),
        ("key_groups: [64]", "key_groups is a list but must be a whole number from 1 to 4096"),
        ("key_groups: 2026-13-01", "key_groups is 2026-13-01 but must be a whole number from 1 to 4096"),
        ("checkpoint: {fsync: 1}", "checkpoint.fsync is 1 but must be true or false"),
        ("source: {format: {}}", "source.format is a mapping but must be text of 1 to 256 characters"),
        ("dead_letters: {ratio_max: .nan}", "dead_letters.ratio_max is nan but must be a number from 0 to 1"),
        ("output: {source: ''}", "output.source is '' but must be 1 to 1024 ASCII characters without spaces"),
        (
            "output: {source: a b}",
            "output.source is a b but must be 1 to 1024 ASCII characters without spaces",
        ),
        ("checkpoint: 5s", "checkpoint is 5s but must be a mapping of interval, folder, fsync"),
        ("checkpoint: [5s]", "checkpoint is a list but must be a mapping of interval, folder, fsync"),
        (
            "just text",
            (
                "the document is just text but must be a mapping of key_groups, shard, cluster, source, kafka, session,"
                " calls, cart, footprint, decision, profile, duplicates, traffic, identity, checkpoint, dead_letters,"
                " output, telemetry"
            ),
        ),
        (
            "profile: {anonymous_retention: 10m}",
            (
                "profile.anonymous_retention is 10m but must exceed 24h (session.length_max):"
                " a profile must outlive its open session"
            ),
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_may_stand_there(file: Path, content: str, complaint: str) -> None:
    """
    The message has the key as the file writes it, what it says, and what it may say.
    """
    assert refusal(file, content) == f"prod.yaml: {complaint}"


@pytest.mark.parametrize(
    ("key", "low", "high", "below", "above"),
    [
        ("key_groups", "1", "4096", "0", "4097"),
        ("source.batch_records", "1", "100000", "0", "100001"),
        ("source.record_bytes_max", "1024", "1048576", "1023", "1048577"),
        ("source.lateness", "0s", "59m", "-1ms", "24h1ms"),
        ("source.idle_after", "100ms", "59m", "99ms", "1h1ms"),
        ("source.live_within", "31s1ms", "24h", "999ms", "24h1ms"),
        ("session.gap.web", "0s", "119m", "-1ms", "24h1ms"),
        ("session.length_max", "31m", "29d", "59s", "30d1ms"),
        ("session.memory", "31m", "24h", "999ms", "30d1ms"),
        ("cart.browse_delay", "1s", "29d", "999ms", "30d1ms"),
        ("cart.browse_views_min", "0", "1000", "-1", "1001"),
        ("cart.age_max", "61m", "400d", "59s", "400d1ms"),
        ("footprint.pages_max", "1", "1000", "0", "1001"),
        ("footprint.interest_half_life", "1m", "400d", "59s", "400d1ms"),
        ("decision.reload", "0s", "1h", "-1ms", "1h1ms"),
        ("profile.anonymous_retention", "30d", "3650d", "59s", "3650d1ms"),
        ("profile.late_max", "2h", "29d", "999ms", "30d1ms"),
        ("duplicates.window", "30s", "30d", "999ms", "30d1ms"),
        ("duplicates.ids_max", "1000", "100000000", "999", "100000001"),
        ("checkpoint.interval", "100ms", "60s", "99ms", "60s1ms"),
        ("dead_letters.ratio_max", "0", "1.0", "-0.1", "1.1"),
    ],
)
def test_bounds_are_inclusive(file: Path, key: str, low: str, high: str, below: str, above: str) -> None:
    """
    Both ends of a range pass (where no relation is narrower), and what lies beyond them does not.
    """
    for value in (low, high):
        file.write_text(nested(key, value))
        load(file)
    for value in (below, above):
        assert refusal(file, nested(key, value)).startswith(f"prod.yaml: {key} is {value} but must be a ")


def nested(key: str, value: str) -> str:
    """
    YAML that says `value` at a dotted key.
    """
    *sections, last = key.split(".")
    return "".join(f"{section}: {{" for section in sections) + f"{last}: {value}" + "}" * len(sections)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("cart:\n  a: b: c\n", "line 2, column 7: mapping values are not allowed here"),
        ("cart:\n\t- x", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("cart: '", "line 1, column 8: found unexpected end of stream"),
        (
            "cart: !!python/name:os.system x",
            "line 1, column 7: could not determine a constructor for the tag",
        ),
        ("cart: {}\nkey_groups: 64\ncart: {}", "line 3, column 1: cart is given twice; keep one"),
        ("cart:\n  age_max: 1d\n  age_max: 2d", "line 3, column 3: age_max is given twice; keep one"),
        ("cart: {}\n---\ncart: {}", "line 2, column 1: but found another document"),
        ("cart: \x00", "character 7 is not allowed in YAML: special characters are not allowed"),
        (b"cart: \xff", "not UTF-8 at byte 6; save it as UTF-8"),
        ("[" * 10_000, "nested too deeply; settings are at most three levels deep"),
        ("#" * 1_048_577, "over 1 MiB; is this the right file?"),
    ],
)
def test_broken_yaml_is_told_with_its_place(file: Path, content: str | bytes, complaint: str) -> None:
    """
    Line and column count from 1, as editors do; a key given twice, which PyYAML lets pass, is refused too.
    """
    assert refusal(file, content).startswith(f"prod.yaml: {complaint}")


def test_a_file_that_cannot_be_read_is_told(file: Path, tmp_path: Path) -> None:
    """
    A missing file and a folder are the caller's fault, told as such.
    """
    for path, complaint in (
        (file, "prod.yaml: no such file; without one, the defaults hold"),
        (tmp_path, f"{tmp_path}: cannot be read: Is a directory"),
    ):
        with pytest.raises(ConfigError) as raised:
            load(path)
        assert str(raised.value) == complaint


def test_a_file_of_just_the_limit_is_read(file: Path) -> None:
    """
    1 MiB passes; the test above has a byte more.
    """
    file.write_text("#" * 1_048_576)
    assert load(file) == Settings()


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["^(", "a.b", "***", "latest", "0", "30m", "24h", "7d", "400d", "auto", "activity"])
)
KEYS = st.sampled_from(
    [
        "kafka",
        "topics",
        "client",
        "start",
        "session",
        "gap",
        "web",
        "source",
        "lateness",
        "cart",
        "age_max",
        "key_groups",
    ]
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
)


@given(DOCUMENTS.map(msgspec.yaml.encode) | st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_is_settings_or_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """
    Whatever a file holds, nothing but ConfigError leaves `load`, and its message is one printable line.
    """
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    try:
        settings = load(file)
    except ConfigError as error:
        assert str(error).isprintable(), error  # noqa: PT017 - one of two answers, both right
        assert len(str(error)) < len(str(file)) + 400  # noqa: PT017 - as above
    else:
        assert isinstance(settings, Settings)


def test_settings_in_force_are_shown_as_a_file(file: Path) -> None:
    """
    `describe` writes durations as people do, and `load` reads it back to the same settings.
    """
    settings = Settings(
        session=SessionSettings(gap=GapSettings(web_ms=1_200_000, phone_ms=0), memory_ms=5_400_000),
        checkpoint=CheckpointSettings(interval_ms=500, fsync=True),
        dead_letters=DeadLettersSettings(ratio_max=0.05),
    )
    shown = describe(settings)
    session = "session:\n  gap:\n    web: 20m\n    app: 30m\n    chat: 30m\n    phone: 0s\n    sms: 0s\n"
    assert session in shown
    assert "  length_max: 24h\n  memory: 1h30m\n" in shown
    assert "checkpoint:\n  interval: 500ms\n  folder: ''\n  fsync: true\ndead_letters:\n  ratio_max: 0.05\n" in shown
    file.write_text(shown)
    assert load(file) == settings


# --- the environment --------------------------------------------------------------------------------------------


def test_the_environment_outranks_the_file(tmp_path: Path) -> None:
    """
    A variable is named as its key, in capitals, dots as underlines; what it does not name, the file or default says.
    """
    path = tmp_path / "shop.yaml"
    path.write_text("cart: {cart_delay: 20m, age_max: 9d}\nkey_groups: 64\n", encoding="utf-8")
    (tmp_path / "redis").write_text("rediss://mara:secret@redis.internal:6379/1\n", encoding="utf-8")
    environ = {
        "NEXTMOVE_CART_CART_DELAY": "45m",
        "NEXTMOVE_SESSION_GAP_WEB": "10m",
        "NEXTMOVE_FOOTPRINT_ENABLED": "false",
        "NEXTMOVE_IDENTITY_REDIS_URL_FILE": str(tmp_path / "redis"),
        "NEXTMOVE_IDENTITY_REDIS_PREFIX": "{shop}:",
        "HOME": "/root",
    }
    settings = load(path, environ)
    assert (settings.cart.cart_delay_ms, settings.cart.age_ms_max, settings.key_groups) == (45 * MINUTE, 9 * DAY, 64)
    assert (settings.session.gap.web_ms, settings.footprint.enabled) == (10 * MINUTE, False)
    assert settings.identity.redis_url == "rediss://mara:secret@redis.internal:6379/1"
    assert settings.identity.redis_prefix == "{shop}:"
    assert load(None, environ).cart.cart_delay_ms == 45 * MINUTE


def test_a_password_is_not_shown() -> None:
    """
    What is described has the address without the login, and a complaint about it has not even that.
    """
    secret = "redis://mara:s3cret@redis.internal"  # noqa: S105 - the test's own
    shown = describe(load(None, {"NEXTMOVE_IDENTITY_REDIS_URL": secret}))
    assert "redis_url: redis://***@redis.internal" in shown
    assert "s3cret" not in shown
    with pytest.raises(ConfigError) as caught:
        load(None, {"NEXTMOVE_IDENTITY_REDIS_URL": "redis://x:s3cret@" + "y" * 3_000})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("NEXTMOVE_CART_CART_DELAY", "45", "NEXTMOVE_CART_CART_DELAY is 45 but must be a duration"),
        ("NEXTMOVE_CART_CART_DELAI", "45m", "no such setting; did you mean NEXTMOVE_CART_CART_DELAY?"),
        ("NEXTMOVE_KEY_GROUPS", "many", "NEXTMOVE_KEY_GROUPS is many but must be a whole number"),
        (
            "NEXTMOVE_OUTPUT_SOURCE_FILE",
            "/nowhere",
            "NEXTMOVE_OUTPUT_SOURCE_FILE in the environment: /nowhere: No such file",
        ),
        ("NEXTMOVE_DUPLICATES_WINDOW", "1s", "the environment: duplicates.window is 1s but must be at least 30s"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(name: str, value: str, complaint: str) -> None:
    """
    One line with the variable, or with the setting where two of them contradict each other.
    """
    with pytest.raises(ConfigError) as caught:
        load(None, {name: value})
    assert complaint in str(caught.value)
