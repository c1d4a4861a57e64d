"""Builds `electricity.parquet` from the Elec2 file (see README.md beside this for its origin).

usage: python make_data.py ELEC2.parquet electricity.parquet
"""

import sys
from pathlib import Path

import pandas as pd

COLUMNS = {
    "f3": "nswprice",
    "f4": "nswdemand",
    "f5": "vicprice",
    "f6": "vicdemand",
    "f7": "transfer",
}


def build(elec2: pd.DataFrame) -> pd.DataFrame:
    """Half-hours with real timestamps (48 a day from 1996-05-07 00:00) and the label `rises`."""
    frame = elec2[list(COLUMNS)].rename(columns=COLUMNS).astype("float32")
    time = pd.date_range("1996-05-07", periods=len(frame), freq="30min", tz="UTC")
    frame.insert(0, "time", time.as_unit("ms"))
    frame.insert(0, "id", "nsw-" + time.strftime("%Y%m%dT%H%M"))
    frame.insert(2, "region", pd.Categorical(["NSW"] * len(frame)))
    later = frame["nswdemand"].shift(-1)
    frame["rises"] = (later > frame["nswdemand"]).astype("Int8").where(later.notna())
    return frame


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    build(pd.read_parquet(source)).to_parquet(target, compression="zstd", index=False)
