"""What is compared: the branches of `pipelines/merges.yaml`, carried out on tiny models, and the figures of each student."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.pretrained import lessons
from benchmarks.priors import models, task
from cotforge.demo.digits import write_if_changed
from cotforge.prompts import shipped_folder
from cotforge.train.command import run_training
from cotforge.train.evaluation.tryout import AskedModel, name_of, try_out

NAMES = {
    "Qwen/Qwen2.5-VL-7B-Instruct": models.VLM,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": models.EXPERT,
    "Qwen/Qwen2.5-7B": models.TEXT,
}
"""By the models' names in the shipped pipeline, which tiny model stands for each."""
SWAPPED = [1, 2]
"""Of the four layers, those that a layer swap takes from the expert."""
STRANGER = ("drift-cosine", "linear")
"""Arms that are repeated with an expert whose decoder began with other weights than the VLM's."""
WEAK = ("drift-cosine", 0.1)
"""The arm that is repeated with a weaker pull, and its alpha: with 1 all rules went far beyond the expert, which shows in the distance."""
SEEDS_OFF = 1
"""Whose expert a seed's stranger is: that of the seed after it."""


@dataclass(frozen=True)
class Lessons:
    """What every arm learns, and on what all are tried."""

    count: int
    steps: int
    batch: int
    rate: float
    test: int
    follow: int | None = None
    """How many merges are followed by the lessons; None follows all."""


class Arm(NamedTuple):
    """A student of the comparison."""

    name: str
    """Of its stage; of the VLM, which has none, `vlm`."""
    steps: int
    stranger: bool
    """Whether its expert did not begin with the VLM's weights."""
    folder: str = ""
    """Of its stage in the run; empty for the VLM."""


@dataclass(frozen=True)
class Run:
    """The arms of one seed."""

    root: Path
    """Folder of all seeds."""
    seed: int
    others: int
    """Seeds whose models there are."""
    size: Lessons

    @property
    def folder(self) -> Path:
        return self.root / f"seed-{self.seed}"

    @property
    def out(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    @property
    def file(self) -> Path:
        return self.folder / "merges.yaml"

    def model(self, name: str, *, stranger: bool = False) -> Path:
        """The folder of one of this seed's models, or of the seed that is the stranger."""
        seed = (self.seed + SEEDS_OFF) % self.others if stranger else self.seed
        return self.root / f"seed-{seed}" / name

    def write(self) -> None:
        """Data, prompt and pipeline file."""
        taught, tried = lessons.draw("train", self.size.count, seed=1_000 + self.seed), lessons.draw("test", self.size.test)
        if not (self.folder / "dataset").exists():
            lessons.write_source(self.folder, [*taught, *tried])
            prompt = task.PROMPT.replace("{{ question }}", task.ADD)
            lessons.write_lessons(self.folder / "dataset", taught, reasons=lambda one, _: task.thought(one.digits), prompt=prompt)
        write_if_changed(self.folder / "student.jinja", task.PROMPT.encode())
        write_if_changed(self.file, yaml.safe_dump(self._pipeline(), sort_keys=False).encode())

    def _pipeline(self) -> dict[str, Any]:
        return {
            "name": f"priors-{self.seed}",
            "source": {"kind": "table", "path": "rows.csv", "split": "train"},
            "task": {"kind": "answer", "question": task.ADD, "verifier": "number"},
            "prompts": {"student": "student.jinja"},
            "teachers": [{"name": "one", "model": "m", "url": "http://localhost:1/v1"}],
            "train": {
                "student": {"model": str(self.model(models.VLM)), "freeze": _shipped()["student"]["freeze"]},
                "data": "dataset",
                "stages": list(self._stages()),
            },
            "eval": {"split": "test", "when": []},  # all are tried once, a hundred questions at a time
        }

    def _stages(self) -> Iterator[dict[str, Any]]:
        """Those of the shipped pipeline in this size; then those of the stranger, every merge followed by the lessons, and the weak one."""
        stages = [self._sized(stage) for stage in _shipped()["stages"]]
        plain = next(stage for stage in stages if stage["kind"] == "sft" and "prior" not in stage)
        merges = [stage for stage in stages if stage["kind"] == "merge"]
        yield from (self._named(stage) for stage in stages)
        for stage in stages:
            if stage["name"] in STRANGER:
                yield self._named(stage | {"name": f"{stage['name']}-stranger"}, stranger=True)
        for stage in merges[: self.size.follow]:
            yield plain | {"name": f"{stage['name']}-lessons", "from": stage["name"]}
        name, alpha = WEAK
        bent = next(stage for stage in stages if stage["name"] == name)
        yield self._named(bent | {"name": f"{name}-weak", "prior": bent["prior"] | {"alpha": alpha}})

    def _sized(self, stage: dict[str, Any]) -> dict[str, Any]:
        """A stage of the shipped pipeline with the size of this comparison; rules, methods, weights and densities stay."""
        if stage["kind"] == "merge":
            return stage | {"models": [each | ({"layers": SWAPPED} if "layers" in each else {}) for each in stage["models"]]}
        size = {"steps": self.size.steps, "batch": self.size.batch, "learning_rate": self.size.rate, "seed": self.seed}
        sized = {name: value for name, value in stage.items() if name not in ("epochs", "accumulate", "longest")}
        return sized | size | {"trl": {"lr_scheduler_type": "cosine", "warmup_steps": 0.05}}

    def _named(self, stage: dict[str, Any], *, stranger: bool = False) -> dict[str, Any]:
        """A stage whose models are the tiny ones."""
        named: dict[str, Any] = _replaced(
            stage, {name: str(self.model(ours, stranger=stranger and ours != models.VLM)) for name, ours in NAMES.items()}
        )
        return named

    def train(self, tell: Callable[[str], object]) -> None:
        """What is not done yet."""
        tell(run_training(str(self.file), out=self.out, tell=tell))

    def arms(self) -> list[Arm]:
        """The VLM, then every stage."""
        stages = list(self._stages())
        own = {stage["name"]: stage.get("steps", 0) for stage in stages}
        found = [Arm(models.VLM, 0, stranger=False)]
        for place, stage in enumerate(stages, 1):
            name = stage["name"]
            found.append(Arm(name, own[name], name.endswith("-stranger"), f"{place:02}-{name}"))
        return found

    def figures(self, arm: Arm) -> dict[str, Any]:
        """The figures of an arm's student on the held-out pictures, and its distance to its expert; what was measured is kept."""
        kept = self.folder / "figures" / f"{arm.name}.json"
        if not kept.exists():
            weights = self.out / "train" / arm.folder / "weights" if arm.folder else self.model(models.VLM)
            file = self.out / "eval" / f"{name_of(str(weights))}.json"
            asked = AskedModel(model=str(weights), max_tokens=models.LONGEST, batch=models.ASKED)
            try_out(self.file, asked=asked, out=self.out, tell=bool)
            found = json.loads(file.read_text(encoding="utf-8"))
            expert = self.model(models.EXPERT, stranger=arm.stranger)
            found["reasoning"] = models.traced(weights, self.size.test)
            found["distance"] = models.distance(weights, expert)
            found["distance_of_vlm"] = models.distance(self.model(models.VLM), expert)
            write_if_changed(kept, json.dumps(found).encode())
        whole: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return whole


def _shipped() -> dict[str, Any]:
    """`train:` of the shipped pipeline."""
    plan: dict[str, Any] = yaml.safe_load((shipped_folder("pipelines") / "merges.yaml").read_text(encoding="utf-8"))["train"]
    return plan


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    """A tree of plain values in which texts that are among the names are replaced."""
    if isinstance(value, dict):
        return {key: _replaced(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value
