"""ONNX where it says what is served; a reason where it does not."""

from functools import cache

import numpy as np
import pytest

from services.onnx_export import NotExported, onnx_form
from services.trainer.dataset import Shape
from services.trainer.search import Setup
from services.trainer.trials import fitted
from shared.models.anchors import anchor_from_sklearn
from shared.models.artefact import anchor_from_bytes, anchor_to_bytes
from shared.registry.estimator import estimator_to_bytes

pytest.importorskip("skl2onnx", reason="pip install 'headrace[onnx]' to test exports to ONNX")
runtime = pytest.importorskip("onnxruntime", reason="pip install 'headrace[onnx]'")

pytestmark = pytest.mark.slow
X = np.random.default_rng(0).normal(size=(300, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


@cache
def _version(family: str, regression: bool = False) -> tuple[bytes, bytes, tuple[int, ...]]:
    """As the trainer leaves it: scikit-learn's object, the served arrays, the classes."""
    classes = () if regression else (0, 1)
    y = X[:, 0] + 0.1 * X[:, 1] if regression else Y
    model = fitted(Setup(family), 1, X, y, Shape(("a", "b", "c", "d"), classes, 1, 1))
    return estimator_to_bytes(model), anchor_to_bytes(anchor_from_sklearn(model, classes)), classes


@pytest.mark.parametrize(
    ("family", "regression"),
    [("logistic", False), ("naive_bayes", False), ("neural_net", False), ("ridge", True)],
)
def test_what_passes_says_the_same_on_other_rows_too(family: str, regression: bool) -> None:
    estimator, artefact, classes = _version(family, regression)
    form = onnx_form(estimator, artefact, X, classes)
    fresh = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    fresh[::5, 2] = np.nan
    session = runtime.InferenceSession(form, providers=["CPUExecutionProvider"])
    said = np.asarray(session.run(None, {"x": fresh})[-1]).reshape(50, -1)
    served = anchor_from_bytes(artefact).predict_many(fresh.astype(np.float64))
    assert np.abs(said - served).max() < 1e-5


@pytest.mark.parametrize(
    ("family", "why"),
    [
        ("forest", "differ from those served"),
        ("svm", "cannot convert"),
    ],
)
def test_what_would_answer_otherwise_is_not_exported(family: str, why: str) -> None:
    with pytest.raises(NotExported, match=why):
        onnx_form(_version(family)[0], _version(family)[1], X, (0, 1))


def test_without_its_object_or_with_another_ones_numbers_there_is_none() -> None:
    estimator, artefact, classes = _version("logistic")
    with pytest.raises(NotExported, match=r"retraining\.keep_estimator"):
        onnx_form(None, artefact, X, classes)
    with pytest.raises(NotExported, match="differ from those served"):
        onnx_form(estimator, _version("naive_bayes")[1], X, classes)
