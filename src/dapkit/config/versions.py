"""Which versions are installed: what a report of a problem should say."""

import platform
import re
import ssl
from importlib.metadata import PackageNotFoundError, requires, version

from dapkit import __version__


def installed_versions() -> dict[str, str]:
    """Return the versions of dapkit, Python, the platform, OpenSSL, and the libraries that dapkit uses, by name."""
    return {
        "dapkit": __version__,
        "Python": platform.python_version(),
        "platform": platform.platform(),
        "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").partition(" ")[0],
        **_libraries(),
    }


def version_text(versions: dict[str, str]) -> str:
    """Return versions as one line."""
    return ", ".join(number if name == "platform" else f"{name} {number}" for name, number in versions.items())


def _libraries() -> dict[str, str]:
    """Return the versions of the required and optional libraries that are installed."""
    try:
        requirements = requires("dapkit") or []
    except PackageNotFoundError:  # run from source, without being installed
        return {}
    names = dict.fromkeys(match[0] for each in requirements if (match := re.match(r"[A-Za-z0-9_.-]+", each)))
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an optional one
            continue
    return found
