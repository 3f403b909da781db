"""A filter's tree printed in the expressions that a Milvus server reads."""

import json

from local_memora.contract.errors import ApiError
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
        Whether the server is older than 2.4, which knows `like "start%"` only, and silently takes `_` for itself.

    Raises
    ------
    ApiError
        501 for what the server does not know, or silently gets wrong.
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
        if node.name == "exists":
            return f"(exists {show(target)})"  # it binds most loosely in Milvus 2.3
        return f"{node.name}({', '.join([show(target), *values])})"
    assert isinstance(node, Operation)
    if node.operator == "in":
        left, items = show(node.operands[0]), node.operands[1]
        fractions = [item for item in items if isinstance(item.value, float)]
        whole = [item for item in items if not isinstance(item.value, float)]
        lists = [whole, fractions] if whole and fractions else [items]  # looking into JSON it fails on a list of both
        return _limited(node, "(" + " or ".join(f"{left} in {_items(part)}" for part in lists) + ")")
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
    text = f"({left} {operator} {right})"
    return text if node.operator in ARITHMETIC else _limited(node, text)


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


def _limited(node: Operation, text: str) -> str:
    """Let a row whose result 64 bits can't hold equal nothing; Milvus would silently wrap the result."""
    sums = [part for part in node.operands if isinstance(part, Operation) and part.operator in ARITHMETIC]
    bounds = [bound for part in sums for bound in _bounds(part)]
    if not bounds:
        return text
    if node.operator == "==":
        return " and ".join([f"({text}", *(f"{name} {sign} {end}" for name, sign, end in bounds)]) + ")"
    if node.operator == "!=":
        outside = {">=": "<", "<=": ">"}
        return " or ".join([f"({text}", *(f"{name} {outside[sign]} {end}" for name, sign, end in bounds)]) + ")"
    raise _refusal(node)


def _bounds(node: Operation) -> list[tuple[str, str, int]]:
    """Return what the field must be, such as `x >= 3`, for its sum or product with a constant to fit into 64 bits."""
    field, literal = sorted(node.operands, key=lambda part: isinstance(part, Literal))
    number = literal.value if isinstance(literal, Literal) else None
    if not isinstance(field, Field) or not isinstance(number, int) or node.kind not in ("int", "json"):
        return []  # Milvus refuses it, or it does not add whole numbers
    half = 2 ** (INTEGERS.get(field.data_type, 64) - 1)  # JSON may hold any
    if node.operator in ("/", "%"):
        if number == -1 and half == 2**63:
            raise _refusal(node)  # the smallest number divided by -1 ends the server
        return []
    if node.operator == "*":
        factor, summand = number, 0
    elif node.operator == "-" and field is node.operands[1]:
        factor, summand = -1, number
    else:
        factor, summand = 1, number if node.operator == "+" else -number
    low, high = -(2**63) - summand, 2**63 - 1 - summand
    if factor < 0:
        factor, low, high = -factor, -high, -low
    low, high = (-(-low // factor), high // factor) if factor else (-half, half)
    name = to_expression(field, old=False)
    return [(name, ">=", low)] * (low > -half) + [(name, "<=", high)] * (high < half - 1)


def _refusal(node: Operation) -> ApiError:
    return wrong(node.at, f"{MILVUS} would calculate wrongly where 64 bits don't hold the result; {EMBEDDED} can", 501)


def _refuse_pattern(node: Operation) -> None:
    pattern = node.operands[1].value
    if any(sign in pattern.removesuffix("%") for sign in "%_\\"):
        old = "this Milvus server is older than 2.4 and knows only like 'start%'"
        raise wrong(node.at, f"{old}; {EMBEDDED} knows all", 501)


def _refuse_whole_numbers(node: Operation) -> None:
    for part in node.operands:
        if isinstance(part, Field) and part.data_type in INTEGERS:  # it would find nothing
            mixed = f"the whole numbers of {part.name!r} and fractions"
            raise wrong(node.at, f"{MILVUS} can't calculate with {mixed}; {EMBEDDED} can", 501)
