"""The parts of `docs/` that are generated: keys, measures, reasons, columns, commands, exit codes. `python -m cotforge.reference`."""

from cotforge.reference.regions import REGIONS, stale_pages, write_pages

__all__ = ["REGIONS", "stale_pages", "write_pages"]
