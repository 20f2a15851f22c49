"""The inputs that are mutated, and what reads each."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.mutate import mutated
from cotforge.pipeline import Loaded
from cotforge.prompts import shipped
from cotforge.records import Picture, Sample
from cotforge.sandbox import ASKING, LEARNING, Prompt

YAML_SEEDS = (
    '&a ', '*a', '<<: *a\n', '<<: [*a, *a]\n', '!!int ', '!!python/name:os.system ', '!!binary ', '!!float ', '.inf', '.nan',
    '0x' + 'f' * 300, '1' + ':59' * 90, '9' * 5000, '-1', 'true', 'null', '[', ']', '{', '}', '- ', '? ', ': ', '|\n', '>\n', "'", '"',
    '\\ud800', '\\u0085', '\t', '#', '---\n', '...\n', '%YAML 1.1\n', '${HOME}', '${', '$$', '${NO_SUCH}', '[' * 70, '{a: ' * 70,
    'http://[::1', 'http://h:99999', 'kind: hf\n', 'kind: webdataset\n', 'kind: replay\n', 'kind: batch\n', 'kind: vllm\n',
    'measure: own.py:f\n', '~', '=', '0o7', '1e999', '1_0',
)  # fmt: skip
TEMPLATE_SEEDS = (
    '{{', '}}', '{%', '%}', '{#', '#}', '{% for a in range(99999) %}', '{% endfor %}', '{% set x = x ~ x %}', '{% set x = [x, x] %}',
    '{% macro m() %}', '{% endmacro %}', '{{ m() }}', '{% if options %}', '{% endif %}', "|join('" + 'x' * 300 + "')",
    '|indent(99999999)', '|batch(99999999)|list', "|replace('', question)", '|tojson(indent=9999)', '|wordwrap(1)', '.ljust(99999999)',
    '**', '*', '+', '~', '//', '%', '99999999999999999999', "|map('upper')|list", '{% block a %}', '{% endblock %}', '{{ self.a() }}',
    '{% include self %}', '[', ']', '(', ')', "'", '"', 'namespace(a=x)', 'loop', '{% for a in options recursive %}',
    '{{ loop(options) }}', '__class__', "|attr('format')", '{%- ', '{% raw %}', '{% endraw %}', '{% call m() %}', '{% endcall %}',
    '{% filter indent(9) %}', '{% endfilter %}', 'meta', 'images', 'none', '\\',
)  # fmt: skip

PIPELINE = """\
name: feelings
source: {kind: table, path: rows.jsonl, columns: {id: id, image: image, label: label, meta: [scene]}, limit: 10}
task:
  kind: classify
  question: What does this picture evoke, ${USER_WORD}?
  labels: {awe: [wonder], fear: [], "no": []}
prompts: {solve: long_cot/solve, student: student}
teachers:
  - name: one
    model: m/one
    url: ["http://gpu1:8000/v1", "http://gpu2/v1"]
    key_env: A_KEY
    price: &price {input: 0.1, output: 0.2}
    body: {seed: 7, stop: ["</answer>"]}
  - {name: two, model: m/two, url: "http://h/v1", temperature: 0.1, samples: 2, price: {<<: *price, output: 0}, rpm: 60, tpm: 1.0e5}
consensus: {rule: sequential, target: 0.9, max_calls: 5, label: vote}
gold: gold.csv
filters:
  - {measure: well_formed, min: 1}
  - {measure: repeated_ngrams, with: {n: 4}, max: 0.2}
select: {per_sample: 1}
budget: {usd: 5, tokens: 2.0e8, calls: 500, minutes: 3}
images: {max_pixels: 1000000, via: data}
train:
  student: {model: m/tiny, freeze: [vision], lora: {rank: 8}}
  stages:
    - {name: inject, kind: sft, epochs: 1}
    - name: clip
      kind: grpo
      steps: 4
      updates_per_rollout: 2
      clip: {low: 0.2, high: 0.1}
      rewards: [{measure: well_formed, weight: 0.2}, {measure: correct}]
eval: {share: 0.1, metrics: [accuracy]}
"""

RICH = """\
{% macro quoted(text, mark='"') %}{{ mark }}{{ text|trim|replace(mark, '') }}{{ mark }}{% endmacro %}
{% set seen = namespace(count=0, names=[]) %}
{% for option in options|sort if option in options %}
{% set seen.count = seen.count + 1 %}{% set seen.names = seen.names + [option.upper()] %}
{{ loop.index }} of {{ loop.length }}: {{ quoted(option ~ '!', mark="'") }}{{ ', ' if not loop.last else '.' }}
{% else %}none{% endfor %}
{{ question|wordwrap(20)|indent(2) }} {{ meta|tojson(indent=1) }} {{ seen.names|join(' / ') }} {{ meta.boxes|map('sum')|list }}
{{ options|batch(2)|list }} {{ images|length * 2 - 1 }} {{ question[2:7] }} {{ meta.get('scene', 'nowhere')|title }} {{ range(3)|sum }}
{% if meta.n > 3 and 'beach' in meta.scene %}{% for a in meta.boxes recursive %}{{ a if a is number else loop(a) }}{% endfor %}{% endif %}
"""


@dataclass(frozen=True)
class Input:
    """A kind of input: how one is made, and what is done with it."""

    make: Callable[[random.Random], str]
    read: Callable[[str, Path], None]
    """(text, an empty folder of this input's own); raises CotforgeError or Fault where the text is refused."""


def _pipeline(rng: random.Random) -> str:
    texts = [PIPELINE, *(path.read_text() for path in sorted(shipped("pipelines").glob("*.yaml")))]
    return mutated(rng.choice(texts), rng, seeds=YAML_SEEDS, others=texts)


def _read_pipeline(text: str, folder: Path) -> None:
    (folder / "p.yaml").write_bytes(text.encode(errors="surrogatepass"))
    loaded = Loaded.load(folder / "p.yaml")
    run = folder / "run"
    run.mkdir()
    (run / "pipeline.yaml").write_text(loaded.text())
    Loaded.of_run(run)


def _setting(rng: random.Random) -> str:
    keys = ("task.question", "teachers.0.max_tokens", "teachers", "task.labels", "budget", "filters.0", "name", "source.path")
    return mutated(f"{rng.choice(keys)}={rng.choice(YAML_SEEDS)}", rng, seeds=(*YAML_SEEDS, ".", "=", ".0."), others=[PIPELINE]).replace(
        "\0", ""
    )


def _read_setting(text: str, folder: Path) -> None:
    (folder / "p.yaml").write_text(PIPELINE)
    Loaded.load(folder / "p.yaml", [text])


SAMPLE = Sample(
    "a", tuple(Picture(f"{n:064x}", "image/jpeg", 1, 1, 1, lambda: b"") for n in range(2)), "Which one is it?", ("awe", "fear", "joy"),
    where="rows.jsonl:1", meta={"scene": "a beach", "boxes": [[1, 2], [3, 4]], "x": None, "n": 7},
)  # fmt: skip


def _template(rng: random.Random) -> str:
    texts = [RICH, *(path.read_text() for path in sorted(shipped("prompts").rglob("*.jinja")))]
    return mutated(rng.choice(texts), rng, seeds=TEMPLATE_SEEDS, others=texts)


def _read_template(text: str, folder: Path) -> None:
    (folder / "p.jinja").write_bytes(text.encode(errors="surrogatepass"))
    if "reasoning" in text:
        Prompt.load("p.jinja", folder, LEARNING).complete("It is wide.\n" * 20, "awe")
    else:
        Prompt.load("p.jinja", folder, ASKING).render(SAMPLE)


INPUTS = {
    "pipeline": Input(_pipeline, _read_pipeline),
    "--set": Input(_setting, _read_setting),
    "template": Input(_template, _read_template),
}
