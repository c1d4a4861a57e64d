"""The log: records, positions and state entries, committed together."""
