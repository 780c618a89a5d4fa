"""A MariaDB server for tests, from the programs that are installed on the machine."""

import os
import shutil

from tests.support.mysql_server import PrivateServer, Product, unavailable

__all__ = ["mariadb_server"]

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def mariadb_server(*options: str) -> PrivateServer:
    """Return a MariaDB server of our own, started with more options."""
    create, serve = (shutil.which(program, path=_PATH) for program in ("mariadb-install-db", "mariadbd"))
    if create is None or serve is None:
        unavailable("mariadbd or mariadb-install-db not found (Debian: mariadb-server), nor DAPKIT_TEST_MYSQL set")
    common = ("--no-defaults", "--innodb-log-file-size=16M")
    return PrivateServer(
        Product(
            name="mariadb",
            create=(str(create), *common, "--auth-root-authentication-method=normal", "--skip-test-db"),
            serve=(str(serve), *common, "--skip-log-bin", "--skip-ssl", *options),
            user="mysql",
            path=_PATH,
        )
    )
