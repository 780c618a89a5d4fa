"""SQL expressions for the text of one value, as CSV, TSV and JSON strings share it.

Every function takes an SQL expression and returns one of type VARCHAR that is NULL where the given one is.
"""

from dapkit.sandbox.data.catalogue import Kind

EXACT = frozenset({Kind.INT16, Kind.INT32, Kind.INT64, Kind.INTEGER_ENUM, Kind.DECIMAL, Kind.BOOLEAN})
"""Kinds whose text is the same in JSON as elsewhere."""
FLOATING = frozenset({Kind.FLOAT32, Kind.FLOAT64, Kind.NUMBER})
"""Kinds that may hold what JSON has no number for."""
TEMPORAL = frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME})


def scalar_text(kind: Kind, sql: str) -> str:
    """Return the text of a value that is neither an array nor an object; of text, the text itself."""
    if kind is Kind.DATETIME:
        return datetime_text(sql)
    if kind is Kind.DATE:
        return _date_text(sql)
    if kind in FLOATING:
        return _number_text(sql)
    if kind in EXACT or kind is Kind.TIME:
        return f"({sql})::VARCHAR"
    return sql


def datetime_text(sql: str) -> str:
    """Return a TIMESTAMP, taken as UTC, in ISO 8601; a year that has not four digits bears its sign."""
    return (
        f"CASE WHEN {sql} BETWEEN TIMESTAMP '0001-01-01 (BC) 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
        f" THEN CASE WHEN epoch_us({sql}) % 1000 = 0 THEN strftime({sql}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        f" ELSE strftime({sql}, '%Y-%m-%dT%H:%M:%S.%fZ') END"
        f" ELSE format('{{:+05d}}', year({sql})) || strftime({sql}, '-%m-%dT%H:%M:%S.%fZ') END"
    )


def _date_text(sql: str) -> str:
    return (
        f"CASE WHEN year({sql}) BETWEEN 0 AND 9999 THEN strftime({sql}, '%Y-%m-%d')"
        f" ELSE format('{{:+05d}}', year({sql})) || strftime({sql}, '-%m-%d') END"
    )


def _number_text(sql: str) -> str:
    """Return the shortest text that reads back as the same number."""
    return (
        f"CASE ({sql})::VARCHAR WHEN 'nan' THEN 'NaN' WHEN 'inf' THEN 'Infinity' WHEN '-inf' THEN '-Infinity'"
        f" ELSE ({sql})::VARCHAR END"
    )
