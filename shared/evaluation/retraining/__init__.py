"""When to retrain: policies behind one port (`port.py`), one for each kind of trigger (`table.py`)."""
