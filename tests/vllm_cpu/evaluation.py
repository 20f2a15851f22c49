"""What a tiny model answers in vLLM, as one line, FOUND and JSON: python -m tests.vllm_cpu.evaluation MODEL EMPTY

It is asked the questions of `tests.sharing`. Half of an answer is given back to it, which it is to continue; and it draws by seeds.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.train.evaluation.askers import Asker
from cotforge.train.evaluation.engines import Candidate, evaluate_candidate
from cotforge.train.evaluation.in_vllm import InVllm
from tests.sharing import questions

TOKENS = 48
BEGUN = "<think>Warm.</think>\n<answer>"


def answers(asker: Asker) -> dict[str, Any]:
    told: list[int] = []
    replies = asker.answers(questions(), max_tokens=TOKENS, done=told.append)
    begun = ({"role": "assistant", "content": [{"type": "text", "text": BEGUN}]},)
    first = questions()[1]
    (ended,) = asker.answers([replace(first, messages=(*first.messages, *begun))], max_tokens=8, done=bool)
    return {"said": [reply.content for reply in replies], "told": sum(told), "engine": asker.engine, "ended": ended.content}


def drawn(asker: Asker) -> dict[str, Any]:
    """What it draws by the seeds 0, 0, 1, 1, ..., and by the same ones in another order, from processes that stay."""
    assert isinstance(asker, InVllm)
    seeded = [replace(questions()[1], seed=place // 2) for place in range(8)]
    with asker.kept(max_tokens=TOKENS, temperature=1.5):
        once, again = (asker.answers(each, max_tokens=TOKENS, temperature=1.5, done=bool) for each in (seeded, seeded[::-1]))
    return {"drawn": [reply.content for reply in once], "drawn_again": [reply.content for reply in again[::-1]]}


def refusal(folder: Path) -> str:
    """Of a folder with the settings of a model that sees no pictures."""
    try:
        evaluate_candidate(
            Candidate(str(folder)),
            "vllm",
            1,
            cache=folder,
            tell=print,
            by=lambda asker: asker.answers(questions(), max_tokens=1, done=bool),
        )
    except PipelineError as fault:
        return str(fault)
    return "evaluated"


if __name__ == "__main__":
    model, empty = map(Path, sys.argv[1:3])
    found = evaluate_candidate(Candidate(str(model)), "vllm", 23, cache=empty, tell=print, by=lambda asker: answers(asker) | drawn(asker))
    print("\nFOUND " + json.dumps(found | {"refusal": refusal(empty)}), flush=True)
