"""What a change costs (CONTRIBUTING.md): a plug-in is one file and a line, a service one folder."""

import ast
import configparser
import re
from functools import cache
from pathlib import Path

import yaml

from services import discover
from shared.drift.table import DETECTORS
from shared.models.port import Expert
from shared.models.table import EXPERTS
from tests.architecture import manifests

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted([*ROOT.glob("services/**/*.py"), *ROOT.glob("shared/**/*.py")])


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names that stand in a file's code (not in prose)."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(used | {node.name for node in nodes if isinstance(node, ast.alias)})


def naming(word: str) -> set[str]:
    """Files of the product in which `word` stands as a name."""
    return {str(path.relative_to(ROOT)) for path in CODE if word in names_in(path)}


def test_an_expert_is_one_file_and_a_table_line() -> None:
    families = {
        cls.__name__ for cls in Expert.__subclasses__() if cls.__module__.startswith("shared.")
    }
    assert families
    for family in families:
        assert naming(family) <= {"shared/models/table.py"} | _own(family), family
    assert all(EXPERTS.values())


def test_a_detector_is_one_file_and_a_table_line() -> None:
    assert DETECTORS
    table = (ROOT / "shared/drift/table.py").read_text()
    assert len(re.findall(r"^    \"[a-z_]+\":", table, re.M)) == len(DETECTORS)


def test_a_transport_is_one_file_and_a_line_of_wiring() -> None:
    for module in ("shared.log.sqlite", "shared.log.memory", "shared.blobs.directory"):
        named = re.compile(rf"(from|import) {re.escape(module)}\b")
        outside = [p for p in CODE if p.parent.name != "log" and named.search(p.read_text())]
        assert [str(p.relative_to(ROOT)) for p in outside] == ["shared/wiring.py"], module


def test_a_service_is_one_folder() -> None:
    folders = {p.parent.name for p in ROOT.glob("services/*/__init__.py")}
    services = discover()
    assert {service.name for service in services} == folders
    assert len({service.place for service in services}) == len(services), "places must differ"
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    listed = contracts["importlinter:contract:services"]["modules"].split()
    assert set(listed) == {f"services.{name}" for name in folders}
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert folders <= set(compose), "a service has an entry in docker-compose.yml"
    generated = {Path(path).stem for path in manifests.FILES if "/services/" in path}
    assert folders == generated, "and its Kubernetes objects come from its declaration"
    central = [p for p in ROOT.glob("services/*.py")]
    for name in folders - {"collector", "console", "archiver", "trainer", "scheduler"}:
        assert not any(f"services.{name}" in p.read_text() for p in central), name


def _own(family: str) -> set[str]:
    return {
        str(p.relative_to(ROOT))
        for p in CODE
        if re.search(rf"^class {family}\b", p.read_text(), re.M)
    }
