"""A stage with a bandit in one of two processes. Run by tests/test_train_curriculum.py."""

import json
import sys
from hashlib import sha256
from pathlib import Path

from cotforge.optional import pass_over_torchvision


def main(folder: Path, model: Path, dataset: Path) -> None:
    """Five steps; what this process found is left as JSON."""
    import torch

    from cotforge.train import ranks
    from tests.paced import learn, sum_of

    torch.set_num_threads(1)
    ranks.join_processes()
    trainer, noting, prepared, pupil = learn(folder, model, dataset, steps=5, batch=4)
    weights = sha256(b"".join(weight.detach().numpy().tobytes() for weight in pupil.model.parameters())).hexdigest()
    sums = [[sum_of(prepared, row) for row in rows] for rows in noting.drawn]
    found = {"drawn": noting.drawn, "sums": sums, "told": noting.told, "learned": trainer.learned, "weights": weights}
    (folder / f"process-{ranks.process_number()}.json").write_text(json.dumps(found))
    ranks.leave_processes()


if __name__ == "__main__":
    pass_over_torchvision()
    main(*map(Path, sys.argv[1:4]))
