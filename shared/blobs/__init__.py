"""Large state by content hash."""
