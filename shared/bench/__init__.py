"""Learners side by side: the pool of the product and its peers, on the same streams, in one run.

`streams.py` reads them, `contestants.py` lists who takes part, `course.py` is the loop that all of them
go through, `judging.py` reckons the figures, `learning.py` runs it all.
"""
