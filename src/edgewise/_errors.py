"""What can go wrong, as exceptions that say what was given, what is accepted and what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


class EdgewiseError(Exception):
    """The parent of every error that edgewise raises on purpose."""


class ShapeError(EdgewiseError, ValueError):
    """A tensor has the wrong shape."""


class ConfigError(EdgewiseError, ValueError):
    """A setting has a value that is not accepted."""


class DataError(EdgewiseError, ValueError):
    """Data cannot be fitted: missing, infinite, constant, too few, or of the wrong type."""


class FormatError(EdgewiseError, ValueError):
    """A file is not a model of edgewise, or it is damaged."""


class MissingExtraError(EdgewiseError, ImportError):
    """An optional package is not installed."""


def require(package: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"This needs {package.partition('.')[0]}. "
            f'Install it with: pip install "edgewise[{extra}]".'
        ) from error
