"""What `make check` demands of names: a class name is one class's, and most functions have names of two words or more.

    python -m tests.check_names

Prints both figures, and exits with 1 where one is over its bound. Names of one word say too little where they are used alone: in published
packages that were counted in the same way, 18 to 45 % of the functions have one (verifiers, inspect_ai, TRL, ms-swift, nanochat).
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SHARED = 3
"""Class names that two classes may share, at most."""
ONE_WORD = 0.5
"""Share of functions whose name may be a single word, at most; underscores at its ends do not count."""


def defined(folder: Path) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(file, node) of every class and function below a folder."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield str(file.relative_to(folder.parent)), node


def shared_class_names(folder: Path) -> dict[str, list[str]]:
    """Class names that are used more than once, with the files."""
    homes = defaultdict[str, list[str]](list)
    for file, node in defined(folder):
        if isinstance(node, ast.ClassDef):
            homes[node.name].append(file)
    return {name: files for name, files in homes.items() if len(files) > 1}


def one_word_share(folder: Path) -> float:
    """Share of functions, methods and dunders included, whose name is a single word."""
    names = [node.name.strip("_") for _, node in defined(folder) if not isinstance(node, ast.ClassDef)]
    return sum("_" not in name for name in names) / len(names)


def main() -> int:
    """The exit code."""
    package = Path(__file__).parent.parent / "cotforge"
    shared, share = shared_class_names(package), one_word_share(package)
    for name, files in shared.items():
        print(f"class {name}: {', '.join(files)}")
    print(f"{len(shared)} class names are shared (at most {SHARED}); {share:.0%} of function names are one word (at most {ONE_WORD:.0%})")
    return int(len(shared) > SHARED or share > ONE_WORD)


if __name__ == "__main__":
    sys.exit(main())
