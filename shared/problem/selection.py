"""The problem file's section on the rows that a job learns from."""

from typing import Literal

from pydantic import Field

from shared.problem.inputs import Part


class Selection(Part):
    """Which outcomes make a dataset. Up to `retraining.budget.rows` of them, all as they came.

    window: the newest of `retraining.window`. all: of everything on the log. recency: of the window,
    the newest half of the budget and, of those before, a random half in which a row `half_life` rows
    older is half as likely. reservoir: the same with as many of each class (of numbers: each quarter
    of their range) as there are. Random choices depend on the job's name alone.
    """

    policy: Literal["window", "all", "recency", "reservoir"] = "window"
    half_life: int = Field(10_000, ge=1)
