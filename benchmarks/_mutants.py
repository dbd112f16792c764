"""Small breaks of a Python file, one at a time: what a mutation run tries the tests with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants_of"]

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
_TWINS = {
    "max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum", "any": "all",
    "all": "any", "sin": "cos", "cos": "sin", "argmax": "argmin", "argmin": "argmax",
    "floor": "ceil", "ceil": "floor",
}  # fmt: skip
_Piece = tuple[ast.expr | ast.stmt, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One break of one file.

    Attributes
    ----------
    line
        Where, counted from 1.
    lines
        First line of the statement it stands in, and its own last; None where the import runs it.
    kind
        ``compare``, ``arithmetic``, ``constant``, ``return``, ``condition``, ``boolean``,
        ``sign``, ``twin`` or ``statement``.
    said
        The piece before and after.
    source
        The whole file with the break in it.
    """

    line: int
    lines: tuple[int, int] | None
    kind: str
    said: str
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """List every break of a file, in the order of its lines.

    Pieces are put into the text where the piece before stood, so that everything else keeps
    its lines. Docstrings, annotations, decorators, ``__all__``, messages of exceptions and
    ``TYPE_CHECKING`` blocks are left alone: they can change no answer.
    """
    tree, lines = ast.parse(source), [line.encode() for line in source.splitlines(keepends=True)]
    found = []
    for statement, node in _live(tree, None):
        for at, kind, piece in _pieces(node):
            before = ast.get_source_segment(source, at) or ""
            last = at.end_lineno or at.lineno
            found.append(
                Mutant(
                    line=at.lineno,
                    lines=None if statement is None else (statement.lineno, last),
                    kind=kind,
                    said=f"{_short(before)}  ->  {_short(piece)}",
                    source=_spliced(lines, at, piece),
                )
            )
    return sorted(found, key=lambda one: one.line)


def _pieces(node: ast.AST) -> Iterator[_Piece]:
    """Yield a node, the kind of break and the text that takes its place."""
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            for other in _COMPARE.get(type(op), ()):
                ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                broken = ast.Compare(node.left, ops, node.comparators)
                yield node, "compare", f"({ast.unparse(broken)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        turned = ast.BinOp(node.left, _BINARY[type(node.op)](), node.right)
        yield node, "arithmetic", f"({ast.unparse(turned)})"
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield node, "boolean", f"({ast.unparse(ast.BoolOp(swapped, node.values))})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield node, "sign", f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        yield from _constant(node)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node.test, "condition", f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield node.value, "return", "None"
    elif isinstance(node, ast.Attribute | ast.Name):
        yield from _twin(node)
    elif isinstance(node, ast.Expr | ast.AugAssign | ast.Continue | ast.Break):
        yield node, "statement", "pass"


def _twin(node: ast.Attribute | ast.Name) -> Iterator[_Piece]:
    twin = _TWINS.get(node.attr if isinstance(node, ast.Attribute) else node.id)
    if twin is not None and isinstance(node.ctx, ast.Load):
        of = f"({ast.unparse(node.value)})." if isinstance(node, ast.Attribute) else ""
        yield node, "twin", f"{of}{twin}"


def _constant(node: ast.Constant) -> Iterator[_Piece]:
    value = node.value
    if isinstance(value, bool):
        yield node, "constant", str(not value)
    elif isinstance(value, int):
        yield node, "constant", f"({value + 1})"
    elif isinstance(value, float):
        for other in (2.0 * value, 0.9 * value) if value else (1.0, -1.0):
            yield node, "constant", f"({other!r})"


def _live(node: ast.AST, statement: ast.stmt | None) -> Iterator[tuple[ast.stmt | None, ast.AST]]:
    """Walk what can change an answer, each piece with the statement of a function it stands in."""
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.AnnAssign):
        children = [] if node.value is None else [node.value]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        defaults = filter(None, node.args.kw_defaults)
        children = [*node.args.defaults, *defaults, *node.body]
    elif isinstance(node, ast.ClassDef):
        children = [*node.body]
    inside = statement is not None or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in children:
        if not _is_silent(child):
            own = child if inside and isinstance(child, ast.stmt) else statement
            yield own, child
            yield from _live(child, own)


def _is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)
    if isinstance(node, ast.Assign):
        return any(isinstance(to, ast.Name) and to.id == "__all__" for to in node.targets)
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _spliced(lines: list[bytes], node: ast.expr | ast.stmt, piece: str) -> str:
    """Put a piece where a node stands; column offsets count bytes."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    first, last = node.lineno - 1, node.end_lineno - 1
    before = b"".join(lines[:first]) + lines[first][: node.col_offset]
    after = lines[last][node.end_col_offset :] + b"".join(lines[last + 1 :])
    return (before + piece.encode() + after).decode()


def _short(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= 60 else f"{one[:57]}..."
