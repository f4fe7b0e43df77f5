"""The picture of a history: the tree of a network's versions."""

from __future__ import annotations

from edgewise._errors import ConfigError
from edgewise._history import History, Version
from edgewise.plot._sheet import Sheet
from edgewise.plot._style import DATA, GRAY, INK, LOCKED, PALE, Figure, Point

_ROW, _LANE = 0.3, 0.28  # inches
_LONGEST = 70  # letters of a note


def versions(history: History) -> Figure:
    """Draw the tree of a network's versions, the oldest on top.

    Each version has a row with its number, name, note and network. A line leads down to it from the
    version that it came from; a branch has a lane of its own. The current version is orange.

    Args:
        history: The versions.

    Returns:
        The figure; it is as high as there are versions.

    Raises:
        ConfigError: If there are no versions.
        MissingExtraError: If Matplotlib is not installed.

    Example:
        >>> history = ew.History()
        >>> _ = history.add(model, note="as it came")
        >>> _ = history.add(ew.refine(model, 6), note="finer")
        >>> figure = ew.plot.versions(history)
        >>> [t.get_text() for t in figure.axes[0].texts if t.get_gid() == "note-2"]
        ['finer']
    """
    shown = list(history)
    if not shown:
        raise ConfigError("A picture of versions needs at least one, and the history is empty.")
    lanes = _lanes(shown)
    places = {v.id: (_LANE * lanes[v.id], -_ROW * row) for row, v in enumerate(shown)}
    sheet = Sheet()
    for v in shown:
        if v.parent in places:
            _draw_line(sheet, places[v.parent], places[v.id], v.id)
    for v in shown:
        color = LOCKED if v.id == history.current else DATA
        style = {"marker": "o", "ms": 8.5, "mec": "white", "mew": 1.0, "zorder": 3}
        sheet.line([places[v.id]], f"version-{v.id}", color=color, **style)
    _write_rows(sheet, shown, places, history.current)
    return sheet.finish()


def _lanes(shown: list[Version]) -> dict[int, int]:
    """Give each version a lane: a first child goes on in its parent's, others open new ones.

    A lane is taken again by a branch that begins below the end of the last one in it.
    """
    row = {v.id: k for k, v in enumerate(shown)}
    children: dict[int, list[int]] = {}
    for v in shown:
        if v.parent in row:
            children.setdefault(v.parent, []).append(v.id)
    heads = [v.id for v in shown if v.parent not in row or children[v.parent][0] != v.id]
    parent = {v.id: v.parent for v in shown}
    ends: list[int] = []  # the last row that is taken in each lane
    lanes: dict[int, int] = {}
    begins = {head: row.get(parent[head] or 0, row[head]) for head in heads}
    for head in sorted(heads, key=lambda head: (begins[head], parent[head] in row, -row[head])):
        chain = [head]
        while chain[-1] in children:
            chain.append(children[chain[-1]][0])
        least = lanes.get(parent[head] or 0, -1) + 1 if parent[head] in row else 0
        free = [k for k in range(least, len(ends)) if ends[k] < begins[head]]
        lane = free[0] if free else len(ends)
        if lane == len(ends):
            ends.append(0)
        ends[lane] = row[chain[-1]]
        lanes |= dict.fromkeys(chain, lane)
    return lanes


def _draw_line(sheet: Sheet, above: Point, below: Point, version: int) -> None:
    """Draw from a version to one that came from it: across just below it, then down."""
    turn = (below[0], above[1] - 0.6 * _ROW)
    points = [above, below] if above[0] == below[0] else [above, turn, below]
    sheet.line(points, f"line-{version}", color=PALE, lw=1.6, zorder=1, solid_joinstyle="round")


def _write_rows(
    sheet: Sheet, shown: list[Version], places: dict[int, Point], current: int | None
) -> None:
    """Write beside the tree what each version is, in columns."""
    left = max(x for x, _ in places.values()) + 0.3
    columns = [
        ("id", 9.5, GRAY, {v.id: str(v.id) for v in shown}),
        ("name", 10.5, INK, {v.id: v.name for v in shown}),
        ("note", 10.5, INK, {v.id: _short(v.note) for v in shown}),
        ("network", 9.5, GRAY, {v.id: v.summary for v in shown}),
    ]
    for kind, size, color, words in columns:
        widths = [0.0]
        for v in shown:
            if words[v.id]:
                style = {"size": size, "color": LOCKED if v.id == current else color}
                style |= {"va": "center", "parse_math": False, "gid": f"{kind}-{v.id}"}
                widths.append(
                    sheet.width_of(sheet.text(left, places[v.id][1], words[v.id], **style))
                )
        left += max(widths) + (0.22 if max(widths) else 0.0)


def _short(note: str) -> str:
    """A note on one line."""
    note = " ".join(note.split())
    return note if len(note) <= _LONGEST else note[: _LONGEST - 1] + "…"
