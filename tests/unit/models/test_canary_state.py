"""Who is the canary belongs to the pool's state: a scorer apart learns it from the snapshot."""

import pytest

from shared.models.codec import from_bytes, to_bytes
from tests.unit.models.test_pool import small_pool, tree


def test_a_snapshot_says_who_is_the_canary() -> None:
    pool = small_pool()
    pool.add_version("2", {"a": tree(1)})
    without = to_bytes(pool)
    pool.expose("2")
    assert from_bytes(to_bytes(pool)).canary == "2"
    pool.conceal("3")
    assert pool.canary == "2"
    pool.conceal("2")
    assert to_bytes(pool) == without


def test_a_canary_ends_with_its_promotion_and_with_its_version() -> None:
    pool = small_pool()
    pool.add_version("2", {"a": tree(1)})
    pool.expose("2")
    pool.promote("2")
    assert pool.canary is None
    pool.add_version("3", {"b": tree(2)})
    pool.expose("3")
    pool.drop_version("3")
    assert pool.canary is None


@pytest.mark.parametrize("version", ["1", "9"])
def test_only_a_shadow_can_be_one(version: str) -> None:
    with pytest.raises(ValueError, match="is no shadow"):
        small_pool().expose(version)
