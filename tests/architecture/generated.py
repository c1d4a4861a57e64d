"""The generated parts of docs/: written by `make docs`, held current by a test."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from services import discover
from shared.messages.codec import json_schemas
from shared.problem.load import problem_schema
from shared.registry.lifecycle import page
from tests.architecture import asyncapi, manifests

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- generated: {} -->\n", "<!-- end: {} -->"


def topology() -> str:
    """The services and their streams as a Mermaid flow chart, from the `SERVICE` declarations."""
    lines = ["```mermaid", "flowchart LR"]
    services = discover()
    lines += [f"  {service.name}[{service.name}]" for service in services]
    for writer in services:
        for stream in writer.writes:
            for reader in services:
                if stream in reader.reads and reader is not writer:
                    lines.append(f"  {writer.name} -- {stream} --> {reader.name}")
    return "\n".join([*lines, "```", ""])


def services_table() -> str:
    """One row a service: what it reads, what it writes, how it scales, its first sentence."""
    rows = ["| service | reads | writes | scales | what it does |", "|---|---|---|---|---|"]
    for service in discover():
        doc = (sys.modules[f"services.{service.name}"].__doc__ or "").split("\n\n")[0]
        reads, writes = (" ".join(map(str, s)) or "-" for s in (service.reads, service.writes))
        rows.append(
            f"| {service.name} | {reads} | {writes} | {service.scale} | {' '.join(doc.split())} |"
        )
    return "\n".join([*rows, ""])


SECTIONS: dict[str, dict[str, Callable[[], str]]] = {
    "docs/ARCHITECTURE.md": {"topology": topology, "services": services_table},
}
FILES: dict[str, Callable[[], str]] = {
    **manifests.FILES,
    "docs/lifecycles.md": page,
    "docs/asyncapi.yaml": asyncapi.document,
    "docs/schemas/problem.schema.json": lambda: _json(problem_schema()),
    **{
        f"docs/schemas/{name}.schema.json": lambda schema=schema: _json(schema)  # type: ignore[misc]
        for name, schema in json_schemas().items()
    },
}


def expected(path: str) -> str:
    """What the file must hold now."""
    if path in FILES:
        return FILES[path]()
    text = (ROOT / path).read_text()
    for name, make in SECTIONS[path].items():
        begin, end = BEGIN.format(name), END.format(name)
        head, _, rest = text.partition(begin)
        _, found, tail = rest.partition(end)
        assert found, f"{path} has no section {name}"
        text = f"{head}{begin}{make()}{end}{tail}"
    return text


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def main() -> None:
    for path in [*SECTIONS, *FILES]:
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(expected(path))


if __name__ == "__main__":
    main()
