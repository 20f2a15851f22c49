"""Gold: what people answered about a few samples, so that a claimed precision can be held against it.

`command` has the two halves of `cotforge gold`; it is not imported here, because whoever reads gold needs no pictures.
"""

from cotforge.gold.gold_file import FILE, UNTOLD, find_gold, gold_path, names_content, read_gold, unmet_ids
from cotforge.records import Gold

__all__ = ["FILE", "UNTOLD", "Gold", "find_gold", "gold_path", "names_content", "read_gold", "unmet_ids"]
