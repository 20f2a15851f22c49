"""The keys of the pipeline file, told from its typed sections: as a list, as lines for a terminal, and as a JSON schema for editors."""

from cotforge.keys.editor_schema import json_schema
from cotforge.keys.listing import Key, default_text, list_keys
from cotforge.keys.terminal_lines import key_lines

__all__ = ["Key", "default_text", "json_schema", "key_lines", "list_keys"]
