"""Lets the asserts of the suite explain themselves as those of test files do."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"tests.contract.{name}"
        for name in (
            "changes",
            "comparison",
            "evolution",
            "malformed",
            "manual_changes",
            "model",
            "repairs",
            "retention",
            "safety",
            "snapshots",
            "sync_state",
            "table_fixture",
            "values",
        )
    )
)
