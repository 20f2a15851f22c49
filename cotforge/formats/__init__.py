"""The lessons of a run as rows of other trainers: `cotforge export RUN --to FORMAT`.

A format is a file here and an entry in FORMATS (`known.py`). What a row holds follows from the dataset alone, never from the journal.
"""

from cotforge.formats.exporting import export_run
from cotforge.formats.known import FORMATS
from cotforge.formats.writing import Written

__all__ = ["FORMATS", "Written", "export_run"]
