"""The newest value of each key, for lookups."""
