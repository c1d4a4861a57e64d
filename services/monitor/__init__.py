"""Watches inputs, answers, errors, labels, rejections, versions and silence; says what broke, once.

Invariants: a group of series has at most one open alert, and what is found meanwhile joins it; source
breaks, errors, stopped labels and faulty versions page, moving features are evidence only; an alert
names its cause, since when, and the features, strongest first; all that learned from the old
champion's answers starts anew when the champion changes.
"""

from services.monitor.core import Monitor
from shared.messages.streams import ALERTS, AUDITS, CONTROL, OUTCOMES, PREDICTIONS, REJECTED
from shared.stage import Service

SERVICE = Service(
    name="monitor",
    reads=(PREDICTIONS, OUTCOMES, REJECTED, AUDITS, CONTROL),
    writes=(ALERTS,),
    scale="per-problem",
    place=50,
    build=lambda problem, tools: Monitor(problem),
)
