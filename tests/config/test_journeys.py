"""
Rules in YAML: what each key becomes, and what holds for files and for all rules together.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import DAY, HOUR, MINUTE, SECOND
from config.journey_rules import KEYS
from config.journeys import SHIPPED, JourneyError, book_of, load_book, read_book, texts_of
from config.load import describe, load
from config.settings import DecisionSettings, ProfileSettings, Settings, SourceSettings
from operators.consent import Consents
from operators.rule_book import AT_ONCE, Book, Quiet, Rule
from tests.journeys import book, write

LEAST = "actions:\n- {id: nudge, family: cart, on: cart.timer, channels: email}\n"
NOBODY = Consents()


def made(text: str, *, retention_ms: int = 30 * DAY, **files: str) -> Book:
    """Return the book of a file, and of others by their names."""
    named = {f"{name}.yaml": content for name, content in files.items()}
    return read_book({"a.yaml": text} | named, lateness_ms=30 * SECOND, retention_ms=retention_ms)


def faults(text: str, *, retention_ms: int = 30 * DAY, **files: str) -> list[str]:
    """Return what is wrong with a file, and with others."""
    with pytest.raises(JourneyError) as caught:
        made(text, retention_ms=retention_ms, **files)
    return caught.value.faults


def rule(lines: str = "", *, least: str = "family: cart, on: cart.timer, channels: email") -> Rule:
    """Return the one rule of a book."""
    keys = [*least.split(", "), *lines.splitlines()]
    return made("actions:\n- id: nudge\n" + "".join(f"  {key}\n" for key in keys)).rules["nudge"]


def sources(expressions: list[Any]) -> list[str]:
    return [expression.source for expression in expressions]


def hours(quiet: Quiet | None) -> tuple[int, int, str, frozenset[str]] | None:
    return None if quiet is None else (quiet.from_minute, quiet.to_minute, quiet.on, quiet.channels)


def test_the_shipped_rules_are_those_that_the_program_always_had() -> None:
    """
    Five decisions, each on its occasion and channels, with its cool-down; a no holds for 30 days, nights are quiet.
    """
    shipped = load_book(SHIPPED, lateness_ms=30 * SECOND, retention_ms=30 * DAY)
    assert {
        one.id: (one.action, one.family, one.slot, one.on, one.per, one.channels, one.cooldown_ms, one.expires_ms)
        for one in shipped.rules.values()
    } == {
        id_: (id_, family, family, (on,), per, channels, cooldown_ms, 12 * HOUR)
        for id_, family, on, per, channels, cooldown_ms in [
            ("cart_abandoned", "cart", "cart.timer", "cart", ("email", "onsite"), 7 * DAY),
            ("checkout_abandoned", "cart", "checkout.timer", "cart", ("email", "onsite"), 7 * DAY),
            ("browse_abandoned", "cart", "browse.timer", "cart", ("email", "onsite"), 7 * DAY),
            ("returning_visitor", "journey", "visit.returned", "event", ("onsite",), 12 * HOUR),
            ("offer_prompt", "offer", "product_viewed", "product", ("onsite",), DAY),
        ]
    }
    conditions = {id_: one.when and one.when.source for id_, one in shipped.rules.items()}
    assert {id_ for id_, when in conditions.items() if when} == {"offer_prompt"}
    assert conditions["offer_prompt"] == "event.product.views >= 3"
    policy = shipped.policy
    [pause] = policy.pauses
    assert (pause.scope, pause.negatives, pause.pause_ms, pause.counts) == ("all", 1, 30 * DAY, ("declined",))
    assert hours(policy.quiet) == (21 * 60, 8 * 60, "hold", frozenset({"sms", "phone", "whatsapp"}))
    assert (policy.caps, policy.experiment, shipped.keep_ms) == ([], None, 30 * DAY + 30 * SECOND)
    may = {
        one for one in ("email", "onsite", "chat", "agent", "crm") if policy.consent.may(NOBODY, one, "marketing", 0)
    }
    assert may == {"email", "onsite", "chat", "agent", "crm"}
    for one in ("sms", "whatsapp", "push", "phone"):
        assert not policy.consent.may(NOBODY, one, "marketing", 0)
        assert policy.consent.may(NOBODY, one, "transactional", 0)
        assert policy.consent.may(NOBODY, one, "service", 0)
    assert policy.zones.of("", "")[0].name == "UTC"


def test_a_rule_needs_little() -> None:
    """
    An id, a family, an occasion and a channel; the rest has defaults.
    """
    least = rule()
    assert (least.after_ms, least.without, least.per, least.undone_by) == (AT_ONCE, frozenset(), "cart", frozenset())
    assert (least.when, least.unless, least.not_while) == (None, None, ())
    assert (least.purpose, least.is_exempt, least.quiet, least.experiment) == ("marketing", False, None, None)
    assert (least.propensity, least.value, least.value_of) == (1.0, 1.0, None)
    assert (least.issue, least.group, least.lever) == (0.0, 0.0, 0.0)
    assert (least.cooldown_ms, least.expires_ms, least.exclusion_group) == (0, 12 * HOUR, "")
    assert (least.id, least.version, least.action, least.family, least.slot) == ("nudge", 1, "nudge", "cart", "cart")
    assert (least.on, least.channels) == (("cart.timer",), ("email",))
    assert (least.eligibility, least.applicability, least.suitability, least.weights) == ([], [], [], [])
    assert (least.caps, least.payload) == ([], None)


def of(attribute: str) -> Callable[[Rule], Any]:
    return lambda one: getattr(one, attribute)


@pytest.mark.parametrize(
    ("line", "read", "meant"),
    [
        ("version: 7", of("version"), 7),
        ("action: cart_mail", of("action"), "cart_mail"),
        ("after: 30m", of("after_ms"), 30 * MINUTE),
        ("after: 0", of("after_ms"), 0),
        ("after: 1h\nwithout: order_completed", of("without"), frozenset({"order_completed"})),
        ("when: event.cart.value > 50.0", lambda one: one.when.source, "event.cart.value > 50.0"),
        ("unless: 'profile.in_call'", lambda one: one.unless.source, "profile.in_call"),
        ('unless: \'event.stage == "a" && event.stage == "b"\'', lambda one: bool(one.unless), True),
        ("eligibility: profile.known", lambda one: sources(one.eligibility), ["profile.known"]),
        (
            "applicability: [profile.known, profile.on_site]",
            lambda one: sources(one.applicability),
            ["profile.known", "profile.on_site"],
        ),
        ("suitability: ['!profile.in_call']", lambda one: sources(one.suitability), ["!profile.in_call"]),
        ("not_while: call", of("not_while"), ("call",)),
        ("not_while: [onsite, call]", of("not_while"), ("onsite", "call")),
        ("purpose: research", of("purpose"), "research"),
        ("purpose: research", of("is_exempt"), False),
        ("purpose: service", of("is_exempt"), True),
        ("value: 40", of("value"), 40.0),
        ("value: 'event.cart.value * 0.1'", lambda one: one.value_of.source, "event.cart.value * 0.1"),
        ("propensity: 0.05", of("propensity"), 0.05),
        ("propensity: {prior: [2, 38]}", of("propensity"), 0.05),
        (
            "context_weights: [{if: profile.known, weight: -50}]",
            lambda one: [(weight.condition.source, weight.weight) for weight in one.weights],
            [("profile.known", -50.0)],
        ),
        (
            "weights: {issue: 1, group: 2, action: 55}",
            lambda one: (one.issue, one.group, one.lever),
            (1.0, 2.0, 55.0),
        ),
        ("weights: {action: 55}", lambda one: (one.issue, one.group, one.lever), (0.0, 0.0, 55.0)),
        (
            "caps: [{scope: action, limit: 2, per: 36h}, {scope: channel, name: email, limit: 1, per: local_week}]",
            lambda one: [(c.scope, c.name, c.limit, c.period, c.per_ms) for c in one.caps],
            [("action", "", 2, "rolling", 36 * HOUR), ("channel", "email", 1, "local_week", 0)],
        ),
        ("cooldown: 7d", of("cooldown_ms"), 7 * DAY),
        (
            "quiet: {from: 09:05, to: 17:00, channels: email, on: drop}",
            lambda one: hours(one.quiet),
            (9 * 60 + 5, 17 * 60, "drop", frozenset({"email"})),
        ),
        ("quiet: off", of("quiet"), None),
        ("quiet: 'off'", of("quiet"), None),
        ("expires_after: 1s", of("expires_ms"), SECOND),
        ("exclusion_group: cart", of("exclusion_group"), "cart"),
        ("slot: prompt", of("slot"), "prompt"),
        ("holdout: 0.05", lambda one: (one.experiment.name, one.experiment.arm("a1")), ("nudge", "")),
        ("holdout: 1", lambda one: one.experiment.arm("a1"), None),
        ("variants: {story: 1, promo: 0}", lambda one: one.experiment.arm("a1"), "story"),
        ("holdout: 0.05\nexperiment: spring", lambda one: one.experiment.name, "spring"),
        ("holdout: 0", of("experiment"), None),
        ("undone_by: [order_completed]", of("undone_by"), frozenset({"order_completed"})),
        (
            "payload: {url: event.url, note: '\"text\"', limit: 5, share: 2.5, on: true, none: null, less: -3}",
            lambda one: {name: made.source for name, made in one.payload.items()},
            {
                "url": "event.url",
                "note": '"text"',
                "limit": "5",
                "share": "2.5",
                "on": "true",
                "none": "null",
                "less": "-3",
            },
        ),
    ],
)
def test_each_key_of_a_rule(line: str, read: Callable[[Rule], Any], meant: object) -> None:
    """
    Each key has its place in the rule.
    """
    assert read(rule(line)) == meant


def test_constants_in_a_payload_say_themselves() -> None:
    """
    A number or truth without quotes needs no formula.
    """
    payload = rule("payload: {a: 5, b: -2.5, c: true, d: null, e: 1.0e+16, f: 9223372036854775807}").payload
    assert payload is not None
    told = {name: one({}) for name, one in payload.items()}
    assert told == {"a": 5, "b": -2.5, "c": True, "d": None, "e": 1e16, "f": 9223372036854775807}


def test_every_key_is_tried_above() -> None:
    """
    A key that comes later is held to the tests, too.
    """
    tried = Path(__file__).read_text()
    assert [key for key in KEYS if f"{key}: " not in tried] == []


def test_the_policy_says_what_holds_for_all() -> None:
    """
    Each key of it has its place.
    """
    policy = made(
        "policy:\n"
        "  consent: {defaults: {all: true, sms: false, 'email:marketing': false}, exempt: [research], valid: 10d}\n"
        "  time_zone: Europe/Berlin\n"
        "  time_zones: {+1808: Pacific/Honolulu}\n"
        "  caps: [{scope: channel, name: email, limit: 1, per: 24h}, {scope: all, limit: 3, per: local_day}]\n"
        "  pauses:\n"
        "  - {scope: family, negatives: 2, within: 7d, pause: 8d, counts: [declined, ignored], ignored_after: 1d}\n"
        "  quiet: {from: 21:00, to: 08:00}\n"
        "  holdout: 1\n"
        "  attribution: {sms: {clicked: 2d}}\n" + LEAST + "- {id: b, family: cart, on: cart.timer, channels: email,"
        " purpose: research}\n- {id: c, family: cart, on: cart.timer, channels: email, quiet: off, purpose: service}"
    )
    said = policy.policy
    assert said.consent.may(NOBODY, "onsite", "marketing", 0)
    assert not said.consent.may(NOBODY, "email", "marketing", 0)
    assert said.consent.may(NOBODY, "email", "service", 0)
    assert said.consent.may(NOBODY, "sms", "research", 0)
    agreed = Consents()
    said.consent.learn(agreed, "sms", 0, True)
    assert said.consent.may(agreed, "sms", "marketing", 10 * DAY - 1)
    assert not said.consent.may(agreed, "sms", "marketing", 10 * DAY)
    assert said.zones.of("", "")[0].name == "Europe/Berlin"
    assert said.zones.of("", "+18085550100")[0].name == "Pacific/Honolulu"
    assert [(c.scope, c.name, c.limit, c.period, c.per_ms) for c in said.caps] == [
        ("channel", "email", 1, "rolling", DAY),
        ("all", "", 3, "local_day", 0),
    ]
    [pause] = said.pauses
    assert (pause.scope, pause.negatives, pause.within_ms, pause.pause_ms) == ("family", 2, 7 * DAY, 8 * DAY)
    assert (pause.counts, pause.ignored_ms) == (("declined", "ignored"), DAY)
    assert said.experiment is not None
    assert (said.experiment.name, said.experiment.arm("a1")) == ("all", None)
    assert said.attribution.reach_ms == 2 * DAY
    night = (21 * 60, 8 * 60, "hold", frozenset[str]())
    assert {id_: hours(one.quiet) for id_, one in policy.rules.items()} == {"nudge": night, "b": None, "c": None}
    assert {id_: one.is_exempt for id_, one in policy.rules.items()} == {"nudge": False, "b": True, "c": False}


def test_without_a_policy_nobody_is_written_to() -> None:
    """
    Who is on the site or in a chat may be talked to, our own people may be told; what is owed may be sent.
    """
    consent = made(LEAST).policy.consent
    assert [
        channel
        for channel in ("email", "sms", "whatsapp", "push", "phone", "onsite", "chat", "agent", "crm")
        if consent.may(NOBODY, channel, "marketing", 0)
    ] == ["onsite", "chat", "agent", "crm"]
    assert consent.may(NOBODY, "email", "transactional", 0)
    strict = made("policy: {consent: {defaults: {}, exempt: []}}\n" + LEAST).policy.consent
    assert not strict.may(NOBODY, "onsite", "marketing", 0)
    assert not strict.may(NOBODY, "email", "transactional", 0)


@pytest.mark.parametrize(
    ("on", "per"),
    [
        ("product_viewed", "product"),
        ("product_added", "product"),
        ("product_list_viewed", "event"),
        ("order_completed", "order"),
        ("call_ended", "call"),
        ("checkout.timer", "cart"),
        ("visit.returned", "event"),
        ("page_viewed, per: profile", "profile"),
        ("product_viewed, per: session", "session"),
        ("product_added, per: cart", "cart"),
        ("order_completed, per: cart", "cart"),
        ("cart_updated", "event"),
        ("page_viewed", "event"),
    ],
)
def test_what_a_rule_acts_on_once(on: str, per: str) -> None:
    """
    Unless it says otherwise, that is what its kind of event is about.
    """
    assert rule(least=f"family: cart, on: {on}, channels: onsite").per == per


def test_quoting_and_comments_do_not_make_another_book() -> None:
    """
    Nor does which file a rule is in. Any other value does.
    """
    one = "- {id: one, family: cart, on: cart.timer, channels: email, when: profile.known}\n"
    two = "- {id: two, family: cart, 'on': [cart.timer], channels: email}\n"
    together = made(f"actions:\n{one}{two}")
    quoted = one.replace("profile.known", '"profile.known"')
    parted = made(f"# One.\nactions:\n{quoted}", b=f"actions:\n{two}")
    assert parted.id == together.id
    assert len(together.id) == 32
    assert list(parted.rules) == ["one", "two"]
    for key, other in (("id: two", "id: twx"), ("[cart.timer]", "[browse.timer]"), ("family: cart", "family: offer")):
        assert made(f"actions:\n{one}{two.replace(key, other)}").id != together.id
    assert made(f"policy: {{}}\nactions:\n{one}{two}").id != made(f"policy: {{holdout: 0}}\nactions:\n{one}{two}").id


def test_anchors_may_be_used() -> None:
    """
    What several rules share is written once; a rule may say it otherwise.
    """
    book_ = made(
        "actions:\n"
        "- &mail {id: one, family: cart, on: cart.timer, channels: [email], cooldown: 1d}\n"
        "- {<<: *mail, id: two, cooldown: 2d}\n"
    )
    assert [(one.id, one.channels, one.cooldown_ms) for one in book_.rules.values()] == [
        ("one", ("email",), DAY),
        ("two", ("email",), 2 * DAY),
    ]


def test_all_files_of_a_folder_make_one_book(tmp_path: Path) -> None:
    """
    In the order of their names, whatever wrote them first; what begins with a dot is an editor's, or a mount's.
    """
    one = "actions:\r\n- {id: %s, family: cart, on: cart.timer, channels: email}\r\n"
    (tmp_path / "b.yaml").write_text(one % "b")
    (tmp_path / "a.yaml").write_text("\ufeff" + one % "a", encoding="utf-8")
    (tmp_path / "c.yaml").write_text("# nothing yet\n")
    (tmp_path / ".#a.yaml").symlink_to("nowhere")
    (tmp_path / "README.md").write_text("of the shop")
    times = {"lateness_ms": 30 * SECOND, "retention_ms": 30 * DAY}
    assert list(load_book(tmp_path, **times).rules) == ["a", "b"]
    assert list(load_book(tmp_path / "b.yaml", **times).rules) == ["b"]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "FOLDER: a folder of 0 files *.yaml; 1 to 100 are possible"),
        ({f"f{n}.yaml": b"" for n in range(101)}, "FOLDER: a folder of 101 files *.yaml; 1 to 100 are possible"),
        ({"a.yml": b""}, "FOLDER/a.yml: is not read; name it a.yaml"),
        ({"a.yaml": b""}, "FOLDER/a.yaml:1:1: no actions here or in another file; one at least is needed"),
        ({"a.yaml": b"actions: []"}, "FOLDER/a.yaml:1:1: no actions here or in another file; one at least is needed"),
        ({"a.yaml": b"\xff"}, "FOLDER/a.yaml: not UTF-8 at byte 0; save it as UTF-8"),
        ({"a.yaml": b"#" * (1_024 * 1_024 + 1)}, "FOLDER/a.yaml: over 1 MiB; is this the right file?"),
        ({"a.yaml/b": b""}, "FOLDER/a.yaml: cannot be read: Is a directory"),
    ],
)
def test_files_that_are_no_rules_are_told(tmp_path: Path, files: dict[str, bytes], complaint: str) -> None:
    """
    Each with its name and its cure.
    """
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(JourneyError) as caught:
        load_book(tmp_path, lateness_ms=0, retention_ms=30 * DAY)
    assert str(caught.value) == complaint.replace("FOLDER", str(tmp_path))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """
    A path without anything.
    """
    with pytest.raises(JourneyError, match=r"/none: no such file or folder$"):
        texts_of(tmp_path / "none")


def test_settings_name_the_journeys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Beside the settings file, of the environment where the process runs; none are those that ship. What is printed of
    the settings in force names the same from everywhere.
    """
    write(tmp_path / "mine", offer_views=7)
    path = tmp_path / "shop.yaml"
    path.write_text("decision: {journeys: mine}")
    monkeypatch.chdir(tmp_path.parent)
    settings = load(path)
    assert book_of(settings).id == book(offer_views=7).id
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "force.yaml").write_text(describe(settings))
    assert load(tmp_path / "in" / "force.yaml") == settings
    monkeypatch.chdir(tmp_path)
    assert load(path, {"NEXTMOVE_DECISION_JOURNEYS": "mine"}) == settings
    assert load(None, {"NEXTMOVE_DECISION_JOURNEYS": "mine"}) == settings
    assert book_of(Settings()).id == load_book(SHIPPED, lateness_ms=0, retention_ms=30 * DAY).id
    assert book_of(Settings(source=SourceSettings(lateness_ms=7))).keep_ms == 30 * DAY + 7
    assert load(None) == Settings(decision=DecisionSettings(enabled=True, journeys="", reload_ms=2 * SECOND))


@pytest.mark.parametrize("who", ["anonymous_retention_ms", "lead_retention_ms"])
def test_of_two_retentions_the_shorter_counts(who: str) -> None:
    """
    A no that holds for 30 days needs visitors and leads that are kept for as long.
    """
    longer = {"anonymous_retention_ms": 400 * DAY, "lead_retention_ms": 400 * DAY}
    book_of(Settings(profile=ProfileSettings(**{**longer, who: 30 * DAY})))
    with pytest.raises(JourneyError, match="the pause reaches 30d back but profiles are kept for 29d23h59m59s999ms: "):
        book_of(Settings(profile=ProfileSettings(**{**longer, who: 30 * DAY - 1})))


REACHES = [
    ("policy: {caps: [{scope: all, limit: 1, per: 7d}], attribution: {}}\n", "", 7 * DAY),
    ("policy: {caps: [{scope: all, limit: 1, per: local_week}], attribution: {}}\n", "", 9 * DAY),
    ("policy: {pauses: [{scope: all, negatives: 1, within: 9d, pause: 8d}], attribution: {}}\n", "", 8 * DAY),
    ("policy: {pauses: [{scope: all, negatives: 2, within: 9d, pause: 8d}], attribution: {}}\n", "", 17 * DAY),
    ("policy: {attribution: {email: {clicked: 6d}}}\n", "expires_after: 12h", 6 * DAY + 12 * HOUR),
    ("policy: {attribution: {}}\n", "cooldown: 3d", 3 * DAY),
    ("policy: {attribution: {}}\n", "caps: [{scope: action, limit: 1, per: 2d}]", 2 * DAY),
    ("policy: {attribution: {}}\n", "expires_after: 2d", 2 * DAY),
    ("", "", 5 * DAY + 12 * HOUR),
]


@pytest.mark.parametrize(("policy", "line", "reach_ms"), REACHES)
def test_nobody_is_forgotten_who_must_be_remembered(policy: str, line: str, reach_ms: int) -> None:
    """
    What is asked of the past is remembered exactly so long, with the lateness; a retention of a millisecond less is an
    error, and one of as long is none.
    """
    text = policy + LEAST.replace("}", f", {line}}}" if line else "}")
    assert made(text, retention_ms=reach_ms).keep_ms == reach_ms + 30 * SECOND
    [fault] = faults(text, retention_ms=reach_ms - 1)
    assert "but profiles are kept for" in fault
    assert fault.endswith(": a profile forgotten sooner forgets that it was contacted")


def test_a_wait_ends_before_who_waits_is_forgotten() -> None:
    """
    A wait as long as profiles are kept ends when nobody is there any more.
    """
    text = LEAST.replace("}", ", after: 6d}")
    assert made(text, retention_ms=6 * DAY + 1).rules["nudge"].after_ms == 6 * DAY
    assert faults(text, retention_ms=6 * DAY) == [
        (
            "a.yaml:2:69: after is 6d but must be less than the 6d that profiles are kept: one forgotten sooner forgets"
            " what it waits for"
        )
    ]


def test_a_thousand_rules_are_enough() -> None:
    """
    A thousand load; of one more the first that is too many is named.
    """
    line = "- {id: r%d, family: cart, on: cart.timer, channels: email}\n"
    text = "actions:\n" + "".join(line % number for number in range(1_000))
    assert len(made(text).rules) == 1_000
    assert faults(text, b="actions:\n" + line % 1_000) == ["b.yaml:2:3: 1,001 actions; 1,000 are possible"]


SLIPS = ["", "x", ": ", "- ", "{", "]", "'", '"', "\n", "&a ", "*a", "!", "0", "null", "|\n"]


@given(data=st.data())
def test_whatever_stands_in_a_file_is_a_book_or_told(data: st.DataObject) -> None:
    """
    Of a file in which lines and letters are exchanged every fault has its place, and nothing else is raised.
    """
    [text] = texts_of(SHIPPED).values()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 30)))
        other = data.draw(
            st.sampled_from(["", "x", ": ", "- ", "{", "]", "'", '"', "\n", "&a ", "*a", "!", "0", "null", "|\n"])
        )
        text = text[:at] + other + text[end:]
    try:
        assert made(text).rules
    except JourneyError as error:
        for fault in error.faults:
            name, line, column, message = fault.split(":", 3)
            assert (name, message[:1]) == ("a.yaml", " ")
            assert 1 <= int(line) <= text.count("\n") + 1
            assert int(column) >= 1


def test_books_for_tests_are_the_same_in_files(tmp_path: Path) -> None:
    """
    What `write` writes for the program is what `book` gives.
    """
    changes: dict[str, Any] = {
        "offer_views": 1,
        "offer_cooldown": HOUR,
        "abandonment_cooldown": "0s",
        "returning_cooldown": 0,
        "declined": 0,
        "expires": "1h",
        "windows": "1d",
        "policy": "{time_zone: Europe/Berlin}",
        "extra": LEAST,
    }
    given_ = book(**changes, retention_ms=2 * DAY)
    assert load_book(write(tmp_path / "j", **changes), lateness_ms=30 * SECOND, retention_ms=2 * DAY).id == given_.id
    assert {one.cooldown_ms for one in given_.rules.values()} == {0, HOUR}
    assert (given_.policy.pauses, given_.policy.zones.of("", "")[0].name) == ([], "Europe/Berlin")
    assert book().id == load_book(SHIPPED, lateness_ms=0, retention_ms=30 * DAY).id
