"""One folder a service; the folder list is the registry."""

from importlib import import_module
from pathlib import Path

from shared.stage import Service

USUAL_PORT = 8765
"""Where the page, health and metrics are, unless told otherwise."""


def discover() -> list[Service]:
    """Every service of this package, in the order of the flow."""
    folders = (path.parent.name for path in Path(__file__).parent.glob("*/__init__.py"))
    found: list[Service] = [import_module(f"services.{name}").SERVICE for name in sorted(folders)]
    return sorted(found, key=lambda service: (service.place, service.name))
