"""The pool over its life: versions, anchors, classes, late labels, bytes."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from shared.errors import Reject, UntrustedArtefact
from shared.models import river_expert
from shared.models.arrival import pack_arrival, unpack_arrival, view_width
from shared.models.bank import Bank
from shared.models.codec import from_bytes, to_bytes
from shared.models.packed import unpack
from shared.models.pool import MOST_ANCHORS, Pool
from shared.models.port import F64, Labels, Scored, Task
from shared.models.said import pack, pack_many, unpack_many
from shared.models.said import unpack as unpack_said
from shared.models.table import EXPERTS
from shared.models.trees_anchor import TreesAnchor
from shared.models.warm import warm
from tests.unit.models.streams import noisy_stream

FEW = ("softmax", "counts")


def small_pool(task: Task = "binary", n_classes: int = 2, **more: Any) -> Pool:
    few = FEW if task != "regression" else ("least-squares", "persistence")
    return Pool(task, 4, n_classes, experts=more.pop("experts", few), **more)


def tree(seed: int = 9, classes: tuple[int, ...] = (0, 1)) -> TreesAnchor:
    x, y = noisy_stream("binary" if len(classes) == 2 else "multiclass", 300, seed=seed)
    fitted = DecisionTreeClassifier(max_depth=3, random_state=0).fit(np.nan_to_num(x), y)
    return TreesAnchor.from_sklearn(fitted, classes)


def members_of(scored: Scored) -> dict[str, Any]:
    return {version: verdict.members for version, verdict in scored.by_version.items()}


def learn(pool: Pool, x: F64, y: Labels, scored: Scored) -> None:
    pool.learn_many(x, y, scored.said, members_of(scored), scored.arrival, scored.layout)


def follow(pool: Pool, x: F64, y: Labels, late_by: int = 0) -> Iterator[Scored]:
    """Test, then train `late_by` events later."""
    told: list[Scored] = []
    for i in range(len(x)):
        told.append(pool.predict_many(x[i : i + 1]))
        yield told[-1]
        j = i - late_by
        if j >= 0:
            learn(pool, x[j : j + 1], y[j : j + 1], told[j])


def test_a_challenger_hears_its_anchor_and_can_become_the_champion() -> None:
    x, y = noisy_stream("binary", 900)
    pool = small_pool(version="base")
    list(follow(pool, x[:20], y[:20]))
    pool.add_version("new", {"tree-1": tree()})
    assert pool.bank.names[-1] == "tree-1"
    assert pool.champion == "base"
    hits = np.zeros(2)
    for scored, label in zip(follow(pool, x[300:], y[300:], 3), y[300:], strict=True):
        hits += [scored.by_version[v].mean[0].argmax() == label for v in ("base", "new")]
    assert hits[1] > hits[0]
    assert pool.versions["new"].weights["tree-1"] > 0.1
    with pytest.raises(ValueError, match="champion"):
        pool.drop_version("base")
    pool.promote("new")
    pool.drop_version("base")
    assert list(pool.predict_many(x[:1]).by_version) == ["new"]
    assert "tree-1" in pool.bank.names, "the champion still hears it"


def test_a_version_hears_the_newest_anchors_only() -> None:
    pool = small_pool()
    for number in range(2, 4 + MOST_ANCHORS):
        pool.add_version(str(number), {f"a{number}": tree(number)})
        pool.promote(str(number))
        pool.drop_version(str(number - 1))
    newest = [f"a{number}" for number in range(4, 4 + MOST_ANCHORS)]
    assert list(pool.bank.anchors) == newest
    assert [name for name in pool.versions[pool.champion].names if name[0] == "a"] == newest


def test_an_anchor_goes_with_the_last_version_that_hears_it() -> None:
    pool = small_pool()
    pool.add_version("2", {"a": tree(1)})
    pool.promote("2")
    pool.add_version("3", {"b": tree(2)})
    pool.drop_version("3")
    assert "b" not in pool.bank.names and "a" in pool.bank.names
    pool.promote("1")
    pool.drop_version("2")
    assert "a" not in pool.bank.names
    with pytest.raises(ValueError, match="exists already"):
        pool.add_version("1", {})
    with pytest.raises(ValueError, match="column 'prior'"):
        pool.add_version("2", {"prior": tree()})
    with pytest.raises(ValueError, match="no version 'x'"):
        pool.promote("x")


def test_what_was_said_in_an_older_layout_lands_in_the_right_columns() -> None:
    """Between prediction and label an anchor goes and another comes: same number of columns."""
    x, y = noisy_stream("binary", 40)
    pool = small_pool()
    pool.add_version("2", {"a": tree(1)})
    old = pool.predict_many(x[:20])
    pool.drop_version("2")
    pool.add_version("3", {"b": tree(2)})
    assert pool.layout != old.layout
    aligned = pool._aligned(old.said, pool.layouts[old.layout])
    np.testing.assert_array_equal(aligned[:, :-1], old.said[:, :-1])
    assert (aligned[:, -1] == 0.5).all(), "b had said nothing"
    before = pool.versions["3"].weights["b"]
    learn(pool, x[:20], y[:20], old)
    assert pool.versions["3"].weights["b"] == pytest.approx(before, abs=0.02)
    first = old.arrival.of(slice(5))
    pool.learn_many(
        x[:5], y[:5], old.said[:5], {}, first, layout=999
    )  # unknown: only the bank learns


def test_a_version_that_did_not_exist_learns_from_what_the_experts_said() -> None:
    x, y = noisy_stream("binary", 200)
    pool = small_pool()
    list(follow(pool, x[:50], y[:50]))
    scored = pool.predict_many(x)
    pool.add_version("2", {"a": tree(1)})
    before = pool.versions["2"].snapshot()
    learn(pool, x, y, scored)
    after = pool.versions["2"].snapshot()
    assert not np.array_equal(before["weights"], after["weights"])
    np.testing.assert_array_equal(before["loss"], after["loss"])


@pytest.mark.parametrize("experts", [(name,) for name in EXPERTS["multiclass"]] + [()])
def test_a_class_may_appear_between_prediction_and_label(experts: tuple[str, ...]) -> None:
    x, y = noisy_stream("multiclass", 300)
    early = np.where(y == 2, 0, y)
    pool = small_pool("multiclass", 2, experts=experts)
    pool.add_version("2", {"a": tree(1)})
    list(follow(pool, x[:100], early[:100]))
    old = pool.predict_many(x[100:140])
    with pytest.raises(ValueError, match="call grow"):
        learn(pool, x[100:140], np.full(40, 2), old)
    pool.grow(3)
    learn(pool, x[100:140], y[100:140], old)
    said = [scored.by_version["2"].mean[0] for scored in follow(pool, x[140:], y[140:])]
    assert np.isfinite(said).all()
    np.testing.assert_allclose(np.sum(said, axis=1), 1.0, atol=1e-6)
    if not experts:
        assert (np.argmax(said, axis=1) == y[140:]).mean() > 0.6
    again = from_bytes(to_bytes(pool))
    assert to_bytes(again) == to_bytes(pool)
    np.testing.assert_array_equal(again.predict_many(x).said, pool.predict_many(x).said)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_bytes_and_back_goes_on_alike(task: Task) -> None:
    x, y = noisy_stream(task, 400)
    pool = Pool(task, 4, 2)
    if task == "binary":
        pool.add_version("2", {"a/b": tree()})
    else:
        fitted = DecisionTreeRegressor(max_depth=3, random_state=0).fit(np.nan_to_num(x), y)
        pool.add_version("2", {"a/b": TreesAnchor.from_sklearn(fitted)})
    list(follow(pool, x[:250], y[:250]))
    again = from_bytes(to_bytes(pool))
    assert again.versions.keys() == pool.versions.keys()
    ours, theirs = list(follow(pool, x[250:], y[250:])), list(follow(again, x[250:], y[250:]))
    for one, other in zip(ours, theirs, strict=True):
        assert one.said.tobytes() == other.said.tobytes()
        for version in pool.versions:
            mine, its = one.by_version[version], other.by_version[version]
            assert mine.mean.tobytes() == its.mean.tobytes()
    assert to_bytes(pool) == to_bytes(again)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_learning_from_the_text_is_learning_from_what_was_said(task: Task) -> None:
    x, y = noisy_stream(task, 300)
    pool, twin = small_pool(task), small_pool(task)
    for i in range(len(x)):
        row = slice(i, i + 1)
        scored = pool.predict_many(x[row])
        twin.predict_many(x[row])
        learn(pool, x[row], y[row], scored)
        members = {version: v.members[0] for version, v in scored.by_version.items()}
        half = task != "regression"
        text = pack((), scored.said[0], members, half)
        told = unpack_said(text, len(pool.bank.names), len(members[pool.champion]), half)
        said = {version: rows[None] for version, rows in told.members.items()}
        seen = unpack_arrival(pack_arrival(scored.arrival), view_width(4))
        twin.learn_many(x[row], y[row], told.experts[None], said, seen)
    assert to_bytes(pool) == to_bytes(twin)


@pytest.mark.parametrize("text", ["", "?", ";v1|", ";v1|AAAA", ";|é", "v1|AAAAAAEAAgACAAAA", "é"])
def test_a_text_that_says_nothing_is_rejected(text: str) -> None:
    with pytest.raises(Reject, match="said"):
        unpack_said(text, 3, 2, half=True)


@pytest.mark.parametrize("half", [True, False])
def test_a_block_of_texts_is_the_texts_of_its_events(half: bool) -> None:
    rng = np.random.default_rng(1)
    numbers = rng.random((5, 9, 3)).astype(np.float16).astype(np.float32)
    experts, members = numbers[:, :3], {"v1": numbers[:, 3:6], "v2": numbers[:, 6:]}
    texts = pack_many(("a",), experts, members, half)
    for i, text in enumerate(texts):
        assert text == pack(("a",), experts[i], {v: m[i] for v, m in members.items()}, half)
    told = unpack_many(texts, 2, 3, half)
    assert told.anchors == ("a",)
    assert told.experts.tobytes() == experts.tobytes()
    assert {v: m.tobytes() for v, m in told.members.items()} == {
        v: m.tobytes() for v, m in members.items()
    }
    assert told.experts.flags.c_contiguous
    with pytest.raises(Reject, match="said"):
        unpack_many([*texts, texts[0][:-8]], 2, 3, half)
    with pytest.raises(Reject, match="said"):
        unpack_many([*texts, texts[0].replace("v2", "v3")], 2, 3, half)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_block_without_events_changes_nothing(task: Task) -> None:
    x, y = noisy_stream(task, 60)
    pool, twin = Pool(task, x.shape[1]), Pool(task, x.shape[1])
    for one in (pool, twin):
        learn(one, x, y, one.predict_many(x))
    learn(pool, x[:0], y[:0], pool.predict_many(x[:0]))
    assert to_bytes(pool) == to_bytes(twin)


def test_a_learner_apart_learns_what_the_scorer_saw() -> None:
    """The learner predicts nothing: places and views come with what it learns."""
    x, y = noisy_stream("binary", 30)
    few = ("softmax", "seasons", "view-softmax")
    scorer, learner, both = (small_pool(experts=few) for _ in range(3))
    for i in range(len(x)):
        row = slice(i, i + 1)
        scored = scorer.predict_many(x[row])
        learn(learner, x[row], y[row], scored)
        learn(both, x[row], y[row], both.predict_many(x[row]))
        arrivals = scorer.bank.arrivals
        scorer = from_bytes(to_bytes(learner))
        scorer.bank.arrivals = arrivals
    assert learner.bank.arrivals.count == 0
    assert to_bytes(scorer) == to_bytes(both)


def test_targets_that_would_poison_the_pool_are_refused() -> None:
    x, y = noisy_stream("regression", 3)
    pool = small_pool("regression")
    scored = pool.predict_many(x)
    y[1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        learn(pool, x, y, scored)


@pytest.mark.parametrize("damage", ["cut", "noise", "bomb"])
def test_damaged_bytes_are_refused(damage: str) -> None:
    data = to_bytes(small_pool())
    bad = {"cut": data[:-20], "noise": b"?" + data[1:], "bomb": data}[damage]
    with pytest.raises(UntrustedArtefact):
        from_bytes(bad, max_size_bytes=100 if damage == "bomb" else 10**9)
    assert "pool" in unpack(data)


class Evil:
    def __reduce__(self) -> Any:
        return print, ("pwned",)


def test_a_pickle_that_names_anything_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UntrustedArtefact, match=r"builtins\.print"):
        river_expert.load(pickle.dumps(Evil()))
    with pytest.raises(UntrustedArtefact):
        river_expert.load(b"\x80\x05garbage")
    assert capsys.readouterr().out == ""


def test_one_class_only_is_fine() -> None:
    x, _ = noisy_stream("binary", 100)
    pool = Pool("binary", 4, 1)
    for scored in follow(pool, x, np.zeros(100, np.int64)):
        assert scored.by_version["1"].mean[0, 0] == pytest.approx(1.0)
    pool.grow(2)
    y = (np.arange(100) % 2).astype(np.int64)
    assert np.isfinite([s.by_version["1"].mean for s in follow(pool, x, y)]).all()


def test_an_unknown_expert_is_named() -> None:
    with pytest.raises(ValueError, match=r"'sofmax'.*softmax"):
        Bank("binary", 4, experts=("sofmax",))


def test_warm_compiles_without_a_stream() -> None:
    warm("binary", 3, FEW)


@pytest.mark.parametrize(("task", "n_classes"), [("binary", 2), ("multiclass", 40)])
def test_a_snapshot_names_its_experts(task: Task, n_classes: int) -> None:
    """Another default, or another number of classes later, changes no pool that exists."""
    pool = Pool(task, 4, n_classes)
    assert pool.made["experts"] == list(pool.bank.experts)
    assert from_bytes(to_bytes(pool)).bank.names == pool.bank.names


@pytest.mark.parametrize(
    ("task", "n_features", "n_classes"),
    [("binary", 4, 2), ("binary", 100, 2), ("multiclass", 21, 40), ("regression", 100, 1)],
)
def test_a_default_pool_stays_within_sixteen_megabytes(
    task: Task, n_features: int, n_classes: int
) -> None:
    x, y = noisy_stream("regression" if task == "regression" else "binary", 60, 3, n_features)
    pool = Pool(task, n_features, n_classes)
    bound = pool.memory_bound
    assert bound <= 16 * 2**20
    for _ in follow(pool, x[:20], y[:20]):
        pass
    learn(pool, x[20:], y[20:], pool.predict_many(x[20:]))
    assert pool.memory_bound == bound, "nothing grows with the stream"
    views_and_gaps = 4 * 8 * 8 * n_features + 4096
    assert sum(array.nbytes for array in pool.snapshot().values()) <= bound + views_and_gaps
