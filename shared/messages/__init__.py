"""What travels on the streams: names, message classes, their JSON."""
