"""Typed tables: what the service delivers as tables with real types, made by DuckDB from one SELECT per schema."""
