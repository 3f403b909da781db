"""A filter's tree printed in DataFusion's SQL, which LanceDB reads."""

from local_memora.engines import EMBEDDED, MILVUS
from local_memora.filters.parse import Call, Field, Literal, Node, Operation, Path, wrong

# Kinds of operands: how a field that needs no cast is stored, and what else is cast to. Every type is said, for Lance
# gives a literal without one the type of some field that stands near, and DataFusion refuses `Int8 > 300`.
STORED = {"int": "Int64", "float": "Double", "float32": "Float", "text": "VarChar"}
SQL_TYPES = {"int": "BIGINT", "float": "DOUBLE", "float32": "FLOAT", "bool": "BOOLEAN"}
WIDE = "DECIMAL(20,0)"  # every BIGINT fits, and so do sums and products of two in what DataFusion makes of it
COMPARES = ("in", "==", "!=", "<", "<=", ">", ">=")


def to_sql(node: Node) -> str:
    """Print a checked tree as a condition.

    Raises
    ------
    ApiError
        501 for what looks inside a JSON, an Array or a dynamic field.
    """
    if isinstance(node, Path | Call) or (isinstance(node, Field) and node.data_type in ("JSON", "Dynamic")):
        what = f"{node.name}(...)" if isinstance(node, Call) else repr(node.name)
        inside = "inside JSON, Array and dynamic fields"
        raise wrong(node.at, f"{EMBEDDED} can't look {inside}, as {what} asks; {MILVUS} can", 501)
    if isinstance(node, Field):
        return f"`{node.name}`"  # names are letters, digits and underscores: the schema saw to that
    if isinstance(node, Literal):
        return _literal(node.value)
    assert isinstance(node, Operation)
    if node.operator == "in":
        left, items = node.operands
        kind = _kind(node, [left, *items])
        inside = ", ".join(_operand(item, kind) for item in items)
        return f"{_compared(left, _operand(left, kind))} IN ({inside})" if items else "false"
    if node.operator == "not":
        return f"(NOT {to_sql(node.operands[0])})"
    if node.operator in ("and", "or"):
        return "(" + f" {node.operator.upper()} ".join(to_sql(part) for part in node.operands) + ")"
    kind = _kind(node, node.operands)
    left, right = (_operand(part, kind) for part in node.operands)
    if _may_overflow(node):
        return f"({left}::{WIDE} {node.operator} {right}::{WIDE})::BIGINT"
    if node.operator in COMPARES:
        left, right = _compared(node.operands[0], left), _compared(node.operands[1], right)
    if node.operator == "**":
        return f"power({left}, {right})"
    operator = {"==": "=", "like": "LIKE"}.get(node.operator, node.operator)
    zero = " + 0.0" if operator in ("*", "/") and kind == "float" else ""  # makes -0.0 of 0.0: DataFusion orders them
    return f"({left} {operator} {right}{zero})"


def _kind(node: Operation, operands: list[Node]) -> str:
    """Say how operands meet: a Float field and a literal in 32 bits, so that `price == 0.1` finds what 0.1 became."""
    single = any(isinstance(part, Field) and part.data_type == "Float" for part in operands)
    return (
        "float32"
        if node.operator in COMPARES and single and any(isinstance(part, Literal) for part in operands)
        else node.kind
    )


def _may_overflow(node: Node) -> bool:
    """Return whether DataFusion would wrap the result round silently; a cast from wider numbers is refused instead."""
    return isinstance(node, Operation) and node.kind == "int" and node.operator in ("+", "-", "*")


def _compared(node: Node, text: str) -> str:
    """Add 0 where DataFusion would see through the cast, and compare the wider numbers without an error."""
    return f"({text} + 0)" if _may_overflow(node) else text


def _operand(node: Node, kind: str) -> str:
    text = to_sql(node)
    if isinstance(node, Literal):
        text = repr(float(node.value) + 0.0) if kind in ("float", "float32") else text
        return f"CAST({text} AS FLOAT)" if kind == "float32" else text
    if isinstance(node, Operation):
        return f"CAST({text} AS DOUBLE)" if kind == "float" and node.kind == "int" else text
    assert isinstance(node, Field)
    return text if node.data_type == STORED.get(kind) else f"CAST({text} AS {SQL_TYPES[kind]})"


def _literal(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if value == -(2**63):
        return f"CAST('{value}' AS BIGINT)"  # the parser reads the number before the minus: too large
    return repr(value)
