"""`curate --what-if`: the journal decided anew in every way, a table of it, and a page."""

import math

from cotforge import gold
from cotforge.consensus.whatif import TARGETS
from cotforge.consensus.whatif import what_if as variants
from cotforge.curate import Curation
from cotforge.folder import RunFolder
from cotforge.whatif.choice import compared
from cotforge.whatif.page import page
from cotforge.whatif.table import table
from cotforge.whatif.words import text

CSV, PAGE = "what-if.csv", "what-if.html"


def what_if(curation: Curation, folder: RunFolder) -> str:
    """Leaves `what-if.csv` and `what-if.html` in the run folder; the text that the command prints. Nothing else is touched.

    Raises PipelineError where the journal holds nothing or gold is wrong.
    """
    loaded = curation.loaded
    consensus = loaded.pipeline.consensus
    checked = gold.find(loaded, folder.path).answers
    answers = table(curation)
    known = {id: answer for id, answer in checked.items() if id in answers.labels}
    near = next((target for target in TARGETS if math.isclose(target, consensus.target)), consensus.target)
    frame = variants(
        answers.frame,
        classes=answers.classes,
        labels=answers.labels if any(label is not None for label in answers.labels.values()) else None,
        prices=answers.prices,
        gold=known,
        targets=sorted({*TARGETS, near}),
        label=consensus.label,
        ordered_at=near,
    )
    folder.write(CSV, frame.write_csv())
    found = compared(frame.to_dicts(), consensus, gold=len(known))
    folder.write(PAGE, page(loaded.pipeline.name, found, answers, folder.path))
    return text(found, answers, folder.path, [folder.path / CSV, folder.path / PAGE])
