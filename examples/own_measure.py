"""A measure of your own: how many different things that can be seen does a reasoning name?

A measure is a plain function of a Sample, a Trace and a Verdict. Options are keyword-only, and checked against their annotations when
the pipeline file is read. A filter names it by file and function, the path relative to the pipeline file (see shapes.yaml):

    filters:
      - {measure: "own_measure.py:visual_words", with: {also: [disc, outline]}, min: 4}
"""

import re

from cotforge import Sample, Trace, Verdict

COLOURS = {"black", "blue", "bright", "dark", "green", "light", "orange", "red", "white", "yellow"}
PLACES = {"bottom", "left", "middle", "right", "top"}
FORMS = {"corner", "corners", "curved", "edge", "edges", "narrow", "parallel", "point", "round", "sharp", "small", "straight", "wide"}


def visual_words(sample: Sample, trace: Trace, verdict: Verdict | None, *, also: tuple[str, ...] = ()) -> float | None:
    """Different words for what can be seen, those of `also` among them, 0 or more; None without a reasoning."""
    if not trace.reasoning:
        return None
    return float(len(set(re.findall(r"[a-z]+", trace.reasoning.lower())) & (COLOURS | PLACES | FORMS | set(also))))
