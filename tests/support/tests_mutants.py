"""Seeded bugs: a text replaced in one module of the core, and modules imported anew with it."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

CORE = Path(__file__).parents[2] / "core"


class Mutant(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Finds one module only, and compiles it with the bug. `name` is without the leading `bascule.`."""

    def __init__(self, name: str, old: str, new: str) -> None:
        self.module = f"bascule.{name}"
        path = CORE / (self.module.replace(".", "/") + ".py")
        importlib.machinery.SourceFileLoader.__init__(self, self.module, str(path))
        text = path.read_text()
        assert text.count(old) >= 1, f"{old!r} is not in {path}"
        self.text = text.replace(old, new, 1)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == self.module:
            return importlib.util.spec_from_file_location(name, self.path, loader=self)
        return None

    def get_code(self, fullname: str) -> Any:
        return compile(self.text, self.path, "exec")


@contextmanager
def imported_anew(finder: Mutant, prefixes: tuple[str, ...], *wanted: str) -> Iterator[tuple[ModuleType, ...]]:
    """The wanted modules with the bug; all modules under `prefixes` are loaded again, and put back afterwards."""
    packages = {prefix.rpartition(".")[0] for prefix in prefixes} | {"bascule"}
    parents = [sys.modules[name] for name in packages if name in sys.modules]
    saved = {name: module for name, module in sys.modules.items() if name.startswith(prefixes)}
    attributes = [dict(vars(parent)) for parent in parents]
    for name in saved:
        del sys.modules[name]
        parent, _, leaf = name.rpartition(".")
        if parent in sys.modules:  # `from package import module` asks the package first
            vars(sys.modules[parent]).pop(leaf, None)
    sys.meta_path.insert(0, finder)
    try:
        yield tuple(importlib.import_module(name) for name in wanted)
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith(prefixes)]:
            del sys.modules[name]
        sys.modules.update(saved)
        for parent, before in zip(parents, attributes, strict=True):
            vars(parent).update(before)
