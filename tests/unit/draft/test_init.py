"""`headrace init` on files as people have them: each row becomes a valid event, unedited."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.collector.sources.samples import sample_of
from shared.draft.draft import draft
from shared.errors import UsageError
from tests.unit.draft.drafting import drafted, written

R = np.random.default_rng(1)
N = 400  # rows: sixteen days of hours
FRAME = pd.DataFrame(
    {
        "amount": R.normal(50, 10, N).round(2),
        "items": R.integers(0, 30, N),
        "colour": R.choice(["red", "green", "blue"], N),
        "paid": R.random(N) < 0.5,
        "y": R.integers(0, 2, N),
    }
)
START = datetime(2024, 3, 1, tzinfo=UTC)


def csv(folder: Path, frame: pd.DataFrame = FRAME, **options: object) -> Path:
    path = folder / "orders.csv"
    frame.to_csv(path, index=False, **options)  # type: ignore[call-overload]
    return path


def with_times(written_as: str, step: timedelta = timedelta(hours=1)) -> pd.DataFrame:
    times = [(START + n * step).strftime(written_as) for n in range(N)]
    return FRAME.assign(when=times)


def test_types_ranges_and_classes(tmp_path: Path) -> None:
    found = drafted(csv(tmp_path))
    fields = found.problem.events.fields
    assert [spec.type for spec in fields.values()] == ["number", "integer", "category", "boolean"]
    assert fields["colour"].categories == ["blue", "green", "red"]
    low, high = fields["amount"].range or (None, None)
    assert low is not None and high is not None
    assert low < FRAME.amount.min() and FRAME.amount.max() < high
    assert found.problem.label.classes == [0, 1]
    assert len(found.valid) == found.labels == N and not found.rejected


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_problem(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"orders.{form}"
    frame = with_times("%Y-%m-%dT%H:%M:%SZ")
    if form == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif form == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    found = drafted(path)
    again = drafted(csv(tmp_path, frame))
    assert found.problem.events == again.problem.events
    assert found.features == again.features and not found.rejected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~"])
def test_delimiters_bom_and_line_ends(tmp_path: Path, delimiter: str) -> None:
    text = FRAME.to_csv(index=False, sep=delimiter, lineterminator="\r\n")
    found = drafted(written(tmp_path, "orders.csv", b"\xef\xbb\xbf" + text.encode()))
    assert list(found.problem.events.fields) == ["amount", "items", "colour", "paid"]
    assert len(found.valid) == N and not found.rejected


def test_decimal_commas(tmp_path: Path) -> None:
    frame = FRAME.assign(amount=FRAME.amount * 1000)
    text = frame.to_csv(index=False, sep=";", decimal=",")
    found = drafted(written(tmp_path, "orders.csv", text))
    assert found.problem.source is not None and found.problem.source.decimal == ","
    assert [v.fields["amount"] for v in found.valid] == frame.amount.tolist()


def test_decimal_commas_in_quotes_where_the_comma_delimits(tmp_path: Path) -> None:
    amount = FRAME.amount.map("{:.2f}".format).str.replace(".", ",")
    found = drafted(csv(tmp_path, FRAME.assign(amount=amount)))
    assert [v.fields["amount"] for v in found.valid] == FRAME.amount.tolist()


def test_the_line_by_which_spreadsheets_name_the_delimiter(tmp_path: Path) -> None:
    text = "sep=;\r\n" + FRAME.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    found = drafted(written(tmp_path, "orders.csv", b"\xef\xbb\xbf" + text.encode()))
    assert [v.fields["amount"] for v in found.valid] == FRAME.amount.tolist()
    assert len(found.valid) == found.labels == N and not found.rejected


def told(path: Path) -> dict[str, str]:
    """What `init` says it is not sure of."""
    guesses = draft(sample_of(path), "a", "a").guesses
    return {guess.about: guess.why for guess in guesses if not guess.sure}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (FRAME.amount.map("{:.1f}%".format), "numbers are not written as in"),
        (FRAME.amount.map("€ {:.2f}".format), "numbers are not written as in"),
        ((FRAME.amount * 1000).map("{:,.2f}".format), "numbers are not written as in"),
        (FRAME.amount.where(FRAME.index % 9 > 0, np.inf), "are numbers, but not `inf`"),
    ],
)
def test_numbers_that_are_not_read_as_such_are_told(
    tmp_path: Path, cells: "pd.Series[str]", words: str
) -> None:
    assert words in told(csv(tmp_path, FRAME.assign(amount=cells)))["field amount"]
    assert not told(csv(tmp_path, FRAME.assign(amount=[f"order {n}" for n in range(N)])))


def test_several_columns_called_like_a_target_are_told(tmp_path: Path) -> None:
    found = told(csv(tmp_path, FRAME.assign(label=FRAME.y[::-1].to_numpy())))
    assert "by theirs `y` could be it too" in found["target"]


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
        "%Y/%m/%d %H:%M", "%m/%d/%Y %I:%M %p", "%d %b %Y %H:%M", "%Y%m%d%H%M", "%Y-%m-%d %H:%M:%S UTC",
        "%a, %d %b %Y %H:%M:%S +0000", "%d.%m.%y %H:%M", "%Y-%m-%dT%H:%M:%S.%f+0000",
    ],
)  # fmt: skip
def test_times_as_people_write_them(tmp_path: Path, form: str) -> None:
    found = drafted(csv(tmp_path, with_times(form)))
    assert found.problem.events.time == "when"
    assert [v.time for v in found.valid] == [START + n * timedelta(hours=1) for n in range(N)]
    assert found.problem.feature_names[-4:] == (
        "time_of_day_sin", "time_of_day_cos", "weekday_sin", "weekday_cos",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "per_s"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_unix_times(tmp_path: Path, unit: str, per_s: int) -> None:
    times = [int((START + timedelta(minutes=n)).timestamp()) * per_s for n in range(N)]
    found = drafted(csv(tmp_path, FRAME.assign(timestamp=times)))
    assert found.problem.events.time == "timestamp", unit
    assert found.valid[-1].time == START + timedelta(minutes=N - 1)


def test_rows_out_of_order_are_taken_and_told(tmp_path: Path) -> None:
    frame = with_times("%Y-%m-%d %H:%M:%S").sample(frac=1.0, random_state=1)
    found = drafted(csv(tmp_path, frame))
    assert len(found.valid) == N and "allow_backwards" in found.text


def test_missing_values_and_words_for_them(tmp_path: Path) -> None:
    amount = FRAME.amount.astype(str).mask(FRAME.index % 7 == 0, "?")
    items = FRAME["items"].astype(object).mask(FRAME.index % 5 == 0, None)
    found = drafted(csv(tmp_path, FRAME.assign(amount=amount, items=items)))
    assert found.problem.source is not None and found.problem.source.missing == ["?"]
    assert found.problem.events.fields["amount"].type == "number"
    assert found.valid[0].fields["amount"] is None and not found.rejected
    found = drafted(csv(tmp_path, FRAME.assign(amount=amount.mask(FRAME.index % 5 == 1, "-"))))
    assert found.problem.source is not None and found.problem.source.missing == ["-", "?"]
    assert found.problem.events.fields["amount"].type == "number" and not found.rejected


def test_names_that_are_no_names(tmp_path: Path) -> None:
    frame = FRAME.rename(
        columns={"amount": "sepal length (cm)", "items": "2nd", "colour": "Größe"}
    )
    for suffix in ("csv", "jsonl", "parquet"):
        path = tmp_path / f"orders.{suffix}"
        if suffix == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_csv(path) if suffix == "csv" else frame.to_parquet(path)
        found = drafted(path)
        fields = found.problem.events.fields
        assert list(fields) == ["sepal_length_cm", "c_2nd", "Gr_e", "paid"]
        assert fields["sepal_length_cm"].unit == "cm"
        assert found.valid[5].fields["sepal_length_cm"] == FRAME.amount[5]
        assert found.problem.events.id == ("column_1" if suffix == "csv" else None)
        (tmp_path / "out" / "orders.yaml").unlink()


def test_an_id_a_key_and_windows_per_key(tmp_path: Path) -> None:
    level = np.repeat(R.normal(0, 5, 4), 100) + np.cumsum(R.normal(0, 1, N))
    frame = pd.DataFrame(
        {"event_id": [f"e{n}" for n in range(N)], "sensor": np.repeat([*"abcd"], 100)}
    )
    mean = pd.Series(level).groupby(frame.sensor).rolling(10, min_periods=1).mean().to_numpy()
    frame = frame.assign(level=level.round(6), y=(level > mean).astype(int))
    found = drafted(csv(tmp_path, frame))
    assert (found.problem.events.id, found.problem.events.key) == ("event_id", "sensor")
    assert "level_minus_mean_10" in found.problem.feature_names
    assert found.features[250]["level_minus_mean_10"] == pytest.approx(
        level[250] - mean[250], abs=1e-5
    )


def test_a_season_is_found_within_each_key(tmp_path: Path) -> None:
    n = np.arange(960)
    swing = np.sin(n // 4 / 24 * 2 * np.pi) * (1 + n % 4) + R.normal(0, 0.1, 960)
    frame = pd.DataFrame({"room": n % 4, "swing": swing.round(4), "y": (swing > 0).astype(int)})
    guesses = {
        guess.about: guess.what
        for guess in draft(sample_of(csv(tmp_path, frame)), "a", "a").guesses
    }
    assert guesses["season"] == "24 rows of a key"


def test_noise_gets_no_windows(tmp_path: Path) -> None:
    assert drafted(csv(tmp_path)).problem.features == []


def test_the_target_under_another_name_is_no_feature(tmp_path: Path) -> None:
    frame = FRAME.assign(answer=FRAME.y.map({0: "no", 1: "yes"}))
    found = drafted(csv(tmp_path, frame))
    assert not found.problem.events.fields["answer"].feature
    assert not any(name.startswith("answer") for name in found.problem.feature_names)


def test_columns_in_which_all_values_differ_are_features_unless_equal(tmp_path: Path) -> None:
    numbers = R.normal(size=N)
    found = drafted(csv(tmp_path, FRAME.assign(other=R.normal(size=N), same=numbers, y=numbers)))
    assert "other" in found.problem.feature_names and "same" not in found.problem.feature_names


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (R.normal(0, 1, N), "regression"),
        (np.arange(N) % 2 == 0, "binary"),
        (np.arange(N) % 7, "multiclass"),
        (R.choice([0.0, 1.0], N), "binary"),
        (R.choice([*"abc"], N), "multiclass"),
        (R.integers(0, 300, N), "regression"),
    ],
)
def test_tasks(tmp_path: Path, values: np.ndarray, task: str) -> None:
    found = drafted(csv(tmp_path, FRAME.assign(y=values)))
    assert found.problem.task == task and found.labels == N


def test_constant_empty_and_nested_columns(tmp_path: Path) -> None:
    rows = FRAME.assign(fixed=3, nothing=None).to_dict("records")
    lines = [
        json.dumps({**row, "deep": {"a": [1]}} | ({"late": 1.5} if n > 9 else {}))
        for n, row in enumerate(rows)
    ]
    found = drafted(written(tmp_path, "orders.jsonl", "\n".join(lines)), "--target", "y")
    fields = found.problem.events.fields
    assert not fields["fixed"].feature and not fields["late"].required
    assert "nothing" not in fields and "deep" not in fields and len(found.valid) == N


@pytest.mark.slow
def test_a_thousand_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(R.normal(size=(60, 1000)), columns=[f"v{n}" for n in range(1000)])
    frame = frame.round(3).assign(word=R.choice([*"abcdefgh"], 60), y=R.integers(0, 2, 60))
    found = drafted(csv(tmp_path, frame))
    assert len(found.problem.feature_names) == 1001 and len(found.valid) == 60


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    assert drafted(csv(tmp_path)).text == drafted(csv(tmp_path)).text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,a\n1,2,3\n", "line 1: the columns 1 and 3 are both called `a`"),
        ("", "is empty"),
        ("a,y\n", "there are no rows"),
        ("1,2,3\n4,5,6\n", "line 1: it holds only numbers"),
        ("a,y\n1,0\n2,0\n3,0\n", "all 3 rows hold the one value `0`"),
        ("a,y\n1,\n2,\n", "it holds nothing"),
        ("when,y\n2024-01-01,0\n2024-01-02,1\n", "no column gives a feature"),
        (b"\xff\xfea\x00,\x00y\x00\n\x00", "this is no UTF-8"),
        (b"a,y\n" + b"\xe9,1\n" * 9, "line 2: this and other lines cannot be read"),
    ],
)
def test_clear_errors(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(UsageError) as error:
        drafted(written(tmp_path, "x.csv", text))
    assert words in str(error.value) and "x.csv" in str(error.value)


def test_a_json_array_and_a_wrong_target_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JSON array"):
        drafted(written(tmp_path, "x.jsonl", '[{"a": 1}]'))
    with pytest.raises(UsageError, match="there is no column `colours`; --target takes `colour`"):
        drafted(csv(tmp_path), "--target", "colours")


def test_a_time_and_a_target_are_enough(tmp_path: Path) -> None:
    frame = with_times("%Y-%m-%d %H:%M")[["when", "y"]]
    found = drafted(csv(tmp_path, frame))
    assert found.problem.feature_names and len(found.valid) == found.labels == N
    assert len(drafted(csv(tmp_path, frame.assign(nothing=None))).valid) == N


def test_two_rows_are_enough_to_write_something(tmp_path: Path) -> None:
    found = drafted(written(tmp_path, "x.csv", "a,y\n1,0\n2,1\n"))
    assert len(found.valid) == 2
