"""docs/CONTRACT.md: its code for confluent-kafka works on a real broker."""

# isort: off
from tests.kit.kafka_broker import LEAKS, collected, kafka, kafka_name
# isort: on

import json

import pytest

from services.validator.core import Validator
from shared.log.kafka_clients import Clients
from shared.log.kafka_log import KafkaLog
from shared.log.port import Append
from shared.messages.cloudevents import cloud_headers
from shared.messages.codec import encode
from shared.messages.streams import EVENTS, LABELS, PREDICTIONS
from shared.messages.types import Prediction, Valid
from tests.kit.pages import blocks
from tests.kit.serving import small_problem
from tests.kit.toy import T0

__all__ = ["collected", "kafka", "kafka_name"]

pytestmark = LEAKS


def test_producers_and_consumers_of_the_page(
    kafka: str, kafka_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("confluent_kafka")
    code = [
        block.replace("kafka.example.org:9092", kafka)
        .replace("shop.", f"{kafka_name}.")
        .replace("poll(10.0)", "poll(6.0)")
        for block in blocks("CONTRACT.md", "python")
    ]
    consume, plain, cloud = code
    log = KafkaLog.opened(Clients(kafka), kafka_name)
    try:
        exec(plain, {})
        exec(cloud, {})
        events = [*log.read([EVENTS], {}, 10)]
        valid = [out.value for out in Validator(small_problem()).handle(events)]
        assert [type(value) for value in valid] == [Valid, Valid]
        assert [value.id for value in valid] == ["e-1", "e-2"]
        assert [record.key for record in events] == ["customer-7"] * 2
        (label,) = log.read([LABELS], {}, 10)
        assert json.loads(label.value) == {"id": "e-1", "label": 1}
        said = Prediction(
            id="e-1", time=T0, prediction=1, model="v1", features={}, feature_set="f"
        )
        headers = cloud_headers(PREDICTIONS, said, kafka_name, 0)
        with log.begin("g") as transaction:
            transaction.append([Append(PREDICTIONS, encode(said), "e-1", 1, headers)])
        exec(consume, {})
        name, _, value = capsys.readouterr().out.strip().partition(" ")
        assert (name, json.loads(value)["model"]) == ("e-1", "v1")
    finally:
        log.close()
