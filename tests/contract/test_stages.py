"""`check_stage` over every service, on what its stage was really given in a run of the system."""

import pytest

from services import discover
from shared.messages.codec import encode
from shared.messages.streams import JOBS, MODELS, OUTCOMES, REJECTED
from tests.kit.check_stage import check_stage
from tests.kit.recorded import recording, tools_over

NAMES = [service.name for service in discover() if service.build is not None]


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_keeps_its_contract(name: str) -> None:
    whole = recording()
    service = next(s for s in whole.services if s.name == name)
    records = whole.inputs[name]
    assert records, "the recording does not reach this stage"
    outcomes = [encode(r.value) for r in whole.outputs if r.stream is OUTCOMES]
    tools = tools_over(lambda start, end: outcomes[start:end], whole.problem, whole.blobs)
    assert service.build is not None
    build = service.build
    cuts = [1, len(records) // 3, 2 * len(records) // 3, len(records) - 1]
    check_stage(service, lambda: build(whole.problem, tools), records, cuts)


def test_the_recording_reaches_what_matters() -> None:
    """A contract checked on nothing is no contract."""
    whole = recording()
    states = {r.value.state for r in whole.outputs if r.stream is JOBS}
    assert {"requested", "running", "trained", "accepted"} <= states
    steps = {r.value.state for r in whole.outputs if r.stream is MODELS}
    assert {"champion", "shadow", "snapshot"} <= steps
    checks = {r.value.check for r in whole.outputs if r.stream is REJECTED}
    assert len(checks) >= 4
