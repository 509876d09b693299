"""Explanations of a page's words: a button where a word first stands, and a list at the end of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup
from ruamel.yaml import YAML

from reports import vocabulary as words
from reports.runs.frames import SweepRuns


@dataclass(frozen=True)
class Term:
    """A word of the page.

    Attributes:
        name: the word as the list shows it.
        pattern: a regular expression of the word in the page.
        meaning: one or two sentences.
    """

    name: str
    pattern: str
    meaning: str

    @property
    def key(self) -> str:
        """The id of its explanation in the page."""
        return "term-" + re.sub(r"\W+", "-", self.name.lower())


SKIPPED = frozenset("button select option svg script style code pre summary h1 h2 h3 label title a".split())
"""Elements in which no word becomes a button."""
TAG = re.compile(r"(<[^>]*>)")
ENDING = re.compile(r"[.,;:!?)’”]*")
"""Punctuation after a word."""


def terms_of(runs: SweepRuns) -> list[Term]:
    """Return the words of a sweep's page: the general ones, and its objective if its trainable describes it."""
    text = (files("reports") / "templates" / "glossary.yaml").read_text(encoding="utf-8")
    terms = [Term(name, **entry) for name, entry in YAML(typ="safe").load(text).items()]
    declared: Mapping[str, str] = runs.record.get("metrics", {}).get(runs.metric, {})
    label, description = words.label_of(runs.metric), declared.get("description")
    if description and label not in {term.name for term in terms}:
        direction = "Large values are better." if runs.mode == "max" else "Small values are better."
        meaning = f"{description[0].upper()}{description[1:]}. {direction}"
        terms.append(Term(label, re.escape(label), meaning))
    return terms


def explain(html: str, terms: Sequence[Term]) -> tuple[str, list[Term]]:
    """Make a button of each word where it first stands in a page.

    Args:
        html: a part of the page without scripts.
        terms: the words.

    Returns:
        The part with buttons, and the words that occur in it, in the order of `terms`.
    """
    missing = {term.key for term in terms}
    # Of two words at the same place the longer one is meant: `judge probability`, not `judge`.
    by_length = sorted(terms, key=lambda term: -len(term.pattern))
    any_term = re.compile(
        "|".join(rf"(?P<t{number}>\b(?:{term.pattern})(?!\w))" for number, term in enumerate(by_length))
    )
    skipped = 0
    parts = []
    for part in TAG.split(html):
        if part.startswith("<"):
            skipped += _depth_of(part)
        elif not skipped and missing and part.strip():
            part = "".join(_explain_text(part, any_term, by_length, missing))
        parts.append(part)
    return "".join(parts), [term for term in terms if term.key not in missing]


def glossary(terms: Sequence[Term]) -> Markup:
    """Return the list of explanations, and the boxes that the buttons open."""
    entries = [Markup("<dt>{}</dt><dd>{}</dd>").format(term.name, term.meaning) for term in terms]
    boxes = [
        Markup("<div class='explanation' id='{}' popover><strong>{}</strong><p>{}</p></div>").format(
            term.key, term.name, term.meaning
        )
        for term in terms
    ]
    return Markup("<dl class='glossary'>{}</dl>{}").format(Markup("").join(entries), Markup("").join(boxes))


def _depth_of(tag: str) -> int:
    """Return 1 for the begin of an element in which nothing is explained, -1 for its end, else 0."""
    name = re.split(r"[\s/>]", tag.strip("</"), maxsplit=1)[0].rstrip(">").lower()
    if name not in SKIPPED:
        return 0
    return -1 if tag.startswith("</") else 1


def _explain_text(text: str, any_term: re.Pattern[str], terms: Sequence[Term], missing: set[str]) -> Iterator[str]:
    """Yield a text with buttons for the words in `missing`, which are taken out of it.

    Args:
        text: the text.
        any_term: matches each word of `terms` by a group of its own, `t0` for the first.
        terms: the words.
        missing: the keys of those that have not occurred before.
    """
    end = 0
    for match in any_term.finditer(text):
        term = terms[int((match.lastgroup or "t0")[1:])]
        if term.key not in missing:
            continue
        missing.remove(term.key)
        yield text[end : match.start()]
        # A line may break after a button: punctuation would begin the next one.
        ending = ENDING.match(text, match.end())
        assert ending is not None, "the pattern matches no characters, too"
        yield Markup("<span class='kept'><button type='button' class='term' popovertarget='{}' title='{}'>").format(
            term.key, term.meaning
        )
        yield f"{match[0]}</button>{ending[0]}</span>"
        end = ending.end()
    yield text[end:]


def explain_page(page: str, terms: Sequence[Term], place: str) -> str:
    """Return a page whose words are explained, with the list of explanations in place of a comment."""
    start, end = page.index("<main>"), page.rindex("</main>")
    main, used = explain(page[start:end], terms)
    section = Markup("<section><h2>Words</h2>{}</section>").format(glossary(used)) if used else ""
    return page[:start] + main.replace(place, str(section)) + page[end:]
