"""What a tiny model answers in vLLM, as one line, FOUND and JSON: python -m tests.vllm_cpu.evaluation MODEL EMPTY

It is asked the questions of `tests.sharing`. At the end half of an answer is given back to it, which it is to continue.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cotforge.errors import PipelineError
from cotforge.train.evaluation.askers import Asker
from cotforge.train.evaluation.engines import Candidate, evaluated
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


def refusal(folder: Path) -> str:
    """Of a folder with the settings of a model that sees no pictures."""
    try:
        evaluated(
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
    found = evaluated(Candidate(str(model)), "vllm", 23, cache=empty, tell=print, by=answers)
    print("\nFOUND " + json.dumps(found | {"refusal": refusal(empty)}), flush=True)
