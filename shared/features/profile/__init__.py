"""What the data looks like, as counts that merge: by feature and tile of event time, no raw rows."""
