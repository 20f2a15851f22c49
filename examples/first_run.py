"""A first run, from a pipeline file to lessons, without a server or a key: the teachers' replies were written down before.

Cells begin with `# %%`: VS Code, PyCharm and Jupyter (by jupytext) run them one by one.
    python examples/first_run.py [FOLDER]
"""

# %% The pipeline file, and one change to it
import sys
from pathlib import Path

import polars as pl

import cotforge

HERE = Path(__file__).parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/first-run")

pipeline = cotforge.Pipeline.load(HERE / "shapes.yaml", set={"filters.0.min": 1})
print(f"{pipeline.name}: {len(pipeline.teachers)} teachers, rule {pipeline.consensus.rule}")

# %% What would a build ask, and what would it cost? This asks nothing.
print(cotforge.check(pipeline, out=OUT))

# %% Ask, vote, filter, write the dataset. A second build asks nothing.
run = cotforge.build(pipeline, out=OUT)
print(run.summary)

# %% Tables are polars frames, and read no more of the files than is asked for
print(run.lessons().select("id", "label", "answer", "confidence").collect())
print(run.traces().group_by("teacher").agg(pl.col("fate").eq("wrong").sum().alias("wrong")).sort("teacher").collect())
print(run.losses().select("id", "stage", "reason").collect())

# %% One sample with all that was said about it. In a notebook it shows its picture too.
sample = run.sample("blue")
print(f"{sample.id}: labelled {sample.label}, taught as {sample.answer}; {dict(sorted(sample.votes.items()))}")
print(sample.pictures[0].size)

# %% A stricter rule over the same replies: nothing is asked again
print(cotforge.curate(run, set={"consensus.rule": "unanimous"}, replace=True).summary.rejected)

# %% And back; then the lessons as another trainer reads them
cotforge.curate(run)
print(run.export("trl").rows)
