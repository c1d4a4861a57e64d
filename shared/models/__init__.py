"""The online learning pool: experts, anchors, stackers.

Pure: no clock, no global randomness, no outside. Read `port.py` first, then `pool.py`. Nothing is
imported here: a training process needs a stacker, and not River.
"""
