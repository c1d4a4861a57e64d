"""Any River classifier or regressor as an expert.

Its state is a pickle, but it is only ever read by an unpickler that knows an exact list of classes
(`ALLOWED`, owned here and never by the file): a pickle that names anything else is refused.
"""

import copyreg
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
from river.base import Regressor
from river.proba import Gaussian

from shared.errors import UntrustedArtefact
from shared.models.gaps import LARGEST
from shared.models.port import F32, Arrays, Expert, Labels, Rows, State

PROTOCOL = 5
ALLOWED = frozenset(
    {
        "builtins.float",
        "collections.defaultdict",
        "copy.deepcopy",
        "functools.partial",
        "river._river_rust.vectordict.VectorDict",
        "river.linear_model.lin_reg.LinearRegression",
        "river.linear_model.log_reg.LogisticRegression",
        "river.linear_model.softmax.SoftmaxRegression",
        "river.optim.initializers.Zeros",
        "river.optim.losses.CrossEntropy",
        "river.optim.losses.Log",
        "river.optim.losses.Squared",
        "river.optim.schedulers.Constant",
        "river.optim.sgd.SGD",
        "river.proba.gaussian.Gaussian",
        "river.stats.mean.Mean",
        "river.stats.var.Var",
        "river.tree.hoeffding_tree_classifier.HoeffdingTreeClassifier",
        "river.tree.hoeffding_tree_regressor.HoeffdingTreeRegressor",
        "river.tree.nodes.branch.NumericBinaryBranch",
        "river.tree.nodes.htc_nodes.LeafMajorityClass",
        "river.tree.nodes.htc_nodes.LeafNaiveBayesAdaptive",
        "river.tree.nodes.htr_nodes.LeafAdaptive",
        "river.tree.nodes.htr_nodes.LeafMean",
        "river.tree.splitter.ebst_splitter.EBSTNode",
        "river.tree.splitter.ebst_splitter.EBSTNode._update_estimator_univariate",
        "river.tree.splitter.gaussian_splitter.GaussianSplitter",
        "river.tree.splitter.tebst_splitter.TEBSTSplitter",
    }
)


class _AllowList(pickle.Unpickler):
    """Finds the classes of `ALLOWED` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in ALLOWED:
            raise UntrustedArtefact(
                f"a River model's state names {module}.{name}, which is not on the loader's list; "
                "it was not loaded. If a new River expert needs it, add it to ALLOWED in "
                "shared/models/river_expert.py."
            )
        return super().find_class(module, name)


class _Canonical(pickle.Pickler):
    """Leaves out what is random and unused, so that equal models give equal bytes."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is not Gaussian:
            return NotImplemented
        # its unseeded generator only serves sample(), which no tree calls; it is 2.5 kB
        return copyreg.__newobj__, (Gaussian,), {**obj.__dict__, "_rng": None}  # type: ignore[attr-defined]  # not in typeshed


def dump(model: Any) -> bytes:
    """The bytes of a River model."""
    sink = io.BytesIO()
    _Canonical(sink, PROTOCOL).dump(model)
    return sink.getvalue()


def load(data: bytes) -> Any:
    """The River model of `data`.

    Raises:
        UntrustedArtefact: the bytes name a class that is not on the list, or are no pickle.
    """
    try:
        return _AllowList(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError) as error:
        raise UntrustedArtefact(f"a River model's state cannot be read: {error}") from error


class RiverExpert(Expert):
    """One column: what the River model that `make()` builds says. Memory: the model's own.

    `scaled`: it is given scaled features (linear models), else they keep their unit (trees).
    """

    cost_us = 20.0

    def __init__(self, name: str, make: Callable[[], Any], scaled: bool = False) -> None:
        self.names = (name,)
        self.model = make()
        self.scaled = scaled

    def _features(self, rows: Rows) -> list[list[float]]:
        plain: list[list[float]] = (rows.z if self.scaled else rows.x).tolist()
        return plain

    def predict_into(self, rows: Rows, out: F32, first: int) -> None:
        """Its probabilities (uniform before it has seen a class), or its prediction."""
        say = self._number if isinstance(self.model, Regressor) else self._proba
        classes = range(out.shape[2])
        said = [say(dict(enumerate(row)), classes) for row in self._features(rows)]
        out[:, first] = np.array(said).reshape(len(out), len(classes))

    def _number(self, features: dict[int, float], classes: range) -> list[float]:
        said = self.model.predict_one(features)
        return [min(LARGEST, max(-LARGEST, said)) if math.isfinite(said) else 0.0]

    def _proba(self, features: dict[int, float], classes: range) -> list[float]:
        said = self.model.predict_proba_one(features)
        p = [said.get(c, 0.0) for c in classes]
        total = sum(p)
        if not (math.isfinite(total) and total > 0.0):
            return [1.0 / len(p)] * len(p)
        return [value / total for value in p]

    def learn_many(self, rows: Rows, y: Labels) -> None:
        """One `learn_one` an event."""
        for row, label in zip(self._features(rows), y.tolist(), strict=True):
            self.model.learn_one(dict(enumerate(row)), label)

    def snapshot(self) -> State:
        """The pickled model as bytes in an array."""
        return {"pickle": np.frombuffer(dump(self.model), np.uint8).copy()}

    def restore(self, arrays: Arrays) -> None:
        """Continue where the snapshot was taken."""
        self.model = load(arrays["pickle"].tobytes())
