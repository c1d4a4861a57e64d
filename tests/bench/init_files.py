"""`headrace init` and `headrace run`, unedited, beside a problem file written by hand: a table.

    .venv/bin/python -m tests.bench.init_files [--data DIR] [--rows N]

Each file gives its first N rows: those of DIR (Parquet with a column `y`), data sets that come
with scikit-learn and River (CSV, JSON lines, Parquet), and CSV files with a decimal comma, with times
of several keys, and with words for nothing. By hand: the fields with their types, the label, what the
odd CSV files need, and the features that whoever made the file up, or knows it, would declare.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from river import datasets
from sklearn import datasets as bundled

from services.cli import app


class File(NamedTuple):
    """A file to be written to a directory, and what a hand-written problem file says beside fields."""

    name: str
    frame: pd.DataFrame
    target: str
    write: Callable[[pd.DataFrame, Path], None]
    source: dict[str, Any]
    events: dict[str, Any]
    features: tuple[dict[str, Any], ...] = ()


class Compared(NamedTuple):
    """The metric of `init`'s file and of the one by hand, and the rows that `init`'s rejected."""

    metric: str
    ours: float
    by_hand: float
    rejected: int


def parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path)


def csv(**options: Any) -> Callable[[pd.DataFrame, Path], None]:
    return lambda frame, path: frame.to_csv(path, index=False, **options)


def jsonl(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True)


def files(data: Path | None, rows: int) -> Iterator[File]:
    for path in sorted(data.glob("*.parquet")) if data else ():
        yield File(path.name, pd.read_parquet(path).head(rows), "y", parquet, {}, {})
    for name in ("iris", "wine", "breast_cancer", "diabetes", "digits"):
        frame = getattr(bundled, f"load_{name}")(as_frame=True).frame
        frame.columns = [
            c.replace(" ", "_").replace("(cm)", "cm").replace("/", "_") for c in frame.columns
        ]
        shuffled = frame.sample(frac=1.0, random_state=1).head(rows)
        yield File(f"{name}.csv", shuffled, "target", csv(), {}, {})
    for stream in (datasets.Bananas(), datasets.Phishing(), datasets.TrumpApproval()):
        yield File(f"{_name(stream)}.jsonl", _frame(stream, rows), "target", jsonl, {}, {})
    for stream in (datasets.ImageSegments(), datasets.ChickWeights()):
        yield File(f"{_name(stream)}.parquet", _frame(stream, rows), "target", parquet, {}, {})
    months, stream = ({"kind": "calendar", "parts": ["month"]},), datasets.AirlinePassengers()
    frame = _frame(stream, rows)
    yield File(f"{_name(stream)}.csv", frame, "target", csv(), {}, {"time": "month"}, months)
    yield from generated(rows)


def _name(stream: Any) -> str:
    return type(stream).__name__.lower()


def _frame(stream: Any, rows: int) -> pd.DataFrame:
    """River's pairs as a table; the answer is the column `target`."""
    return pd.DataFrame(
        [
            {**{re.sub(r"\W|^(?=\d)", "_", str(k)): v for k, v in x.items()}, "target": y}
            for x, y in list(stream)[:rows]  # read to its end, or River leaves the file open
        ]
    )


def generated(rows: int) -> Iterator[File]:
    r = np.random.default_rng(7)
    load, temperature = r.gamma(2.0, 500.0, rows).round(2), r.normal(15, 8, rows).round(1)
    kind = r.choice(["old", "new", "used"], rows)
    cost = (load * 0.3 + temperature * 9 + 200 * (kind == "new") + r.normal(0, 40, rows)).round(2)
    frame = pd.DataFrame({"load": load, "temperature": temperature, "kind": kind, "cost": cost})
    yield File("commas.csv", frame, "cost", csv(sep=";", decimal=","), {"decimal": ","}, {})
    level = np.zeros(rows)
    for n in range(4, rows):
        level[n] = 0.95 * level[n - 4] + r.normal()
    own = pd.Series(level).groupby(np.arange(rows) % 4)
    usual = own.transform(lambda one: one.rolling(10, min_periods=1).mean()).to_numpy()
    failed = (level - usual + r.normal(0, 0.3, rows) > 1).astype(int)
    times = pd.date_range("2024-01-01", periods=rows, freq="15min").strftime("%d.%m.%Y %H:%M")
    frame = pd.DataFrame(
        {
            "when": times,
            "sensor": [f"s{n % 4}" for n in range(rows)],
            "level": level.round(4),
            "failed": failed,
        }
    )
    source = {"time_format": "%d.%m.%Y %H:%M"}
    mapped = {"time": "when", "key": "sensor"}
    window = {"kind": "window", "field": "level", "of": ["mean"], "size": 10, "minus_now": True}
    yield File("sensors.csv", frame, "failed", csv(), source, mapped, (window,))
    gaps = pd.Series(load.round(2).astype(str)).mask(pd.Series(r.random(rows) < 0.1), "?")
    frame = pd.DataFrame(
        {
            "order_id": range(rows),
            "load": gaps,
            "kind": kind,
            "late": r.random(rows) < 0.2 + 0.5 * (kind == "old"),
        }
    )
    yield File("gaps.csv", frame, "late", csv(), {"missing": ["?"]}, {"id": "order_id"})


def by_hand(file: File, path: Path) -> Path:
    """What someone would write who wants the fields, and no more."""
    fields: dict[str, Any] = {}
    for name, column in file.frame.items():
        if name in (file.target, file.events.get("id"), file.events.get("time")):
            continue
        texts = not pd.api.types.is_numeric_dtype(column) and name not in ("load",)
        fields[str(name)] = (
            {"type": "category", "categories": sorted(column.unique())}
            if texts
            else {"type": "number"}
        )
    target = file.frame[file.target]
    label: dict[str, Any] = {"field": file.target}
    task = "regression"
    texts = not pd.api.types.is_numeric_dtype(target)
    if texts or (target.nunique() <= 40 and (target.dropna() % 1 == 0).all()):
        label["classes"] = sorted(target.unique().tolist())
        task = "binary" if target.nunique() == 2 else "multiclass"
    problem = {
        "name": "hand",
        "goal": "by hand",
        "task": task,
        "source": {"path": file.name, **file.source},
        "events": {**file.events, "fields": fields},
        "label": label,
        "features": list(file.features),
    }
    hand = path.with_name("hand.yaml")
    hand.write_text(yaml.safe_dump(problem, sort_keys=False))
    return hand


def metrics(problem: Path) -> dict[str, Any]:
    """`headrace run --json`, in this process: the models are compiled, and loaded once."""
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(StringIO()):
        options = ["--json", "--data-dir", str(problem.with_suffix(".run"))]
        app(["run", str(problem), *options], standalone_mode=False)
    found: dict[str, Any] = json.loads(said.getvalue().splitlines()[-1])
    return found


def compare(file: File, folder: Path) -> Compared:
    """Both ways over one file."""
    path = folder / file.name
    file.write(file.frame, path)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        app(["init", str(path), "--out", str(folder)], standalone_mode=False)
    ours = metrics(path.with_suffix(".yaml"))
    theirs = metrics(by_hand(file, path))
    name = "accuracy" if "accuracy" in ours["metrics"] else "r2"
    return Compared(name, ours["metrics"][name], theirs["metrics"][name], ours["rejected"])


def row(file: File, folder: Path) -> str:
    """One line of the table."""
    name, ours, theirs, rejected = compare(file, folder)
    note = "" if ours >= theirs - 0.01 else " **below**"
    shown = f"| {name} | {ours:.4f} | {theirs:.4f} | {ours - theirs:+.4f}{note} |"
    return f"| {file.name} | {len(file.frame):,} {shown} {rejected} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--only", default="", help="a regular expression over file names")
    options = parser.parse_args()
    print(
        "| file | rows | metric | `init` | by hand | difference | rejected |\n" + "|---" * 7 + "|"
    )
    for file in files(options.data, options.rows):
        if re.search(options.only, file.name):
            with tempfile.TemporaryDirectory() as folder:
                print(row(file, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
