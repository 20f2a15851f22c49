"""What a simulated teacher makes of a request: it looks at the pictures, decides, and gives its reasons; shown a text, it uses that too."""

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Literal, NamedTuple

from cotforge.simulate import wording
from cotforge.simulate.cells import STYLES, Style, work_out
from cotforge.simulate.evidence import label_evidence, read_values
from cotforge.simulate.eyes import Eye, best_label
from cotforge.simulate.hints import HEED, fit_cells, give_away, is_plausible
from cotforge.simulate.judging import Visible, marks_text, property_phrases, things_text
from cotforge.simulate.looking import COLOURS, SeenPictures, measured_answer, nearest_colour, told_answer
from cotforge.simulate.request import ParsedRequest
from cotforge.simulate.sight import Floats, Sight
from cotforge.simulate.tasks import ExplainTask, JudgeTask, SeenTask, VerifyTask, WeaveTask, question_text
from cotforge.simulate.weaving import segments_text, weave_cells, weave_sentences
from cotforge.teachers.simulated import GridCells, Simulated

LEAST_SURE = 1e-6
"""Probability that an answer has at least."""
SHAKE = 0.1
"""Most that a temperature of 1 adds to a score; scores sum to 1."""
NEAR = 0.15
"""Difference to the best score up to which a picture could well be of that label."""
NOTHING_SEEN = "The whole picture is one even tone. There is nothing in it that could be described, so I cannot tell."
NO_ANSWER = "nothing can be seen"
_UNTOLD = "The text does not say what it comes to."


class SaidText(NamedTuple):
    """What a teacher thinks, and what it answers."""

    text: str
    answer: str
    sure: float = 0.9
    """The probability that it gives its answer."""
    form: Literal["thought", "segments", "lines"] = "thought"
    """A reasoning, a text that is in tags already, or lines without an answer of their own."""


class Thinker:
    """A teacher's eye and character; `labels` are the task's, with how each is found in a prompt."""

    def __init__(self, simulated: Simulated, labels: Mapping[str, re.Pattern[str]], eye: Eye) -> None:
        self.simulated = simulated
        self._labels = labels
        self._eye = eye
        self._style: Style = STYLES[simulated.seed % len(STYLES)]

    def think(self, asked: ParsedRequest, seen: SeenPictures, rng: Random) -> SaidText:
        """What it says to one request, as its task has it."""
        match asked.task:
            case SeenTask() as task:
                return SaidText(things_text(task, self._visible(asked, seen), rng=rng), "", form="lines")
            case JudgeTask() as task:
                flatters, tilt = self._strikes(asked, "flatters"), Random(f"judge {self.simulated.seed}")
                agrees = self._agreement(asked, seen, task)
                return SaidText(marks_text(task, agrees, flatters=flatters, tilt=tilt, rng=rng), "", form="lines")
            case WeaveTask() as task:
                return self._weave(asked, seen, task, rng)
            case VerifyTask() as task:
                return self._verify(asked, seen, task, rng)
        if seen.blank and self._strikes(asked, "admits_blank"):
            return SaidText(NOTHING_SEEN, NO_ANSWER)
        if isinstance(asked.task, ExplainTask):
            return self._explain(asked, seen, asked.task.hint, rng)
        return self._solve(asked, seen, rng)

    def _strikes(self, asked: ParsedRequest, key: str) -> bool:
        """Whether a habit that shows in a share of Calls, the key of that name, shows in this one."""
        share: float = getattr(self.simulated, key)
        return asked.is_within(share, f"{key} {self.simulated.seed}")

    def _solve(self, asked: ParsedRequest, seen: SeenPictures, rng: Random) -> SaidText:
        """From the cells, from the whole picture by the labels that it has learned, or from a measurement."""
        grid = self.simulated.cells
        if grid is not None and seen.cells is not None:
            return self._work_out(grid, [best_label(each) for each in self._cell_scores(asked, seen.cells, rng)])
        if self._labels:
            return self._weigh_labels(self._label_scores(asked, seen.sights, rng), seen, rng)
        answer = self.simulated.stuck or measured_answer(_question(asked), seen.sights[0])
        return SaidText(wording.measuring_text(seen.sights[0], answer, rng=rng), answer)

    def _explain(self, asked: ParsedRequest, seen: SeenPictures, hint: str, rng: Random) -> SaidText:
        """Towards the hint where it follows that, or nearly sees it; else what it sees."""
        follows = self._strikes(asked, "follows_hint")
        grid = self.simulated.cells
        if self.simulated.stuck is not None:
            said = self._solve(asked, seen, rng)
        elif grid is not None and seen.cells is not None:
            said = self._explain_cells(grid, self._cell_scores(asked, seen.cells, rng), hint, follows)
        elif self._labels:
            scores = self._label_scores(asked, seen.sights, rng)
            if hint in scores:
                scores[hint] += HEED + (max(scores.values()) if follows else 0.0)
            said = self._weigh_labels(scores, seen, rng)
        else:
            answer = hint if follows else measured_answer(_question(asked), seen.sights[0])
            said = SaidText(wording.measuring_text(seen.sights[0], answer, rng=rng), answer)
        return said._replace(text=give_away(said.text, hint, rng)) if self._strikes(asked, "leaks_hint") else said

    def _explain_cells(self, grid: GridCells, scores: list[dict[str, float]], hint: str, follows: bool) -> SaidText:
        fit = fit_cells(scores, grid, hint)
        if fit is not None and (follows or is_plausible(scores, fit[1])):
            return self._work_out(grid, fit[0])
        said = self._work_out(grid, [best_label(each) for each in scores])
        return said._replace(answer=hint) if follows else said

    def _verify(self, asked: ParsedRequest, seen: SeenPictures, task: VerifyTask, rng: Random) -> SaidText:
        """From the text and its own eye, the text counting `trusts_text`; without a picture from the text alone."""
        grid, trust = self.simulated.cells, self.simulated.trusts_text if seen.sizes else 1.0
        if grid is not None:
            pictures = len(seen.sizes) or 1
            told = read_values(task.reasoning, grid, self._eye.labels, pictures=pictures)
            own = None if seen.cells is None else self._cell_scores(asked, seen.cells, rng)
            return self._work_out(grid, [self._mix_cell(own[at] if own else {}, value, trust, rng) for at, value in enumerate(told)])
        if self._labels:
            offered = self._offered(asked)
            told_labels = label_evidence(task.reasoning, self._eye.usual, offered)
            own_scores = self._label_scores(asked, seen.sights, rng) if seen.sights else {}
            mixed = {each: trust * told_labels[each] + (1 - trust) * own_scores.get(each, 0.0) for each in offered}
            if seen.sights:
                return self._weigh_labels(mixed, seen, rng)
            best = best_label({each: score + 1e-9 * rng.random() for each, score in mixed.items()})
            return SaidText(f"By what is described there, {best} fits best.", best)
        if seen.sights:
            return self._solve(asked, seen, rng)
        answer = told_answer(question_text(asked.text), task.reasoning)
        return SaidText(f"The text comes to {answer}." if answer else _UNTOLD, answer or NO_ANSWER)

    def _mix_cell(self, own: Mapping[str, float], told: str | None, trust: float, rng: Random) -> str:
        """The label of one cell; guessed where there is neither a picture nor a word about it."""
        if told is None:
            return best_label(own) if own else rng.choice(self._eye.labels)
        return best_label({each: (1 - trust) * own.get(each, 0.0) + trust * (each == told) for each in self._eye.labels})

    def _weave(self, asked: ParsedRequest, seen: SeenPictures, task: WeaveTask, rng: Random) -> SaidText:
        grid, woven = self.simulated.cells, None
        if grid is not None and seen.cells is not None and len(seen.sizes) == 1:
            woven = weave_cells(task, grid, self._cell_scores(asked, seen.cells, rng), style=self._style, rng=rng)
        own = self._solve(asked, seen, rng).text if seen.sizes else ""
        return SaidText(segments_text(woven or weave_sentences(task, own, self._labels, rng=rng)), task.right, form="segments")

    def _agreement(self, asked: ParsedRequest, seen: SeenPictures, task: JudgeTask) -> float:
        """How far its own eye agrees with a reasoning and its answer, in [0, 1]; a half where it cannot see."""
        grid, calm = self.simulated.cells, Random(0)
        if grid is not None and seen.cells is not None:
            read = [best_label(each) for each in self._cell_scores(asked, seen.cells, calm)]
            told = read_values(task.reasoning, grid, self._eye.labels, pictures=len(seen.sizes))
            same = sum(one == other for one, other in zip(read, told, strict=True)) / len(read)
            return (same + (self._work_out(grid, read).answer == task.answer)) / 2
        if self._labels and seen.sights:
            scores = self._label_scores(asked, seen.sights, calm)
            return min(1.0, max(0.0, scores.get(task.answer, 0.0)) / max(scores.values()))
        return float(measured_answer(_question(asked), seen.sights[0]) == task.answer) if seen.sights else 0.5

    def _visible(self, asked: ParsedRequest, seen: SeenPictures) -> Visible:
        if not seen.sizes or seen.blank:
            return Visible(blank=True)
        grid, calm = self.simulated.cells, Random(0)
        if grid is not None and seen.cells is not None:
            read = [best_label(each) for each in self._cell_scores(asked, seen.cells, calm)]
            sums = map(str, accumulate(map(int, read))) if grid.answer == "sum" else ["".join(read)]
            return Visible(blank=False, numbers={*read, *sums}, labels=set(read), known=self._eye.labels)
        sight = seen.sights[0]
        scores = self._label_scores(asked, seen.sights, calm) if self._labels else {}
        near = {label for label, score in scores.items() if score >= max(scores.values()) - NEAR}
        return Visible(
            blank=False, numbers={str(sight.parts)}, labels=near, known=list(self._labels), phrases=property_phrases(sight.measured),
            holes=sight.measured.get("holes", 0) >= 1, colour=nearest_colour(sight), colours=list(COLOURS),
        )  # fmt: skip

    def _work_out(self, grid: GridCells, read: Sequence[str]) -> SaidText:
        thought, answer = work_out(grid, read, style=self._style)
        return SaidText(thought, self.simulated.stuck or answer)

    def _weigh_labels(self, found: Mapping[str, float], seen: SeenPictures, rng: Random) -> SaidText:
        answer, whole = best_label(found), sum(max(score, 0.0) for score in found.values())
        sure = min(max(found[answer] / whole if whole > 0 else 1.0, LEAST_SURE), 1.0)
        return SaidText(wording.reasoning_text(seen.sights[0], found, self._eye.usual, rng=rng), answer, sure)

    def _cell_scores(self, asked: ParsedRequest, cells: Floats, rng: Random) -> list[dict[str, float]]:
        return [_shake_scores(each, list(each), asked, rng) for each in self._eye.scores_each(cells)]

    def _offered(self, asked: ParsedRequest) -> list[str]:
        """The labels that a request names; all of them where it names none, or names them for other reasons."""
        if isinstance(asked.task, JudgeTask | SeenTask):
            return list(self._labels)
        return [label for label, word in self._labels.items() if word.search(asked.text)] or list(self._labels)

    def _label_scores(self, asked: ParsedRequest, sights: Sequence[Sight], rng: Random) -> dict[str, float]:
        """The eye's scores of the labels that the request offers, shaken by the temperature.

        What a teacher is stuck at has a score of 1.
        """
        scores = dict.fromkeys(self._labels, 0.0) | self._eye.scores(sights)
        shaken = _shake_scores(scores, self._offered(asked), asked, rng)
        if self.simulated.stuck is None:
            return shaken
        return {label: score / 2 for label, score in shaken.items()} | {self.simulated.stuck: 1.0}


def _shake_scores(scores: Mapping[str, float], offered: Sequence[str], asked: ParsedRequest, rng: Random) -> dict[str, float]:
    """The scores of what is offered, as the temperature of a request shakes them."""
    return {label: scores[label] + SHAKE * asked.temperature * rng.random() for label in offered}


def _question(asked: ParsedRequest) -> str:
    """The question of a request, without what else a follow-up shows."""
    return asked.text if asked.task is None else question_text(asked.text)
