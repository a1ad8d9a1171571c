"""A clean text has one form, never exceeds its cap and always has the same key."""

# ruff: noqa: RUF001

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.cleaning.text import clean_text, normalise, pseudonym, text_hash

KEY = "a-key-of-sixteen-characters"
ANY = st.text(st.characters(), max_size=60)  # lone surrogates included
FORMS = st.sampled_from(["NFC", "NFKC"])
TRICKY = st.text(
    st.sampled_from(
        "a e\u0301\u0308\u0344\u0323\u200b\u200d\u202e\u00a8\ufb01\uac00\u1100\u1161\ufeff\xad\t\n"
        "\u1789\u1780\u3164\u1160\ufe0f\x00\x1c\x85"
    ),
    max_size=40,
)


@given(st.one_of(ANY, TRICKY), FORMS)
@settings(max_examples=500, deadline=None)
def test_normalising_twice_is_normalising_once(text, form):
    assert normalise(normalise(text, form), form) == normalise(text, form)


@given(st.one_of(ANY, TRICKY), FORMS)
@settings(max_examples=300, deadline=None)
def test_a_normal_text_has_its_form_on_one_line_with_single_spaces_and_no_edges(text, form):
    clean = normalise(text, form)
    assert unicodedata.is_normalized(form, clean)
    assert clean == " ".join(clean.split())
    assert not [c for c in clean if unicodedata.category(c) in ("Cc", "Cs")]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("ﬁne 10⁵ ½ Ａ", "ﬁne 10⁵ ½ Ａ"),  # the encoder's own affair
        ("น้ำ ບໍ່ທຳ", "น้ำ ບໍ່ທຳ"),  # NFKC takes Thai's and Lao's vowels apart
        ("e\u0301", "é"),
        ("e\u200b\u0301", "é"),  # what a zero-width space kept apart
        ("ខ្ញុំ\u200b\u200bចង់", "ខ្ញុំ\u200bចង់"),  # Khmer parts its words so
        ("v\u200bi\u200ba", "via"),
        ("a\x00b\x1cc\x85d\x9be", "abc de"),
        ("a\u00a0b\u3000c\u2028d", "a b c d"),
        (" a\r\n\tb\x00\x07 ", "a b"),
        ("a\ud83d\ude00\ud800 \ude00\ud83d", "a\U0001f600\ufffd \ufffd\ufffd"),  # UTF-16 in halves
        ("pass\u00adword", "password"),
        ("a \u200d\ufe0f \u200c b", "a b"),  # joiners of nothing
        ("a" + "\ufe0f" * 40 + "b", "ab"),
        ("", ""),
    ],
)
def test_equal_texts_get_one_form(text, clean):
    assert normalise(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"), [("ﬁne", "fine"), ("Ａ１", "A1"), ("½ kg", "1⁄2 kg"), ("10⁵", "105")]
)
def test_the_compatible_form_is_there_by_choice(text, clean):
    assert normalise(text, "NFKC") == clean
    assert clean_text(text, max_chars=50, form="NFKC").text == clean


PADDING = ["\n", " ", "\u200b", "\u200d", " \u200d", "\u00a0\u2060", "\ufe0f", "\x00 ", "\u3000\n"]


@pytest.mark.parametrize("padding", PADDING)
def test_padding_hides_neither_what_is_before_it_nor_what_is_behind(padding):
    for form in ("NFC", "NFKC"):
        clean = clean_text(
            padding * 9000 + "buy now" + padding * 9000 + ".", max_chars=64, form=form
        )
        assert clean.text in ("buy now .", "buy now.") and not clean.cut


@given(
    words=st.lists(st.text("abcéน灯", min_size=1, max_size=9), min_size=1, max_size=40),
    padding=st.sampled_from(PADDING),
    cap=st.sampled_from([16, 17, 64, 4000, 1_000_000]),
)
@settings(max_examples=200, deadline=None)
def test_the_cap_keeps_the_beginning_however_much_padding_is_between(words, padding, cap):
    padded = clean_text(f" {padding} ".join([*words, padding * 100]), max_chars=cap, mask=False)
    whole = " ".join(words)
    assert padded.text == whole[:cap].rstrip() and padded.cut == (len(whole) > cap)


def test_numbers_that_shrink_when_masked_leave_room_for_what_follows():
    clean = clean_text("4111 1111 1111 1111 " * 30 + "call me " * 30, max_chars=300)
    assert clean.text.startswith("<card> " * 30 + "call me call") and clean.masked == 30
    assert len(clean.text) > 290 and clean.cut


@pytest.mark.parametrize(
    "unit",
    ["a ", "a\n\n\n", "\u200b\u200d", "e\u0301\u0323", "\u0301\u0323", "\u200b\u1780", "\u0344",
     "灯", "\ufe0f ", "\u3164", "a\x00"],
)  # fmt: skip
def test_megabytes_take_a_time_in_proportion_whatever_they_hold(unit):
    for size, cap in ((200_000, 1_000_000), (2_000_000, 100)):
        text = unit * (size // len(unit.encode()))
        start = time.process_time()
        clean = clean_text(text, max_chars=cap, mask=False)
        assert time.process_time() - start < 4  # squared time would be hours
        assert len(clean.text) <= cap


def test_ten_megabytes_of_lines_take_a_second():
    start = time.process_time()
    clean = clean_text("a line \n" * 1_250_000, max_chars=4000)
    assert clean.text.startswith("a line a line a line") and clean.cut
    assert time.process_time() - start < 4


def test_personal_data_in_fullwidth_characters_is_masked_in_either_form():
    for form in ("NFC", "NFKC"):
        clean = clean_text("ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ 灯", max_chars=90, form=form)
        assert clean.text == "<email> 灯" and clean.masked == 1


@pytest.mark.parametrize(
    "emoji",
    [
        "👩\u200d👩\u200d👧",
        "🏳️\u200d🌈",
        "👍🏽",
        "🇺🇦",
        "1️⃣",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "नमस्\u200dते",
        "می\u200cخواهم",
    ],
)
def test_joined_emoji_and_scripts_keep_their_joiners(emoji):
    assert normalise(emoji) == emoji


@given(st.text("אבגדהוזחטיךכלםמןנסעףפץצקרשת ابتثجحخدذرزسشصضطظعغفقكلمنهوي0123456789.,", max_size=50))
def test_right_to_left_text_stays_as_it_is(text):
    one_line = " ".join(text.split())
    assert normalise(one_line) == one_line


@pytest.mark.parametrize(
    "control", [*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e", *"\u2066\u2067\u2068\u2069"]
)
def test_bidirectional_controls_are_removed(control):
    assert normalise(f"שלום{control}abc") == "שלוםabc"


@given(st.text(st.characters(categories=["Cs"]), min_size=1, max_size=5))
def test_lone_surrogates_become_replacement_characters(surrogates):
    # Low ones before high ones: a high one before a low one would be a pair, which is a character.
    surrogates = "".join(sorted(surrogates, reverse=True))
    clean = clean_text(f"a{surrogates}b", max_chars=100)
    assert clean.text == "a" + "\ufffd" * len(surrogates) + "b"
    assert len(text_hash(clean.text)) == 64
    assert len(text_hash(surrogates)) == 64
    assert text_hash(surrogates) != text_hash("?" * len(surrogates))
    assert pseudonym(surrogates, key=KEY) != pseudonym("?" * len(surrogates), key=KEY)


PERSONAL = [
    "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "+44 20 7946 0018",
    "ann@example.com", "2001:db8:0:0:8:800:200c:417a", "192.168.10.20",
]  # fmt: skip


@given(
    pieces=st.lists(
        st.one_of(ANY, st.sampled_from(PERSONAL), st.just("ﷺ" * 9), st.just(" " * 80)), max_size=8
    ),
    cap=st.integers(16, 120),
    mask=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_the_cap_is_never_exceeded(pieces, cap, mask):
    text = " ".join(pieces)
    clean = clean_text(text, max_chars=cap, mask=mask)
    assert len(clean.text) <= cap
    assert clean.text == clean.text.strip()
    if not clean.cut and not mask:
        assert clean.text == normalise(text)


@pytest.mark.parametrize("personal", PERSONAL)
@pytest.mark.parametrize("tail", ["", " and more", " " + "more " * 100, " " + "more " * 1000])
def test_the_cap_cuts_no_masked_number_and_no_placeholder_in_two(personal, tail):
    start = re.match(r"\w{3}|.{3}", personal).group()
    for before in range(0, 60):
        clean = clean_text("x" * before + " " + personal + tail, max_chars=40)
        assert start not in clean.text
        assert clean.text.count("<") == clean.text.count(">")


@pytest.mark.parametrize("shift", range(20))
def test_numbers_that_shrink_when_masked_draw_no_half_number_under_the_cap(shift):
    clean = clean_text("x" * shift + " 4111 1111 1111 1111" * 20, max_chars=60)
    assert clean.cut
    assert "1" not in clean.text


def test_a_cut_text_says_so_and_a_whole_one_does_not():
    assert clean_text("a" * 16, max_chars=16).cut is False
    assert clean_text("a" * 17, max_chars=16) == clean_text("a" * 16, max_chars=16).__class__(
        "a" * 16, 0, True
    )


def test_masking_is_counted_and_can_be_left_out():
    text = "mail ann@example.com or +44 20 7946 0018"
    assert clean_text(text, max_chars=100).masked == 2
    assert clean_text(text, max_chars=100, mask=False).text == text


def test_the_hash_is_sha256_and_never_changes():
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180, "abc"
    assert text_hash("abc") == known
    assert text_hash(clean_text("  abc\u200b", max_chars=16).text) == known


def test_the_keyed_hash_is_hmac_sha256():
    # RFC 4231, test case 2.
    known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert text_hash("what do ya want for nothing?", key="Jefe") == known


def test_another_key_gives_another_hash_and_another_pseudonym():
    assert len({text_hash("abc"), text_hash("abc", key=KEY), text_hash("abc", key=KEY + "!")}) == 3
    assert pseudonym("u1", key=KEY) != pseudonym("u1", key=KEY + "!")
    assert pseudonym("u1", key=KEY) != pseudonym("u2", key=KEY)
    assert re.fullmatch("[0-9a-f]{32}", pseudonym("u1", key=KEY))
    assert pseudonym("u1", key=KEY) != text_hash("u1", key=KEY)[:32]


@given(
    st.one_of(ANY, TRICKY, st.text("<abcdefgh>@.4 \u200b", max_size=80)),
    st.characters(min_codepoint=0x21, max_codepoint=0x7E),
    st.one_of(ANY, TRICKY, st.text("<abcdefgh>@.4 \u200b", max_size=80)),
    FORMS,
)
@settings(max_examples=500, deadline=None)
def test_one_visible_ascii_character_keeps_a_text_from_becoming_empty(before, one, after, form):
    """Which is how the quarantine finds the texts of which cleaning leaves nothing."""
    assert clean_text(before + one + after, max_chars=16, form=form).text
    assert clean_text(f"<{'a' * 30}>", max_chars=16).text
