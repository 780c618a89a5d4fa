"""Requests to the service, without files. Only `http` knows the HTTP library."""
