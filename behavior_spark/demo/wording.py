"""Write the text for a meaning: clauses from `vocabulary`, typing errors and markup."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Final

from behavior_spark.demo import vocabulary as words
from behavior_spark.demo.catalogue import CATEGORIES, Item, build_catalogue
from behavior_spark.demo.dice import Dice

_SLOT: Final = re.compile(r"\{(\w+)\}")
_VAGUE: Final = {
    "chat": ("any news?", "what about the {item}", "still the same",
             "can someone look into {thing}",
             "I have a question about {thing}", "see my last message", "so?"),
    "review": ("ok", "as expected", "hm", "it's a {item}", "what can I say",
               "{item}, as ordered", "..."),
    "search": ("{cat}", "{noun_start}", "shop", "{item}s", "{adj}"),
}  # fmt: skip
_SPACES: Final = ("  ", "\n", "\t", "\u00a0", " \u200b", "\r\n")


def compose(kind: str, intent: str, emotion: str, item: Item, spam: bool, dice: Dice) -> str | None:
    """Write one text of this kind, intent and emotion about this item.

    A few are null, empty or too vague to show any meaning, as in real logs.
    """
    draw = dice.uniform()
    if draw < 0.012:
        return None if draw < 0.004 else ("" if draw < 0.009 else "   ")
    slots = _Slots(item, dice)
    if spam:
        text = slots.fill(dice.pick(words.SPAM))
    elif draw < 0.035:
        text = slots.fill(dice.pick(_VAGUE[kind]))
    elif kind == "search":
        text = _search(intent, emotion, slots, dice)
    elif kind == "review":
        text = _review(intent, emotion, slots, dice)
    else:
        text = _chat(intent, emotion, slots, dice)
    return _mess_up(_mistype(text, dice), dice)


class _Slots:
    """Replaces names in braces, with the facts of one item for the whole text."""

    def __init__(self, item: Item, dice: Dice) -> None:
        self._dice = dice
        self._item = item

    def fill(self, template: str) -> str:
        text = template
        while "{" in text:
            text = _SLOT.sub(self._fill_one, text)
        return text

    def _fill_one(self, match: re.Match[str]) -> str:
        name = match.group(1)
        options = words.WORDS.get(name) or words.SPAM_WORDS.get(name)
        return self._dice.pick(options) if options else self._fact(name)

    def _fact(self, name: str) -> str:
        item, dice = self._item, self._dice
        if name == "item":
            return item.noun if dice.chance(0.7) else f"{item.adjective} {item.noun}"
        if name == "other":
            near = item.category if dice.chance(0.7) else dice.pick(CATEGORIES)
            return dice.pick(build_catalogue()[near]).noun
        if name in ("cat", "adj", "size", "noun_start"):
            facts = {"cat": item.category, "adj": item.adjective, "size": item.size}
            return facts.get(name, item.noun[: 3 + dice.below(4)])
        return self._personal(name)

    def _personal(self, name: str) -> str:
        dice = self._dice
        if name == "email":
            return f"{dice.pick(words.NAMES)}{dice.below(90)}@{dice.pick(words.DOMAINS)}"
        if name == "phone":
            return f"+49 1{50 + dice.below(29)} 555{dice.below(10**5):05d}"
        if name == "card":
            return dice.pick(words.TEST_CARDS)
        if name == "ip":
            network = dice.pick(("192.0.2", "198.51.100", "203.0.113"))
            return f"{network}.{1 + dice.below(254)}"
        if name == "order":
            return f"#{dice.below(900_000) + 100_000}"
        return str(2 + dice.below(28))


def _search(intent: str, emotion: str, slots: _Slots, dice: Dice) -> str:
    text = slots.fill(dice.pick(words.SEARCH[intent]))
    if emotion != "neutral" and dice.chance(0.7):
        text += " " + dice.pick(
            {"anger": ("!!", "now!!"), "worry": ("urgent", "help", "??")}[emotion]
        )
    return text


def _review(intent: str, emotion: str, slots: _Slots, dice: Dice) -> str:
    clauses = [dice.pick(words.REVIEW[intent])]
    if dice.chance(0.35):
        clauses.append(dice.pick(words.REVIEW[intent]))
    if dice.chance(0.10):
        clauses.append(dice.pick(words.REVIEW["complaint" if intent == "praise" else "praise"]))
    if dice.chance(0.9):
        clauses.insert(dice.below(2), dice.pick(words.FEELING[emotion]))
        if dice.chance(0.3):
            clauses.append(dice.pick(words.FEELING[emotion]))
    if dice.chance(0.2):
        clauses.append(dice.pick(words.FILLER))
    return _join([slots.fill(clause) for clause in clauses], dice)


def _chat(intent: str, emotion: str, slots: _Slots, dice: Dice) -> str:
    clauses = [dice.pick(words.CHAT[intent])]
    if dice.chance(0.05):
        clauses.insert(dice.below(2), dice.pick(words.CHAT[dice.pick(words.INTENTS)]))
    if dice.chance(0.9):
        clauses.insert(dice.below(len(clauses) + 1), dice.pick(words.FEELING[emotion]))
        if dice.chance(0.3):
            clauses.append(dice.pick(words.FEELING[emotion]))
    if dice.chance(0.45):
        clauses.append(dice.pick(words.CHAT[intent]))
    if dice.chance(0.22):
        clauses.insert(dice.below(len(clauses) + 1), dice.pick(words.FILLER))
    if dice.chance(0.09):
        clauses.append(dice.pick(words.CONTACT))
    if dice.chance(0.4):
        clauses.insert(0, dice.pick(words.GREETINGS))
    if dice.chance(0.3):
        clauses.append(dice.pick(words.CLOSINGS))
    return _join([slots.fill(clause) for clause in clauses], dice)


def _join(clauses: Sequence[str], dice: Dice) -> str:
    glue = dice.pick((". ", ", ", " - ", "! ", " and ", " "))
    text = glue.join(clauses)
    return text[0].upper() + text[1:] if dice.chance(0.5) else text


def _mistype(text: str, dice: Dice) -> str:
    """Swap, drop or double a letter in a few words."""
    if len(text) < 6 or not dice.chance(0.22):
        return text
    for _ in range(1 + dice.below(2)):
        at = 1 + dice.below(len(text) - 3)
        pair = text[at : at + 2]
        text = text[:at] + dice.pick((pair[::-1], pair[:1], pair[0] + pair)) + text[at + 2 :]
    return text


def _mess_up(text: str, dice: Dice) -> str:
    """Add HTML escapes, tags, odd spaces, capitals or emoji, as web forms and users do."""
    draw = dice.uniform()
    if draw < 0.06:
        return html.escape(text).replace("'", "&#39;").replace(" ", "&nbsp;", 1)
    if draw < 0.09:
        return f"<p>{html.escape(text)}<br/></p>"
    if draw < 0.17:
        return dice.pick(("", " ")) + text.replace(" ", dice.pick(_SPACES), 1 + dice.below(2)) + " "
    if draw < 0.21:
        return text.upper()
    return text + dice.pick(("!", " :)", "!!", " 😀", ".")) if draw < 0.27 else text
