"""
Where numbers are from and what names nobody can be said, and what could not work is refused with its cure.
"""

from pathlib import Path

import pytest

from config.identity import IdentitySettings
from config.load import ConfigError, describe, load
from config.settings import Settings


def loaded(tmp_path: Path, content: str, **environ: str) -> Settings:
    """
    The settings of a file and the environment.
    """
    file = tmp_path / "prod.yaml"
    file.write_text(content, encoding="utf-8")
    return load(file, environ)


def test_a_file_says_where_numbers_are_from_and_what_names_nobody(tmp_path: Path) -> None:
    """
    Each setting is read as it is written, and shown so that it is read as the same.
    """
    settings = loaded(
        tmp_path,
        "identity:\n"
        "  phone_region: DE\n"
        '  phone_regions: {cx.calls.at.v1: AT, stdin: "NO", /var/in/day.jsonl: ""}\n'
        '  blocked: [house-account, info@shop.example, "0000"]\n'
        "  blocked_patterns: ['test-.*', '(?i).*@example\\.(com|org)', '\\+?1?(\\d)\\1{8,}']\n",
    )
    assert settings.identity == IdentitySettings(
        phone_region="DE",
        phone_regions={"cx.calls.at.v1": "AT", "stdin": "NO", "/var/in/day.jsonl": ""},
        blocked=("house-account", "info@shop.example", "0000"),
        blocked_patterns=("test-.*", r"(?i).*@example\.(com|org)", r"\+?1?(\d)\1{8,}"),
    )
    assert loaded(tmp_path, describe(settings)) == settings
    assert [bool(one.fullmatch("+19999999999")) for one in settings.identity.patterns] == [False, False, True]


def test_the_environment_says_so_too(tmp_path: Path) -> None:
    """
    Lists are written with commas or as YAML, the mapping as YAML.
    """
    settings = loaded(
        tmp_path,
        "identity: {phone_region: DE, blocked: [kiosk]}",
        NEXTMOVE_IDENTITY_PHONE_REGION="AT",
        NEXTMOVE_IDENTITY_PHONE_REGIONS="{shop: CH}",
        NEXTMOVE_IDENTITY_BLOCKED="guest-1, guest-2",
        NEXTMOVE_IDENTITY_BLOCKED_PATTERNS="['a{1,2}', b]",
    )
    assert settings.identity == IdentitySettings(
        phone_region="AT",
        phone_regions={"shop": "CH"},
        blocked=("guest-1", "guest-2"),
        blocked_patterns=("a{1,2}", "b"),
    )


LETTERS = 'two capital letters as in DE, US or "NO", which wants its quotes, or ""'
MAPPING = f"a mapping whose keys are text of 1 to 4096 characters, each to {LETTERS}"
CODE = "must be the ISO 3166 code of a region with telephone numbers, as DE, US or GB, or empty"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{phone_region: UK}", f"identity.phone_region is UK but {CODE}"),
        ("{phone_region: de}", f"identity.phone_region is de but must be {LETTERS}"),
        ("{phone_region: Germany}", f"identity.phone_region is Germany but must be {LETTERS}"),
        ("{phone_region: 49}", f"identity.phone_region is 49 but must be {LETTERS}"),
        ("{phone_region: NO}", f"identity.phone_region is false but must be {LETTERS}"),
        ("{phone_regions: {calls: ZZ}}", f"identity.phone_regions has calls whose region is ZZ but {CODE}"),
        (
            "{phone_regions: {calls: de}}",
            f"identity.phone_regions has calls: no such value but must be {MAPPING}",
        ),
        (
            '{phone_regions: {"": DE}}',
            f"identity.phone_regions has the key '' but must be {MAPPING}",
        ),
        (
            "{blocked: [kiosk, 0]}",
            "identity.blocked has 0 but must be a list of 0 to 10000, each text of 1 to 256 characters",
        ),
        ("{blocked_patterns: ['(a']}", None),
        ("{blocked_patterns: ['a{99999999999}']}", None),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, content: str, complaint: str | None) -> None:
    """
    In one line, with the key, what stands there, and what may stand there.
    """
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"identity: {content}")
    said = str(raised.value).replace(f"{tmp_path}/prod.yaml: ", "")
    if complaint is not None:
        assert said == complaint
    else:
        pattern = content.partition("'")[2].partition("'")[0]
        assert said.startswith(f"identity.blocked_patterns has {pattern} but each must be a regular expression: ")


# --- pseudonyms -------------------------------------------------------------------------------------------------

SECRET = "0123456789abcdef" * 2
EMPTY = (
    "identity.pseudonymise is true but identity.pseudonym_secret is empty; put a secret into"
    " NEXTMOVE_IDENTITY_PSEUDONYM_SECRET: openssl rand -hex 32 makes one"
)
RULE = "has 32 characters at least and no comma"


def test_secrets_of_pseudonyms_come_from_the_environment_and_are_shown_to_nobody(tmp_path: Path) -> None:
    """
    Or from a mounted file; the former ones with commas.
    """
    mounted = tmp_path / "secret"
    mounted.write_text(SECRET + "\n", encoding="utf-8")
    former = f"{SECRET[::-1]}, {'x' * 32}"
    settings = loaded(
        tmp_path,
        "identity: {pseudonymise: true}",
        NEXTMOVE_IDENTITY_PSEUDONYM_SECRET_FILE=str(mounted),
        NEXTMOVE_IDENTITY_FORMER_PSEUDONYM_SECRETS=former,
    )
    assert settings.identity.secrets == (SECRET, (SECRET[::-1], "x" * 32))
    shown = describe(settings)
    assert "  pseudonymise: true\n  pseudonym_secret: '***'\n  former_pseudonym_secrets: '***'\n" in shown
    assert SECRET not in shown
    with pytest.raises(ConfigError, match=r"pseudonym_secret holds \*\*\*"):
        loaded(tmp_path, shown)


@pytest.mark.parametrize(
    ("secret", "former", "complaint"),
    [
        ("", "", EMPTY),
        (SECRET[1:], "", f"identity.pseudonym_secret is none: it {RULE}; openssl rand -hex 32 makes one"),
        (f"{SECRET},", "", f"identity.pseudonym_secret is none: it {RULE}; openssl rand -hex 32 makes one"),
        (
            SECRET,
            f"{SECRET[::-1]},{SECRET[1:]}",
            f"identity.former_pseudonym_secrets has what is none: each {RULE} but between them",
        ),
        (SECRET, SECRET, "identity.former_pseudonym_secrets has identity.pseudonym_secret, which is no former one"),
    ],
)
def test_a_secret_that_hides_nothing_is_refused(secret: str, former: str, complaint: str) -> None:
    """
    Once pseudonyms are asked for; with the cure, and without the secret.
    """
    environ = {
        "NEXTMOVE_IDENTITY_PSEUDONYM_SECRET": secret,
        "NEXTMOVE_IDENTITY_FORMER_PSEUDONYM_SECRETS": former,
    }
    assert load(None, environ).identity.pseudonymise is False
    with pytest.raises(ConfigError) as raised:
        load(None, environ | {"NEXTMOVE_IDENTITY_PSEUDONYMISE": "true"})
    assert str(raised.value) == f"the environment: {complaint}"


# --- who may ask ------------------------------------------------------------------------------------------------


def test_only_named_sources_may_ask_that_users_be_one(tmp_path: Path) -> None:
    """
    Nobody does, if none is named; and who is trusted with nothing is not trusted with that.
    """
    assert not Settings().identity.rules("cx.crm.v1").may_ask
    identity = loaded(tmp_path, "identity: {merging: [cx.crm.v1], untrusted: [cx.web.v1]}").identity
    assert [identity.rules(source).may_ask for source in ("cx.crm.v1", "cx.web.v1", "other")] == [True, False, False]
    with pytest.raises(ConfigError, match=r"identity\.merging has web but so has identity\.untrusted: keep it in one"):
        loaded(tmp_path, "identity: {merging: [web], untrusted: [web]}")
