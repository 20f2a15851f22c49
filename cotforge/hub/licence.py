"""Under which licence a dataset or model may be published, by the licences of what it is made of.

    choose_licence("cc-by-4.0", {"Qwen/Qwen2.5-VL-7B-Instruct": "apache-2.0"}).identifier        'cc-by-4.0'

The images, or the weights, carry their own licence on. What the teachers wrote may carry their makers' conditions. This is a rule of
thumb that never allows more than the licences say; it is no legal advice.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cotforge.card_keys import LICENCES
from cotforge.errors import show_value

CONFIRMED = "licence"
"""What `--allow` takes where a person knows better."""
NO_COMMERCE = re.compile(
    r"cc-by-nc|(?:h|intel|qwen|mistral)-research|apple-amlr|deepfloyd|fair-noncommercial|.*non-?commercial|mrl\b|mnpl\b"
)
NO_CHANGES = re.compile(r"cc-by-(?:nc-)?nd-")
SHARE_ALIKE = re.compile(r"cc-by-(?:nc-)?sa-|odbl|cdla-sharing|gfdl|l?gpl|agpl|osl|eupl")
WITHOUT_NAME = frozenset({"cc0-1.0", "pddl", "unlicense", "wtfpl"})
"""Licences that ask for no attribution."""
OWN_TERMS = re.compile(r"llama|gemma|grok|.*rail|deepfloyd")
"""Licences with conditions of use that go on with every copy, beside whatever else holds."""
_ATTRIBUTION = re.compile(r"cc-by|odc-by|odbl|etalab")
_UNSURE = ("", "unknown", "other")
_OUTPUTS = (
    (re.compile(r"llama-?[23]\Z"), "forbids using its output to improve other language models (Llama Community License, 1.b.v)", True),
    (re.compile(r"llama-?[34]"), "wants models that learn from its output to be named 'Llama ...' and to say 'Built with Llama'", False),
    (re.compile(r"gemma"), "passes its terms of use on to models that learn from its output (Gemma Terms of Use, 1.1)", False),
    (re.compile(r"qwen\Z|tongyi"), "wants models that learn from its output to say 'Built with Qwen' or 'Improved using Qwen'", False),
    (re.compile(r"openai|anthropic|google|gemini|proprietary|commercial"), "may forbid training on its output: read its terms", True),
)
"""What the licence of a teacher says of its output, and whether a person has to confirm that it is met."""
_SPELLINGS = {"cc0": "cc0-1.0", "apache": "apache-2.0", "apache2": "apache-2.0", "apache-2": "apache-2.0", "mit-license": "mit"}


@dataclass(frozen=True, slots=True)
class Licence:
    """The most that may be said of a dataset or model, and why."""

    identifier: str
    """One of the Hub; `unknown` where nobody stated it, `other` where the Hub has no word for it."""
    name: str | None = None
    """Of `other`: what the card calls it."""
    reasons: Sequence[str] = ()
    """Conditions that hold, in sentences without an end, for the card."""
    questions: Sequence[str] = ()
    """What a person should settle before anything becomes public, each in one line."""

    def contradictions(self, stated: object) -> list[str]:
        """Why what a card states (an identifier or a list) says more than may be said; empty where it does not."""
        listed = stated if isinstance(stated, list) else [stated]
        return [fault for one in listed for fault in self._contradictions(_spelled(one if isinstance(one, str) else None))]

    def _contradictions(self, stated: str) -> Iterator[str]:
        mine = self.identifier
        if stated in _UNSURE or stated == mine:
            return
        if mine in _UNSURE:
            yield f"the card says {show_value(stated)}, but {self._why('it is not known what its parts allow')}"
        elif NO_COMMERCE.match(mine) and not NO_COMMERCE.match(stated):
            yield f"the card says {show_value(stated)}, but {self._why('a part of it may not be used commercially')}"
        elif NO_CHANGES.match(mine) and not NO_CHANGES.match(stated):
            yield f"the card says {show_value(stated)}, but {mine} allows no changed copies"
        elif SHARE_ALIKE.match(mine) and _family(stated) != _family(mine):
            yield f"the card says {show_value(stated)}, but {mine} has to be kept"
        elif _ATTRIBUTION.match(mine) and stated in WITHOUT_NAME:
            yield f"the card says {show_value(stated)}, but {mine} wants the makers to be named"

    def _why(self, otherwise: str) -> str:
        return self.reasons[0] if self.reasons else otherwise


def choose_licence(source: str | None, teachers: Mapping[str, str | None], *, what: str = "the images") -> Licence:
    """The licence of a dataset (of a student, where `what` is "the base model") by that of its source and of each model that wrote for it.

    `source` and the values of `teachers` are identifiers of the Hub, or what somebody calls them; None where it is not known.
    """
    known = _spelled(source)
    reasons = [f"{model} {words}" for model, licence in teachers.items() for words, _ in _conditions(licence)]
    questions = [f"{model} {words}" for model, licence in teachers.items() for words, asks in _conditions(licence) if asks]
    if unstated := [model for model, licence in teachers.items() if _spelled(licence) in ("", "unknown")]:
        what_is = "licences of {} are" if len(unstated) > 1 else "licence of {} is"
        questions.append(f"the {what_is.format(', '.join(unstated))} not stated; set teachers[].license")
    noncommercial = [model for model, licence in teachers.items() if NO_COMMERCE.match(_spelled(licence))]
    if known in ("", "unknown"):
        return Licence("unknown", None, reasons, [f"the licence of {what} is not stated; set source.license", *questions])
    if known not in LICENCES or known == "other":
        named = re.sub(r"[^a-z0-9._-]+", "-", known).strip("-")[:96] or "other"
        return Licence("other", named, reasons, [f"{show_value(source)} is no licence that the Hub knows: read what it allows", *questions])
    if NO_CHANGES.match(known):
        questions.insert(0, f"{known} allows no changed copies of {what}: a dataset with smaller pictures and new texts may be one")
    if noncommercial and not NO_COMMERCE.match(known):
        reasons.insert(0, f"{', '.join(noncommercial)} may not be used commercially")
        if SHARE_ALIKE.match(known) or OWN_TERMS.match(known):
            questions.insert(0, f"{known} has to be kept as it is, but {reasons[0]}")
            return Licence("other", f"{known}-and-non-commercial", reasons, questions)
        return Licence("cc-by-nc-4.0", None, reasons, questions)
    return Licence(known, None, reasons, questions)


def _conditions(licence: str | None) -> Iterator[tuple[str, bool]]:
    """(what it says of a model's output, whether a person has to confirm that this is met)."""
    found = ((words, asks) for pattern, words, asks in _OUTPUTS if pattern.match(_spelled(licence)))
    yield from list(found)[:1]


def _spelled(licence: str | None) -> str:
    """As the Hub spells it, where that is clear; empty for None."""
    words = re.sub(r"[\s_]+", "-", (licence or "").strip().lower())
    if words not in LICENCES:
        words = re.sub(r"-licen[cs]e\b", "", re.sub(r"-v(?=[0-9])", "-", words))
    return _SPELLINGS.get(words, words)


def _family(licence: str) -> str:
    """Without its version: a later one of the same licence may follow an earlier one."""
    return re.sub(r"-?v?[0-9][0-9.]*\Z", "", licence)
