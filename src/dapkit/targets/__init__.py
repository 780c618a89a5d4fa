"""Databases and lakes that are kept equal to the service."""
