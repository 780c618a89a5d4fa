"""Lets the asserts of the suite speak as those of test files do."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"tests.contract.{name}"
        for name in (
            "books",
            "repairs",
            "values",
            "changes",
            "comparing",
            "snapshots",
            "evolution",
            "safety",
            "fixture",
            "model",
        )
    )
)
