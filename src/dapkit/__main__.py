"""`python -m dapkit` runs the command where no script is installed."""

from dapkit.cli.bootstrap import run

if __name__ == "__main__":
    run()
