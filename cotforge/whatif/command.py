"""`curate --what-if`: the journal decided anew in every way, a table of it, and a page."""

import math
from collections.abc import Callable

from cotforge.consensus.sequential.rule import SEQUENTIAL
from cotforge.consensus.whatif import TARGETS, RunContext
from cotforge.consensus.whatif import what_if as variants
from cotforge.curation import Curation
from cotforge.folder import RunFolder
from cotforge.whatif.answers import answer_table
from cotforge.whatif.choice import compare_rows
from cotforge.whatif.page import whatif_page
from cotforge.whatif.whatif_text import whatif_text

CSV, PAGE = "what-if.csv", "what-if.html"


def what_if(curation: Curation, folder: RunFolder, total: Callable[[], int]) -> str:
    """Leaves `what-if.csv` and `what-if.html` in the run folder; the text that the command prints. Nothing else is touched.

    `total` counts the Samples of the source. Raises PipelineError where the journal holds nothing.
    """
    loaded, setting = curation.loaded, curation.setting
    consensus, checked = loaded.pipeline.consensus, setting.gold
    waves = setting.waves if consensus.make_rule is SEQUENTIAL else SEQUENTIAL.waves(total(), checked.answers.keys())
    answers = answer_table(curation, waves)
    told = {**checked.answers, **dict.fromkeys(checked.ambiguous)}
    known = {id: answer for id, answer in told.items() if id in answers.labels}
    near = next((target for target in TARGETS if math.isclose(target, consensus.target)), consensus.target)
    frame = variants(
        answers.frame,
        classes=answers.classes,
        labels=answers.labels,
        prices=answers.prices,
        gold=known,
        drawn=checked.drawn,
        targets=sorted({*TARGETS, near}),
        label=consensus.label,
        ordered_at=near,
        max_calls=consensus.max_calls,
        promise=consensus.promise.wish if consensus.promise is not None else None,
        order=setting.terms.order or None,
        run=RunContext(waves, answers.met, setting.terms.options, answers.options, setting.pictures),
    )
    folder.write(CSV, frame.write_csv())
    gold = sum(answer is not None for answer in known.values())
    every = len(known) == len(answers.labels)
    follow_ups = loaded.follow_up_names
    found = compare_rows(frame.to_dicts(), consensus, gold=gold, order=setting.terms.order, all_checked=every, follow_ups=follow_ups)
    folder.write(PAGE, whatif_page(loaded.pipeline.name, found, answers, folder.path))
    return whatif_text(found, answers, folder.path, [folder.path / CSV, folder.path / PAGE])
