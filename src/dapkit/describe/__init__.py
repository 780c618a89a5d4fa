"""Descriptions of tables: columns, meanings, keys and relations, as text, diagram, dbt sources and values."""
