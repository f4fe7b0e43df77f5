"""The command `edgewise`, also as `python -m edgewise`."""

from __future__ import annotations

import sys

from edgewise._errors import MissingExtraError, require


def main() -> None:
    """Run the command, or say what to install for it."""
    try:
        require("typer", "cli")
    except MissingExtraError as error:
        sys.exit(f"edgewise: {error}")
    from edgewise.cli import app

    app()


if __name__ == "__main__":
    main()
