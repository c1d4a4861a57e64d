"""docs/asyncapi.yaml is valid AsyncAPI 3.0, and says what the code says."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services import discover
from shared.log.kafka_topics import settings
from shared.messages.codec import MESSAGES, json_schemas
from shared.messages.streams import CHECKPOINTS, Stream
from tests.architecture.asyncapi import document

SCHEMA = json.loads((Path(__file__).parent / "vendored" / "asyncapi-3.0.0.json").read_text())


@pytest.fixture(scope="module")
def made() -> Any:
    return yaml.safe_load(document())


def test_it_is_valid(made: Any) -> None:
    validator = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    best = jsonschema.exceptions.best_match(validator.iter_errors(made))
    assert best is None, f"{list(best.absolute_path)}: {best.message[:300]}"


def test_what_is_invalid_is_seen(made: Any) -> None:
    """The schema is in force: each of these documents is refused."""
    validator = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    for change in (
        {"asyncapi": "9.9.9"},
        {"operations": {"x": {"action": "sends", "channel": {"$ref": "#/channels/events"}}}},
        {"channels": {"events": {"adress": "x"}}},
        {"info": {"title": "no version"}},
    ):
        assert not validator.is_valid({**made, **change}), change


def test_every_reference_leads_somewhere(made: Any) -> None:
    text = json.dumps(made)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        at: Any = made
        for part in reference.split("/"):
            at = at[part]


def test_every_stream_and_every_operation_is_there(made: Any) -> None:
    assert set(made["channels"]) == set(map(str, set(Stream) - {CHECKPOINTS}))
    for service in discover():
        for action, streams in (("receive", service.reads), ("send", service.writes)):
            for stream in streams:
                operation = made["operations"][f"{service.name}_{action}s_{stream}"]
                assert operation["action"] == action
                assert operation["channel"] == {"$ref": f"#/channels/{stream}"}
    for stream in set(Stream) - {CHECKPOINTS}:
        channel = made["channels"][str(stream)]
        kafka = channel["bindings"]["kafka"]["topicConfiguration"]
        assert kafka["retention.ms"] == int(settings(stream)["retention.ms"])


def test_its_schemas_are_those_of_docs(made: Any) -> None:
    for stream, cls in MESSAGES.items():
        shown = json.dumps(made["components"]["schemas"][cls.__name__])
        published = json.dumps(json_schemas()[str(stream)]["$defs"][cls.__name__])
        assert shown.replace("#/components/schemas/", "#/$defs/") == published
