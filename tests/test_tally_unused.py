"""What was paid for and is not used: refusals, and when the prompt is to blame."""

from dataclasses import replace

import pytest

from cotforge.followups.reply_faults import reads_as_refusal
from cotforge.records import Judged
from cotforge.tally import Tally
from cotforge.tally.unused import not_used
from tests.outcomes import unheard

TAGS = "Think, then write <answer>...</answer>."
AGAIN = "--retry no_answer asks them again"
BLAMED = f"prompts.solve should ask for <answer>...</answer>; {AGAIN}"
REFUSED = f"another teacher, or another prompts.solve, may help; {AGAIN}"
LOOK = f"losses.parquet has how they begin; {AGAIN}"
SUCH = "such as 'I cannot ...'"


@pytest.mark.parametrize(
    ("counts", "refusals", "prompt", "line"),
    [
        (
            {"c": 5, "a": 1},
            6,
            TAGS,
            f"6 replies came without an answer that can be read, all of them refusals {SUCH} (no_answer; c 5, a 1); {REFUSED}",
        ),
        ({"c": 1}, 1, "Look.", f"1 reply came without an answer that can be read, a refusal {SUCH} (no_answer; c 1); {REFUSED}"),
        ({"c": 3}, 1, TAGS, f"3 replies came without an answer that can be read, 1 of them a refusal {SUCH} (no_answer; c 3); {LOOK}"),
        ({"c": 3}, 0, TAGS, f"3 replies came without an answer that can be read (no_answer; c 3); {LOOK}"),
        ({"c": 3}, 0, "Look.", f"3 replies came without an answer that can be read (no_answer; c 3); {BLAMED}"),
    ],
)
def test_refusals_are_named_and_the_prompt_only_where_it_does_not_ask_for_the_tag(
    counts: dict[str, int], refusals: int, prompt: str, line: str
) -> None:
    unread = {teacher: {"no_answer": count} for teacher, count in counts.items()}
    assert list(not_used(unread, {}, {}, refusals=refusals, prompt=prompt)) == [line]


@pytest.mark.parametrize(
    ("said", "refuses"), [("I\u2019m sorry, but I can\u2019t help with that.", 1), ("The picture is one even colour.", 0)]
)
def test_a_reply_without_an_answer_that_refuses_is_counted_as_that(said: str, refuses: int) -> None:
    assert reads_as_refusal(said) == bool(refuses)
    tally, sample = Tally(), unheard(0)
    traces = tuple(Judged(one.trace, "unread", "no_answer", said=said) for one in sample.traces)
    tally.add(replace(sample, traces=traces))
    assert sum(one.refusals for one in tally.teachers.values()) == refuses * len(traces) == refuses
