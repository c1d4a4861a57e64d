"""Imports without what is not needed: they are a third of what a small fit costs."""

import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """What is imported inside goes without these optional packages, as where they are not installed.

    Afterwards they can be imported as ever. One that was imported before stays.
    """
    hidden = _Hidden(packages)  # None in `sys.modules` would do for Python, but not for Cython
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


@contextmanager
def later(module: str) -> Iterator[None]:
    """What is imported inside gets `module` with functions that import it when they are called.

    Afterwards whoever imports it gets the module itself. (`importlib.util.LazyLoader` would load it at
    the first `import` statement that finds it.)
    """
    modules: MutableMapping[str, Any] = sys.modules
    fresh = module not in modules
    if fresh:
        modules[module] = _Later(module)
    try:
        yield
    finally:
        if fresh:
            del modules[module]


class _Hidden(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(self, fullname: str, *_: object) -> None:
        """Not there (PEP 451)."""
        if fullname in self._packages:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*arguments, **named)

        return call
