"""Versions of a network: a tree of its states, in memory or in a folder."""

from __future__ import annotations

import copy
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgewise._errors import ConfigError, FormatError
from edgewise._io import PathLike, load, read_notes, save, write
from edgewise._network import KAN
from edgewise._primitives import PRIMITIVES, Library

_INDEX = "versions.json"
_STATE = re.compile(r"(\d{4,})\.safetensors")
_KEY = "version"  # the note of a state's file that holds what the index says of it


@dataclass(frozen=True)
class Version:
    """A state of a network, without the network.

    Attributes:
        id: Its number, from 1, in the order in which versions were added.
        parent: The version that it came from; None for a first one.
        note: What was done.
        name: A name of its own that `checkout` takes, too; empty if it has none.
        time: When it was added, in UTC, as in ISO 8601.
        summary: The network in a line.
    """

    id: int
    parent: int | None
    note: str
    name: str
    time: str
    summary: str


class History:
    """Versions of a network as a tree: go back to any, and branch off from there.

    Without a folder everything stays in memory. In a folder each version is a file by `save`, which
    knows its parent and its note itself, and `versions.json` lists them. A file appears under its
    name only when it is whole and replaces no other, and the list is made anew from the files where
    it is missing or behind: a process that is killed loses no version that was added, and several
    processes can add to the same folder. Each `History` has a `current` version of its own; the
    folder keeps the one that was set last, for the next time that it is opened.

    Args:
        folder: Where the versions are kept, or are already; it is made when the first is added.
        library: Where the functions of locked edges are looked up, as in `load`.

    Raises:
        ConfigError: If the folder is a file, or holds files but no versions.

    Example:
        >>> history = ew.History()
        >>> first = history.add(model, note="as it came")
        >>> history.add(ew.refine(model, 6), note="finer")
        2
        >>> history.checkout(first)
        KAN([2, 5, 1], grid=3, 90 parameters)
        >>> history.add(ew.prune(model, x, node_threshold=0.3), note="pruned")
        3
        >>> [(version.id, version.parent, version.note) for version in history]
        [(1, None, 'as it came'), (2, 1, 'finer'), (3, 1, 'pruned')]
    """

    def __init__(self, folder: PathLike | None = None, *, library: Library = PRIMITIVES) -> None:
        self._library = library
        self._versions: dict[int, Version] = {}
        self._states: dict[int, KAN] = {}
        self._current: int | None = None
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None and self._folder.exists():
            self._open(self._folder)

    @property
    def folder(self) -> Path | None:
        """Where the versions are kept; None for memory."""
        return self._folder

    @property
    def current(self) -> int | None:
        """The version that was added or checked out last: the parent of the next one."""
        return self._current

    def add(
        self, model: KAN, note: str = "", *, name: str = "", parent: int | str | None = None
    ) -> int:
        """Keep a network as it is now, as a new version, which becomes the current one.

        Args:
            model: The network; it is copied.
            note: What was done, for `log`.
            name: A name that no other version has, such as "0.1"; not only digits.
            parent: The version that it comes from, by number or name; the current one by default.

        Returns:
            The number of the version.

        Raises:
            ConfigError: If the model is no `KAN`, the name is taken or only digits, or there is no
                such parent.
        """
        if not isinstance(model, KAN):
            raise ConfigError(f"A history keeps versions of a KAN, got a {type(model).__name__}.")
        versions = self._refreshed()
        if name.isdigit():
            raise ConfigError(f"A name must not look like a number, got {name!r}.")
        if name and any(version.name == name for version in versions.values()):
            raise ConfigError(f"There is a version called {name!r} already: names are for one.")
        version = Version(
            id=max(versions, default=0) + 1,
            parent=self._current if parent is None else self[parent].id,
            note=note,
            name=name,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            summary=repr(model),
        )
        if self._folder is None:
            self._states[version.id] = copy.deepcopy(model)
        else:
            version = _put(model, version, self._folder)
        versions[version.id] = version
        self._move(version.id)
        return version.id

    def checkout(self, version: int | str) -> KAN:
        """Get a version's network, and go on from it: it becomes the current one.

        Args:
            version: Its number or its name.

        Returns:
            A copy; what is done to it does not change the version.

        Raises:
            ConfigError: If there is no such version.
            FormatError: If its file is damaged, or the library misses a primitive.
        """
        found = self[version].id
        if self._folder is None:
            model = copy.deepcopy(self._states[found])
        else:
            model = load(_path(self._folder, found), library=self._library)
        self._move(found)
        return model

    def parent(self, version: int | str) -> int | None:
        """Tell which version a version came from; None for a first one."""
        return self[version].parent

    def children(self, version: int | str) -> list[int]:
        """List the versions that came from a version."""
        found = self[version].id
        return [other.id for other in self if other.parent == found]

    def log(self) -> str:
        """Write the versions as a table, the oldest first; a star marks the current one.

        Example:
            >>> history = ew.History()
            >>> _ = history.add(model, note="as it came", name="0.0")
            >>> _ = history.add(ew.refine(model, 6), note="finer")
            >>> print(history.log())  # doctest: +SKIP
              id  from  name  time (UTC)           network                ...    note
               1        0.0   2026-11-25 17:00:00  KAN([2, 5, 1], grid=3, ...    as it came
            *  2     1        2026-11-25 17:00:05  KAN([2, 5, 1], grid=6, ...    finer
        """
        rows = [("", "id", "from", "name", "time (UTC)", "network", "note")]
        for v in self:
            mark = "*" if v.id == self._current else ""
            parent = "" if v.parent is None else str(v.parent)
            time = v.time[:19].replace("T", " ")
            words = (v.name, time, v.summary, " ".join(v.note.split()))
            rows.append((mark, str(v.id), parent, *words))
        named = any(row[3] for row in rows[1:])
        columns = [k for k in range(7) if k != 3 or named]
        widths = [max(len(row[k]) for row in rows) for k in range(7)]
        lines = []
        for row in rows:
            cells = [
                row[k].rjust(widths[k]) if k in (1, 2) else row[k].ljust(widths[k]) for k in columns
            ]
            lines.append(f"{cells[0] or ' '} {'  '.join(cells[1:])}".rstrip())
        return "\n".join(lines)

    def __getitem__(self, version: int | str) -> Version:
        """Look up what is known of a version, by its number or its name."""
        versions = self._refreshed()
        if isinstance(version, int) and version in versions:
            return versions[version]
        for candidate in versions.values():
            if isinstance(version, str) and version and candidate.name == version:
                return candidate
        raise ConfigError(f"There is no version {version!r}. {self._offer()}")

    def __contains__(self, version: object) -> bool:
        """Tell whether there is a version of this number or name."""
        known = self._refreshed().values()
        return any(version in (v.id, v.name) and version != "" for v in known)

    def __iter__(self) -> Iterator[Version]:
        """Go through what is known of the versions, the oldest first."""
        versions = self._refreshed()
        return iter([versions[number] for number in sorted(versions)])

    def __len__(self) -> int:
        """Count the versions."""
        return len(self._refreshed())

    def __repr__(self) -> str:
        where = "memory" if self._folder is None else repr(str(self._folder))
        return f"History({where}, {len(self)} versions, current {self._current})"

    def _offer(self) -> str:
        versions = sorted(self._versions)
        if not versions:
            return "The history is empty: add one first."
        names = [repr(v.name) for v in self._versions.values() if v.name]
        more = f", called {', '.join(names[:10])}" if names else ""
        return f"There are 1 to {versions[-1]}{more}."

    # the folder

    def _open(self, folder: Path) -> None:
        """Take what a folder holds."""
        if not folder.is_dir():
            raise ConfigError(f"{folder} is a file. Give the folder of a history.")
        index, self._current = _read_index(folder)
        self._versions.update(index)
        versions = self._refreshed()
        if not versions and any(not p.name.startswith(".") for p in folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no versions. Give another folder.")
        if self._current not in versions:
            self._current = max(versions, default=None)

    def _refreshed(self) -> dict[int, Version]:
        """The versions, with those that other processes have added meanwhile."""
        if self._folder is not None and self._folder.is_dir():
            there = {number for number, _ in _files(self._folder)}
            for number in sorted(there - self._versions.keys()):
                self._versions[number] = _read_version(self._folder, number)
            for number in self._versions.keys() - there:  # deleted by hand
                del self._versions[number]
        return self._versions

    def _move(self, version: int) -> None:
        """Make a version the current one."""
        self._current = version
        if self._folder is not None:
            known = [asdict(v) for _, v in sorted(self._refreshed().items())]
            content = json.dumps({"current": version, "versions": known}, indent=1)
            write(self._folder / _INDEX, content.encode())


def _path(folder: Path, version: int) -> Path:
    return folder / f"{version:04d}.safetensors"


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    """The files of states, by their numbers."""
    for path in folder.iterdir():
        match = _STATE.fullmatch(path.name)
        if match:
            yield int(match[1]), path


def _put(model: KAN, version: Version, folder: Path) -> Version:
    """Write a state under the first number that is free, whoever else writes; give that version."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".state.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        while True:
            save(model, part, notes={_KEY: json.dumps(asdict(version))})
            if _claim(part, _path(folder, version.id)):
                return version
            version = Version(**{**asdict(version), "id": version.id + 1})
    finally:
        part.unlink(missing_ok=True)


def _claim(part: Path, path: Path) -> bool:
    """Give a whole file its name, or tell that the name is taken."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        os.replace(part, path)
    return True


def _read_version(folder: Path, number: int) -> Version:
    """What a state's file says of itself."""
    path = _path(folder, number)
    try:
        return _version(json.loads(read_notes(path)[_KEY]), number)
    except (FormatError, OSError, KeyError, TypeError, ValueError):
        return Version(number, None, f"{path.name} cannot be read", "", "", "")


def _read_index(folder: Path) -> tuple[dict[int, Version], int | None]:
    """The list of versions and the current one, as far as they can be read."""
    try:
        index = json.loads((folder / _INDEX).read_text())
        found = [_version(entry, entry["id"]) for entry in index["versions"]]
        return {version.id: version for version in found}, index["current"]
    except (OSError, KeyError, TypeError, ValueError):
        return {}, None


def _version(entry: dict[str, Any], number: int) -> Version:
    """Read a version, or raise what is no version."""
    version = Version(**entry)
    texts = (version.note, version.name, version.time, version.summary)
    parent = version.parent is None or isinstance(version.parent, int)
    if version.id != number or not parent or not all(isinstance(t, str) for t in texts):
        raise ValueError(f"{entry!r} is no version")
    return version
