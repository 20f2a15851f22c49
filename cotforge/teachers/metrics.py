"""What a server's page of metrics says about its queue."""

import re

GAUGE = re.compile(r"^vllm:num_requests_(waiting|running)(?:\{([^}\n]*)\})? +([0-9.eE+]+)", re.MULTILINE)
NAME = re.compile(r'model_name="((?:[^"\\]|\\.)*)"')


def queue_of(page: str, model: str) -> tuple[int, int] | None:
    """(waiting, running) requests of a model on vLLM's page, summed over engines; None where the page does not say.

    A server may list its model under another of its names: where none is `model`, all count.
    """
    gauges = [
        (kind, name.group(1) if (name := NAME.search(labels or "")) else "", float(value)) for kind, labels, value in GAUGE.findall(page)
    ]
    if not gauges:
        return None
    named = [gauge for gauge in gauges if gauge[1] == model] or gauges
    waiting, running = (sum(value for kind, _, value in named if kind == wanted) for wanted in ("waiting", "running"))
    return int(waiting), int(running)
