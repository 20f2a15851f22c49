"""The report of a run: one self-contained page for a person who decides by looking."""

from cotforge.report.collecting import PageCollector
from cotforge.report.rendering import BEGIN, END, report_page, with_training

__all__ = ["BEGIN", "END", "PageCollector", "report_page", "with_training"]
