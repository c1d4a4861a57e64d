"""The monitor's delay on made-up events, held against the declared truth."""

from pathlib import Path

from shared.problem.load import load_problem
from tests.kit.runs import ROOT, run_json

EXAMPLE = ROOT / "examples" / "drifting" / "problem.yaml"


def test_alarms_come_soon_after_the_declared_changes_and_never_before(tmp_path: Path) -> None:
    source = load_problem(EXAMPLE).source
    assert source is not None and source.generate is not None
    truth = {change.kind: change.at for change in source.generate.changes}
    result = run_json(EXAMPLE, tmp_path / "run")
    pages = {
        alert["evidence"]["prediction"]: alert["cause"]
        for alert in result["alerts"]
        if alert["severity"] == "page"
    }
    delays = {
        kind: min((page - at for page in pages if page >= at), default=None)
        for kind, at in truth.items()
    }
    assert min(pages) >= truth["abrupt"]
    assert delays["abrupt"] is not None and delays["abrupt"] < 150
    assert delays["gradual"] is not None and delays["gradual"] < 1_000
    assert delays["schema_break"] is not None and delays["schema_break"] < 20
    assert pages[truth["schema_break"] + delays["schema_break"]] == "source_break"
    again = run_json(EXAMPLE, tmp_path / "again", "--batch-size", "37")
    assert again["digest"] == result["digest"]
