"""Each spelling of an address or a number of one person becomes the same, and no other person's."""

import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from connectors.formats import contacts

E164 = re.compile(r"\+[1-9][0-9]{4,16}(;ext=[0-9]+)?")


# --- numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "+4915123456789",
        "+49 151 23456789",
        "+49 (0)151 / 234 567-89",
        "+49.151.23456789",
        "0049 151 23456789",
        "0151 23456789",
        "0151-23456789",
        "(0151) 23456789",
        "0151_23456789",
        "tel:+49-151-23456789",
        "tel:0151-23456789",
        "whatsapp:+4915123456789",
        "sip:+4915123456789@10.0.0.5:5060;user=phone",
        "\uff0b\uff14\uff19 \uff11\uff15\uff11 \uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",
        "\u0660\u0661\u0665\u0661 \u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",
        "+49 151 23456789 (mobile)",
        "mobile: 0151 23456789",
        "\u200e+49 151 23456789",
    ],
)
def test_a_german_number_is_one_however_it_is_written(text: str) -> None:
    """
    With or without its country code, by 00 or +, with any punctuation, digits and words around it.
    """
    assert contacts.phone(text, "DE") == "+4915123456789"


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        # The same digits are another number elsewhere.
        ("030 1234567", "DE", "+49301234567"),
        ("030 1234567", "AT", "+43301234567"),
        ("06 1234567", "IT", "+39061234567"),  # an Italian zero is part of the number
        ("(201) 555-0123", "US", "+12015550123"),
        ("1 201 555 0123", "US", "+12015550123"),
        ("+1 201 555 0123", "DE", "+12015550123"),  # a + outranks the region
        ("0 15 11 98765 4321", "BR", "+5511987654321"),  # 15: the carrier it is dialled by
        # Prefixes: each region has its own.
        ("011 49 30 1234567", "US", "+49301234567"),
        ("0049 30 1234567", "US", "0049301234567"),
        ("00 49 30 1234567", "", "0049301234567"),
        # Without a region only a + tells where a number is from.
        ("0151 23456789", "", "015123456789"),
        ("+49 151 23456789", "", "+4915123456789"),
        # Fictional and unassigned numbers have a length that is possible: that is enough.
        ("+1 201 555 0100", "", "+12015550100"),
        ("+49 199 9999999", "", "+491999999999"),
        # No length that a number of the country can have: its digits.
        ("+1 201 555 010", "", "+1201555010"),
        ("+1 201 555 01000", "", "+120155501000"),
        ("+1", "", "+1"),
        ("+999 123 456 789", "", "+999123456789"),
        ("0151 23456789 or 0151 98765432", "DE", "015123456789015198765432"),
        # Dialled within its area only, so nothing that could be called from elsewhere.
        ("555-0199", "US", "5550199"),
        ("110", "DE", "110"),
        # A prefix behind the country code, twice.
        ("+49 00 151 23456789", "", "+490015123456789"),
        # Extensions: another telephone, so another number.
        ("+49 30 1234567 ext. 12", "", "+49301234567;ext=12"),
        ("tel:+49-30-1234567;ext=12", "", "+49301234567;ext=12"),
        ("(201) 555-0123 x012", "US", "+12015550123;ext=012"),
        ("030 1234567 ext. 12", "", "030123456712"),
        # Letters of a keypad, where all numbers are of one length; elsewhere words.
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+1 800 FLOWERS", "", "+18003569377"),
        ("(201) 555-0123 office", "US", "+12015550123"),
        ("030 1234567 (office)", "DE", "+49301234567"),
        ("030 1234567 (office)", "", "0301234567"),
        # Nobody.
        ("000", "DE", ""),
        ("+0 00", "", ""),
        ("+", "DE", ""),
        ("unknown", "DE", ""),
        ("sip:anonymous@10.0.0.5", "DE", ""),
        ("", "DE", ""),
    ],
)
def test_what_cannot_be_told_keeps_its_digits(text: str, region: str, number: str) -> None:
    """
    A number of a possible length is E.164; every other one stays as its digits, with a + where it had one.
    """
    assert contacts.phone(text, region) == number


REGIONS = st.sampled_from(["", "DE", "US", "IT", "AR", "BR", "MX", "GB"])
NATIONAL = st.integers(0, 10**15).map(str)
NUMBERS = st.one_of(
    NATIONAL,
    st.builds("+{}{}".format, st.sampled_from([49, 1, 39, 54, 55, 52, 44, 7, 800, 86]), NATIONAL),
    st.builds("{}{}".format, st.sampled_from(["00", "0", "+4900", "011", "+10", "+5215"]), NATIONAL),
    st.text(alphabet="0123456789+ ()-/.;ext=#,aB\uff0b\uff11@:_", max_size=24),
    st.text(max_size=12),
)


@given(NUMBERS, REGIONS)
@example("+4900151 23456789", "")
@example("+49 030 123456 ext 7 or 8", "DE")
def test_to_write_a_number_twice_changes_nothing(text: str, region: str) -> None:
    """
    What is given is given again, for the same region; and with a + in front for any.
    """
    number = contacts.phone(text, region)
    assert contacts.phone(number, region) == number
    if number.startswith("+"):
        assert [contacts.phone(number, other) for other in ("", "DE", "US")] == [number] * 3


@given(
    st.sampled_from(["DE", "US", "IT", "AR", "BR", "MX", "GB", "FR", "JP", "SM"]).map(phonenumbers.example_number),
    st.sampled_from([PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.RFC3966]),
    st.sampled_from(["DE", "US"]),
)
def test_a_number_of_any_country_is_read_from_each_form(
    number: phonenumbers.PhoneNumber, form: int, region: str
) -> None:
    """
    E.164, international and RFC 3966 are forms of one number, and E.164 is the one that is kept.
    """
    kept = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    assert E164.fullmatch(kept)
    assert contacts.phone(phonenumbers.format_number(number, form), region) == kept


# --- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        " Ann@Example.COM ",
        "ann@example.com.",
        "<ann@example.com>",
        "Ann Lee <ann@example.com>",
        '"Lee, Ann" <Ann@example.com> ',
        "mailto:ann@example.com",
        "MAILTO:ann@example.com?subject=Hi%20there",
        "mailto:ann%40example.com",
        "Ann <mailto:ann@example.com>",
        '"ann@example.com"',
        "'ann@example.com'",
    ],
)
def test_an_address_is_one_however_it_is_written(text: str) -> None:
    """
    In any case, with a display name, as a link, in quotes, with the dot of the root.
    """
    assert contacts.email(text) == "ann@example.com"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        # Nothing is folded that is the provider's to interpret.
        ("A.nn+shop@gmail.com", "a.nn+shop@gmail.com"),
        ("ann@googlemail.com", "ann@googlemail.com"),
        ("o'neil/x=y{z}~@example.com", "o'neil/x=y{z}~@example.com"),
        (".ann..lee.@docomo.ne.jp", ".ann..lee.@docomo.ne.jp"),
        ("ann@intranet", "ann@intranet"),
        ("a@b_c.example", "a@b_c.example"),
        # Domains as the DNS has them.
        ("ann@B\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
        ("ann@stra\u00dfe.example", "ann@xn--strae-oqa.example"),
        ("ann@\u4f8b\u3048\u3002\u30c6\u30b9\u30c8\u3002", "ann@xn--r8jz45g.xn--zckzah"),
        ("j\u00f6rg@example.com", "j\u00f6rg@example.com"),
        ("jo\u0308rg@example.com", "j\u00f6rg@example.com"),
        # None.
        ("", ""),
        ("ann", ""),
        ("@example.com", ""),
        ("ann@", ""),
        ("ann@.", ""),
        ("ann@example..com", ""),
        ("ann@example.com..", ""),
        ("ann@.example.com", ""),
        ("ann@exam ple.com", ""),
        ("ann lee@example.com", ""),
        ("ann@lee@example.com", ""),
        ("ann@example.com, ben@example.com", ""),
        ("ann@example.com;ben@example.com", ""),
        ("Ann <ann@example.com>, Ben <ben@example.com>", ""),
        ("ann@\u2603.example", ""),
        ("ann@\u00e9..example", ""),
        ("ann\x00@example.com", ""),
        ("https://example.com/@ann", ""),
    ],
)
def test_what_is_no_address_is_none(text: str, address: str) -> None:
    """
    One local part and one domain that the DNS could have; dots and tags of the local part stay.
    """
    assert contacts.email(text) == address


ADDRESSES = st.one_of(
    st.emails(),
    st.builds("{}@{}".format, st.text(max_size=8), st.text(max_size=8)),
    st.builds(
        "{}@{}.de".format, st.text(alphabet="aZ.+'\"<> \u00df\u0130\u212a\u0308", max_size=8), st.text(max_size=4)
    ),
    st.text(alphabet="aB@.<>:'\" mailto%40;\u00fc\u3002", max_size=20),
)


@given(ADDRESSES)
@example("mailto:'a'@x.de")
@example("mailto:%2541@x.de")
def test_to_write_an_address_twice_changes_nothing(text: str) -> None:
    """
    What is given is given again, and its domain is ASCII.
    """
    address = contacts.email(text)
    assert contacts.email(address) == address
    assert address.rpartition("@")[2].isascii()


@given(st.emails())
def test_every_plain_address_is_taken(text: str) -> None:
    """
    What the standard allows without quotes is an address, whatever its case.
    """
    assert contacts.email(text) == contacts.email(text.swapcase()) == text.lower()
