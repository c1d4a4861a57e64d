import io
import warnings
import zipfile
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from shared.errors import UntrustedArtefact
from shared.registry.estimator import estimator_from_bytes, estimator_to_bytes

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(200, 4)), RNG.integers(0, 3, 200)


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        lambda: HistGradientBoostingClassifier(max_iter=5, early_stopping=False, random_state=1),
        lambda: ExtraTreesClassifier(5, random_state=1),
    ],
)
def test_there_and_back_and_the_same_bytes(make: Any) -> None:
    fitted = make().fit(X, Y)
    data = estimator_to_bytes(fitted)
    back = estimator_from_bytes(data)
    assert (back.predict_proba(X) == fitted.predict_proba(X)).all()
    keep = [make().fit(X, Y) for _ in range(3)]  # other addresses
    assert all(estimator_to_bytes(other) == data for other in keep)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_a_type_on_nobodys_list_is_refused() -> None:
    evil = make_pipeline(FunctionTransformer(_payload), LogisticRegression()).fit(X, Y)
    with pytest.raises(UntrustedArtefact, match="not loaded"):
        estimator_from_bytes(skops.io.dumps(evil))


def _payload(x: Any) -> Any:
    return x


def test_damaged_bytes_are_refused() -> None:
    data = estimator_to_bytes(LogisticRegression().fit(X, Y))
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for bad in (b"", b"garbage", data[: len(data) // 2], empty.getvalue()):
            with pytest.raises(UntrustedArtefact):
                estimator_from_bytes(bad)
