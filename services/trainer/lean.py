"""Imports without what a fit does not need: they are a third of what a small job costs."""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """What is imported inside goes without these optional packages, as where they are not installed.

    Afterwards they can be imported as ever. One that was imported before stays.
    """
    modules: MutableMapping[str, Any] = sys.modules  # None says: there is no such module (PEP 328)
    hidden = [name for name in packages if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


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


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*arguments, **named)

        return call
