"""The generated parts of the documentation are up to date."""

import json
import re

import click
import pytest
from docs.generate import DOCS, GENERATED

from dapkit.cli.main import dap
from dapkit.transfer.manifest import Manifest, ManifestObject


@pytest.mark.parametrize("name", GENERATED)
def test_generated_text_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == GENERATED[name](), "run make reference"


def options() -> set[str]:
    top = click.Context(dap)
    commands = [dap, *(dap.get_command(top, name) for name in dap.list_commands(top))]
    return {option for command in commands if command for each in command.params for option in each.opts}


def test_every_option_of_every_command_is_in_the_reference() -> None:
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    flags = {option for option in options() if option.startswith("--")} - {"--patience"}  # a former name
    assert len(flags) > 30
    assert [option for option in sorted(flags) if not re.search(rf"\| `(--\S+, )*{option}(, --\S+)*` \|", page)] == []


def test_the_schema_of_the_manifest_names_its_fields() -> None:
    schema = json.loads((DOCS / "manifest.schema.json").read_text(encoding="utf-8"))
    assert set(schema["$defs"]["Manifest"]["properties"]) == set(Manifest.__struct_fields__)
    assert set(schema["$defs"]["ManifestObject"]["properties"]) == set(ManifestObject.__struct_fields__)
