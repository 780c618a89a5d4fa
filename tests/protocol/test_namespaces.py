"""What somebody means by a namespace that does not exist."""

import pytest

from dapkit.protocol.namespaces import nearest_namespace


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("canvsa", "Did you mean canvas?"),
        ("canvaslogs", "Did you mean canvas_logs?"),
        ("zzzz", "Known namespaces: canvas, canvas_logs, catalog, new_quizzes."),
    ],
)
def test_the_nearest_namespace_is_suggested(name: str, expected: str) -> None:
    assert nearest_namespace(name) == expected
