"""A formula as presentation MathML, which browsers draw without a font or a script."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

_DIGITS = 4
_LONG = 4  # terms of a sum, from which on each stands on its own line


def mathml(expr: Any, symbols: Sequence[Any], names: Sequence[str], target: str) -> str:
    """Write `target = expr`, with names in the place of symbols.

    SymPy does not escape the names of symbols. So it prints symbols of our own making, and names
    come in afterwards as escaped text.
    """
    import sympy

    tokens = {symbol: _token(i) for i, symbol in enumerate(symbols)}
    texts = {_token(i): name for i, name in enumerate(names)}
    safe = expr.xreplace({symbol: sympy.Symbol(token) for symbol, token in tokens.items()})
    rounded = safe.xreplace({f: sympy.Float(f, _DIGITS) for f in safe.atoms(sympy.Float)})
    terms = sympy.Add.make_args(rounded)
    if len(terms) < _LONG:
        body = f"<mrow>{_name(target)}<mo>=</mo>{_printed(rounded, texts)}</mrow>"
    else:
        lines = [_printed(term, texts) for term in rounded.as_ordered_terms()]
        rows = [f"<mtr><mtd>{_name(target)}</mtd><mtd><mo>=</mo></mtd><mtd>{lines[0]}</mtd></mtr>"]
        for line in lines[1:]:
            sign = "" if line.startswith("<mrow><mo>-</mo>") else "<mo>+</mo>"
            rows.append(f"<mtr><mtd></mtd><mtd>{sign}</mtd><mtd>{line}</mtd></mtr>")
        body = f'<mtable columnalign="right center left">{"".join(rows)}</mtable>'
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">{body}</math>'


def _token(number: int) -> str:
    """A name of letters only: the printer reads digits and underscores as indices."""
    letters = ""
    while True:
        number, letter = divmod(number, 26)
        letters = chr(ord("a") + letter) + letters
        if number == 0:
            return f"edgewise{letters}"


def _printed(expr: Any, texts: dict[str, str]) -> str:
    from sympy import mathml as print_mathml

    def named(match: re.Match[str]) -> str:
        word = match.group(1)
        if word in texts:
            return _name(texts[word])
        if function := re.fullmatch(r"phi_(\d+)_(\d+)_(\d+)", word):
            index = ",".join(function.groups())
            return f"<msub><mi>φ</mi><mn>{index}</mn></msub>"
        return match.group(0)

    return re.sub(r"<mi>(\w+)</mi>", named, print_mathml(expr, printer="presentation"))


def _name(text: str) -> str:
    return f'<mi mathvariant="normal">{html.escape(text)}</mi>'
