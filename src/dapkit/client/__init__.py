"""I/O with the service: the only place that knows the HTTP library."""
