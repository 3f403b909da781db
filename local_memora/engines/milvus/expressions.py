"""A filter's tree printed in the expressions that a Milvus server reads."""

import json

from local_memora.contract.schema import INTEGERS
from local_memora.engines import EMBEDDED, MILVUS
from local_memora.filters.parse import Call, Field, Literal, Node, Operation, Path, wrong

ARITHMETIC = ("+", "-", "*", "/", "%", "**")


def to_expression(node: Node, *, old: bool) -> str:
    """Print a checked tree as a condition.

    Parameters
    ----------
    node : Node
        The tree.
    old : bool
        Whether the server is older than 2.4, which takes `like "start%"` only, and `_` for itself without a word.

    Raises
    ------
    ApiError
        501 for what the server does not know, or gets wrong without a word.
    """

    def show(part: Node) -> str:
        return to_expression(part, old=old)

    if isinstance(node, Literal):
        return _literal(node.value)
    if isinstance(node, Field):
        name = f"$meta[{json.dumps(node.name)}]" if node.data_type == "Dynamic" and node.name != "$meta" else node.name
        return name + "".join(f"[{_literal(key)}]" for key in (node.keys if isinstance(node, Path) else []))
    if isinstance(node, Call):
        target, *sought = node.operands
        values = [_items(part) if isinstance(part, list) else show(part) for part in sought]
        return (
            f"exists {show(target)}" if node.name == "exists" else f"{node.name}({', '.join([show(target), *values])})"
        )
    assert isinstance(node, Operation)
    if node.operator == "in":
        left, items = show(node.operands[0]), node.operands[1]
        fractions = [item for item in items if isinstance(item.value, float)]
        whole = [item for item in items if not isinstance(item.value, float)]
        lists = [whole, fractions] if whole and fractions else [items]  # looking into JSON it fails on a list of both
        return "(" + " or ".join(f"{left} in {_items(part)}" for part in lists) + ")"
    if node.operator in ("and", "or", "not"):
        parts = [_condition(part, show(part)) for part in node.operands]
        return f"(not {parts[0]})" if node.operator == "not" else "(" + f" {node.operator} ".join(parts) + ")"
    if node.operator == "like" and old:
        _refuse_pattern(node)
    if node.operator in ARITHMETIC and node.kind == "float":
        _refuse_whole_numbers(node)
    left, right = (show(part) for part in node.operands)
    # Milvus takes the empty pattern, which only an empty text fits, for the start of every text.
    operator = "==" if node.operator == "like" and node.operands[1].value == "" else node.operator
    return f"({left} {operator} {right})"


def _condition(node: Node, text: str) -> str:
    """Milvus takes no bare Bool field for a condition."""
    return f"({text} == true)" if isinstance(node, Field) else text


def condition(node: Node, *, old: bool) -> str:
    """Print a whole filter."""
    return _condition(node, to_expression(node, old=old))


def _items(items: list[Literal]) -> str:
    return "[" + ", ".join(_literal(item.value) for item in items) + "]"


def _literal(value: bool | int | float | str) -> str:
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)  # JSON's escapes are those of Milvus
    if value == -(2**63):
        return "(-9223372036854775807 - 1)"  # the parser reads the number before the minus: too large
    return repr(value)


def _refuse_pattern(node: Operation) -> None:
    pattern = node.operands[1].value
    if any(sign in pattern.removesuffix("%") for sign in "%_\\"):
        raise wrong(
            node.at, f"this Milvus server is older than 2.4 and knows only like 'start%'; {EMBEDDED} knows all", 501
        )


def _refuse_whole_numbers(node: Operation) -> None:
    for part in node.operands:
        if isinstance(part, Field) and part.data_type in INTEGERS:  # it would find nothing
            raise wrong(
                node.at,
                f"{MILVUS} can't calculate with the whole numbers of {part.name!r} and fractions; {EMBEDDED} can",
                501,
            )
