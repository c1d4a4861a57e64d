"""Streams from files as people have them; mistakes are answered in words."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.bench.streams import Stream, find_streams, framed, read_stream
from shared.errors import UsageError

N = 120


def table(**more: object) -> pd.DataFrame:
    r = np.random.default_rng(0)
    found = pd.DataFrame({"a": r.normal(size=N), "b": r.normal(size=N)})
    return found.assign(**more)


def test_the_last_column_is_the_label_and_text_becomes_places(tmp_path: Path) -> None:
    words = ["no", "yes"] * (N // 2)
    times = pd.date_range("2026-01-01", periods=N, freq="s")
    table(town=["x", None, "y"] * (N // 3), at=times, answer=words).to_parquet(
        tmp_path / "s.parquet"
    )
    stream = read_stream(tmp_path / "s.parquet")
    assert stream.classes == ("no", "yes") and stream.y[:3].tolist() == [0, 1, 0]
    assert stream.x.shape == (N, 4)
    np.testing.assert_array_equal(stream.x[:3, 2], [0, np.nan, 1])
    assert np.diff(stream.x[:, 3]) == pytest.approx(1.0)


def test_csv_with_semicolons_and_a_target_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    table(y=np.arange(N) % 3).to_csv(path, sep=";", index=False)
    assert read_stream(path).classes == (0, 1, 2)
    by_name = read_stream(path, target="a", rows=60)
    assert by_name.regression and len(by_name.y) == 60 and by_name.x.shape[1] == 2


def test_whole_numbers_are_classes_when_there_are_few_of_them(tmp_path: Path) -> None:
    for name, values in (("few", np.arange(N) % 4), ("many", np.arange(N)), ("real", None)):
        target = np.linspace(0, 1, N) if values is None else values
        table(y=target).to_parquet(tmp_path / f"{name}.parquet")
    read = {p.stem: read_stream(p).regression for p in find_streams(tmp_path)}
    assert read == {"few": False, "many": True, "real": True}


def test_meta_json_says_task_target_and_changes(tmp_path: Path) -> None:
    table(y=np.arange(N) % 3, z=1.0).to_parquet(tmp_path / "s.parquet")
    about = {"s": {"task": "reg", "target": "y", "drifts": [60, 10_000]}}
    (tmp_path / "meta.json").write_text(json.dumps(about))
    stream = read_stream(tmp_path / "s.parquet")
    assert stream.regression and stream.changes == (60,)


def test_frames_know_no_label_and_nothing_later() -> None:
    x = np.random.default_rng(3).normal(size=(50, 2))
    whole = framed(Stream("s", x, np.zeros(50, np.int64), (0, 1)))
    half = framed(Stream("s", x[:25], np.ones(25, np.int64), (0, 1)))
    assert whole.x.shape == (50, 2 * (1 + 4)) and (whole.x[:, :2] == x).all()
    assert (whole.x[:25] == half.x).all()
    assert (whole.x[0, 2:] == 0).all() and np.abs(whole.x[1:, 2:]).min() > 0


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    table(y=[None, 1.0, 0.0] * (N // 3)).to_parquet(tmp_path / "s.parquet")
    assert len(read_stream(tmp_path / "s.parquet").y) == N * 2 // 3


def test_mistakes_are_answered_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        find_streams(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no stream"):
        find_streams(tmp_path)
    path = tmp_path / "s.csv"
    table(y=1).to_csv(path, index=False)
    with pytest.raises(UsageError, match=r"no stream x.*it has s"):
        find_streams(tmp_path, ("x",))
    with pytest.raises(UsageError, match=r"no column `q`.*a, b, y"):
        read_stream(path, target="q")
    with pytest.raises(UsageError, match="always 1"):
        read_stream(path)
    with pytest.raises(UsageError, match="10 rows"):
        read_stream(path, rows=10)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(UsageError, match="cannot be read"):
        read_stream(tmp_path / "bad.parquet")
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(UsageError, match="no JSON"):
        read_stream(path)
