"""MkDocs hooks: add pages from the root of the repository to the site, and check the pages that were built.

ARCHITECTURE, CONTRIBUTING and CHANGELOG are in the root of the repository, where readers look for them, and are also
pages of the site. Links in the sources are paths in the repository. The hooks turn those between the root and docs/
into links of the site.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {name: name.lower() for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")}

_TO_ROOT = re.compile(rf"\]\((?:\.\./)*({'|'.join(map(re.escape, PAGES))})")
_TO_DOCS = "](docs/"
_FOREIGN = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\"\s>]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the root of the repository."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Turn links between the root and docs/ into links of the site."""
    return _TO_ROOT.sub(lambda match: f"]({PAGES[match[1]]}", markdown).replace(_TO_DOCS, "](")


def on_post_page(output: str, **_: object) -> str:
    """Check that the page loads nothing from other hosts. Raises PluginError."""
    if foreign := _FOREIGN.search(output):
        raise PluginError(f"A page of the site loads {foreign[1]} from another host")
    return output
