"""One folder a service; the folder list is the registry."""
