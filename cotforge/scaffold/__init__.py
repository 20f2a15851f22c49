"""`cotforge init [FOLDER]`: a first pipeline file for somebody's data.

`data_layout`: which kind of source a folder or file is. `label_survey`: what its rows hold. `pipeline_text`: the file, with comments.
"""

from cotforge.scaffold.writing_out import write_scaffold

__all__ = ["write_scaffold"]
