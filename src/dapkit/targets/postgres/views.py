"""Views that block an ALTER: dropped and created again unchanged, or everything is rolled back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dapkit.errors import IncompatibleLayoutError, TargetError
from dapkit.model import Table
from dapkit.targets.sql.driver import Driver

_DEPENDANTS = """
WITH RECURSIVE dependant AS (
    SELECT to_regclass(%s)::oid AS id, 0 AS depth
    UNION
    SELECT rule.ev_class, dependant.depth + 1
    FROM dependant
    JOIN pg_depend AS bond ON bond.refclassid = 'pg_class'::regclass AND bond.refobjid = dependant.id
    JOIN pg_rewrite AS rule ON bond.classid = 'pg_rewrite'::regclass AND rule.oid = bond.objid
    WHERE rule.ev_class <> dependant.id
)
SELECT dependant.id, format('%%I.%%I', space.nspname, view.relname),
    CASE view.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END
FROM dependant JOIN pg_class AS view ON view.oid = dependant.id
JOIN pg_namespace AS space ON space.oid = view.relnamespace
WHERE view.relkind IN ('v', 'm')
GROUP BY 1, 2, 3 ORDER BY max(dependant.depth)
"""
_SEARCH = "SELECT set_config('search_path', %s, true)"
_DEFINITION = """
SELECT format('CREATE %%s %%s%%s AS %%s%%s',
    %s::text, %s::text,
    CASE WHEN reloptions IS NOT NULL THEN ' WITH (' || array_to_string(reloptions, ', ') || ')' ELSE '' END,
    rtrim(pg_get_viewdef(oid), ';'),
    CASE WHEN relkind = 'm' AND NOT relispopulated THEN ' WITH NO DATA' ELSE '' END)
FROM pg_class WHERE oid = %s
"""
_AROUND = """
WITH view AS (SELECT %s::oid AS id, %s::text AS kind, %s::text AS name)
SELECT statement FROM (
    SELECT 1 AS step, 0 AS number, pg_get_indexdef(indexrelid) AS statement
    FROM view JOIN pg_index ON indrelid = id
    UNION ALL
    SELECT 2, adnum, format('ALTER VIEW %%s ALTER COLUMN %%I SET DEFAULT %%s', name, attname, pg_get_expr(adbin, id))
    FROM view JOIN pg_attrdef ON adrelid = id JOIN pg_attribute ON attrelid = id AND attnum = adnum
    UNION ALL
    SELECT 3, 0, pg_get_ruledef(pg_rewrite.oid)
    FROM view JOIN pg_rewrite ON ev_class = id AND rulename <> '_RETURN'
    UNION ALL
    SELECT 4, 0, pg_get_triggerdef(pg_trigger.oid)
    FROM view JOIN pg_trigger ON tgrelid = id AND NOT tgisinternal
    UNION ALL
    SELECT 5, objsubid, CASE WHEN objsubid = 0 THEN format('COMMENT ON %%s %%s IS %%L', kind, name, description)
        ELSE format('COMMENT ON COLUMN %%s.%%I IS %%L', name, attname, description) END
    FROM view JOIN pg_description ON objoid = id AND classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute ON attrelid = id AND attnum = objsubid AND objsubid > 0
    UNION ALL
    SELECT 6, 0, format('ALTER %%s %%s OWNER TO %%I', kind, name, pg_get_userbyid(relowner))
    FROM view JOIN pg_class ON oid = id
) AS statements ORDER BY step, number
"""
_GRANTS = """
WITH view AS (SELECT to_regclass(%s)::oid AS id, %s::text AS name), right_ AS (
    SELECT name, NULL::name AS attname, (aclexplode(coalesce(relacl, acldefault('r', relowner)))).*
    FROM view JOIN pg_class ON oid = id
    UNION ALL
    SELECT name, attname, (aclexplode(attacl)).* FROM view JOIN pg_attribute ON attrelid = id AND attnum > 0
)
SELECT format('GRANT %%s%%s ON %%s TO %%s%%s', privilege_type, ' (' || quote_ident(attname) || ')', name,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END),
    format('REVOKE ALL ON %%s FROM %%s', name,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM right_
"""


@dataclass(frozen=True, slots=True)
class _View:
    """A view and the statements that create it again."""

    name: str
    kind: str
    statements: tuple[str, ...]
    grants: tuple[str, ...]


@contextmanager
def views_dropped(driver: Driver, table: Table) -> Iterator[None]:
    """Drop the views on a table, and the views on those, and create them again afterwards, within a transaction.

    Raises:
        IncompatibleLayoutError: one of them cannot be dropped or created again; it is named.
    """
    views = _views(driver, driver.dialect.facts.full_name(table))
    for view in reversed(views):
        _try(driver, view, (f"DROP {view.kind} {view.name}",), "dropped")
    yield
    for view in views:
        _try(driver, view, view.statements, "restored")
        # A new view has the grants that new objects have by default: all that differ from the old ones are revoked.
        granted = {row[1] for row in driver.query(_GRANTS, (view.name, view.name))}
        _try(driver, view, (*sorted(granted), *view.grants), "restored")


def _views(driver: Driver, table: str) -> list[_View]:
    """Return the views on a table, those on which others depend first."""
    # With an empty search path the server writes every name in its definitions in full.
    path = driver.query("SELECT current_setting('search_path')")[0]
    driver.query(_SEARCH, ("pg_catalog",))
    found = driver.query(_DEPENDANTS, (table,))
    views = [_view(driver, identifier, name, kind) for identifier, name, kind in found]
    driver.query(_SEARCH, path)
    return views


def _view(driver: Driver, identifier: int, name: str, kind: str) -> _View:
    definition = driver.query(_DEFINITION, (kind, name, identifier))[0][0]
    around = [row[0] for row in driver.query(_AROUND, (identifier, kind, name))]
    grants = [row[0] for row in driver.query(_GRANTS, (name, name))]
    return _View(name, kind, (definition, *around), tuple(grants))


def _try(driver: Driver, view: _View, statements: tuple[str, ...], what: str) -> None:
    try:
        for statement in statements:
            driver.execute(statement)
    except TargetError as error:
        message = f"The view {view.name}, which blocks a schema change, cannot be {what}: {error.message}"
        hint = "Nothing was changed. Drop the view, run the same command again, and create the view again."
        raise IncompatibleLayoutError(message, hint=hint) from error
