"""Makes the tests' tiny model in a folder, in a form that vLLM can load: python -m tests.vllm_cpu.model FOLDER

Newer transformers save LLaVA's tower as `vision_tower.embeddings...`; vLLM looks for the published checkpoints' names,
`vision_tower.vision_model.embeddings...`, which transformers reads as well.
"""

import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from tests.tiny_vlm import build


def named(key: str) -> str:
    return key if "vision_tower.vision_model." in key else key.replace("vision_tower.", "vision_tower.vision_model.", 1)


def main(folder: Path) -> None:
    weights = build(folder) / "model.safetensors"
    save_file({named(key): tensor for key, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
