"""`python -m cotforge.reference [FOLDER]`: writes the generated parts of the pages in a folder, `docs` where none is named."""

import sys
from pathlib import Path

from cotforge.reference.regions import write_pages

for page in write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")):
    print(f"{page}: written")
