"""What becomes of a test whose backend is not there."""

import warnings

import pytest

from tests.kit.servers import missing


def test_it_is_skipped_for_all_to_see_or_fails_where_the_backend_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REQUIRE_BACKENDS", raising=False)
    with warnings.catch_warnings(record=True) as seen, pytest.raises(pytest.skip.Exception):
        missing("kafka", "no Kafka here")
    assert [str(warning.message) for warning in seen] == ["SKIPPED, no Kafka here"]
    monkeypatch.setenv("REQUIRE_BACKENDS", "redis,kafka")
    with pytest.raises(pytest.fail.Exception, match="no Kafka here"):
        missing("kafka", "no Kafka here")
