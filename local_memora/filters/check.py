"""Checks a filter's tree against a schema: each name is known, each operand is of a kind that its operator takes."""

import difflib
import math
from typing import Any

from local_memora.contract.bodies import MAX_DEPTH
from local_memora.contract.errors import ApiError, shown
from local_memora.contract.schema import DYNAMIC, INTEGERS, CollectionSchema, FieldSchema
from local_memora.filters.parse import Call, Field, Literal, Node, Operation, Path, fits, parse, wrong

IN_WORDS = {"bool": "true or false", "int": "a number", "float": "a number", "text": "a text", "json": "a JSON value"}
KINDS = {**dict.fromkeys(INTEGERS, "int"), "Bool": "bool", "Float": "float", "Double": "float", "VarChar": "text"}
# function -> what it looks into, what its second argument is (None: it has none), kind of its result
CALLS: dict[str, tuple[str, str | None, str]] = {
    "exists": ("JSON", None, "bool"),
    "json_contains": ("JSON", "one", "bool"),
    "json_contains_all": ("JSON", "list", "bool"),
    "json_contains_any": ("JSON", "list", "bool"),
    "array_contains": ("Array", "one", "bool"),
    "array_contains_all": ("Array", "list", "bool"),
    "array_contains_any": ("Array", "list", "bool"),
    "array_length": ("Array", None, "int"),
}
WORDS = ("and", "or", "not", "in", "like", "true", "false", *CALLS)
RESERVED = {spelling for word in WORDS for spelling in (word, word.upper())} | {"True", "False"}


def refuse_reserved(schema: CollectionSchema) -> None:
    """Refuse a schema with a field that no filter could name, because the name is a word of the filter language."""
    if taken := RESERVED & schema.by_name.keys():
        raise ApiError(400, f"a field can't be called {min(taken)!r}: filters use this word, so rename the field")


def read(text: str, schema: CollectionSchema) -> Node:
    """Parse an expression and check it against a schema.

    Parameters
    ----------
    text : str
        Such as `category == "mug" and elevation > 20`.
    schema : CollectionSchema
        Whose fields the expression may name.

    Returns
    -------
    Node
        A tree whose value is true or false.

    Raises
    ------
    ApiError
        400 with the position of the mistake.
    """
    tree = parse(text)
    if (kind := _check(tree, schema, 1)) != "bool":
        raise wrong(tree.at, f"the filter must be true or false; this is {IN_WORDS[kind]}")
    return tree


def keys_in(schema: CollectionSchema, keys: list[Any]) -> Node:
    """Build the tree of `key in [...]` without parsing; keys of another type than the primary key's are refused."""
    primary = schema.primary
    for key in keys:
        text, whole = isinstance(key, str), type(key) is int and fits(key)
        if not (text if primary.data_type == "VarChar" else whole):
            kind = f"{primary.data_type}, the type of the key {primary.field_name!r}"
            raise ApiError(400, f"{shown(key)} is not a valid {kind}")
    return one_of(primary, keys)


def keys_between(schema: CollectionSchema, low: Any, high: Any) -> Node:
    """Build the tree of `key >= low and key <= high` from keys of the right type."""
    primary = schema.primary
    key, kind = Field(1, primary.field_name, primary.data_type), KINDS[primary.data_type]
    bounds = [Operation(1, sign, [key, Literal(1, end)], kind) for sign, end in ((">=", low), ("<=", high))]
    return Operation(1, "and", bounds, "bool")


def one_of(field: FieldSchema, values: list[Any]) -> Node:
    """Build the tree of `field in [...]` from values of the field's own type."""
    literals: list[Any] = [Literal(1, value) for value in values]
    return Operation(1, "in", [Field(1, field.field_name, field.data_type), literals], KINDS[field.data_type])


def _check(node: Any, schema: CollectionSchema, depth: int) -> str:
    """Return the kind of a node's value: bool, int, float, text or json."""
    if depth > MAX_DEPTH:
        raise wrong(node.at, f"nested more than {MAX_DEPTH} deep")
    if isinstance(node, Literal):
        return _literal_kind(node)
    if isinstance(node, Field):
        return _field_kind(node, schema)
    if isinstance(node, Call):
        return _call_kind(node, schema)
    if node.operator == "in":
        left, items = node.operands
        kinds = [_check(left, schema, depth + 1)] + [_literal_kind(item) for item in items]
        node.kind = _common(node, kinds, "a list after in holds values of the field's kind")
        return "bool"
    kinds = [_check(operand, schema, depth + 1) for operand in node.operands]
    if node.operator in ("or", "and", "not"):
        remedy = "write not (...)" if node.operator == "not" else "compare it first"
        for operand, kind in zip(node.operands, kinds, strict=True):
            if kind != "bool":
                raise wrong(operand.at, f"{node.operator!r} takes conditions; this is {IN_WORDS[kind]}: {remedy}")
        node.kind = "bool"
        return "bool"
    if node.operator == "like":
        if kinds[0] not in ("text", "json"):
            raise wrong(node.at, f"'like' looks into texts; to its left is {IN_WORDS[kinds[0]]}")
        node.kind = "text"
        return "bool"
    if node.operator in ("==", "!=", "<", "<=", ">", ">="):
        node.kind = _common(node, kinds, "both sides of a comparison must be of one kind")
        if node.kind == "bool" and node.operator not in ("==", "!="):
            raise wrong(node.at, f"true and false have no order: {node.operator!r} does not fit")
        return "bool"
    return _arithmetic_kind(node, kinds)


def _arithmetic_kind(node: Operation, kinds: list[str]) -> str:
    for operand, kind in zip(node.operands, kinds, strict=True):
        if kind not in ("int", "float", "json"):
            raise wrong(operand.at, f"{node.operator!r} calculates with numbers; this is {IN_WORDS[kind]}")
    right = node.operands[1]
    if node.operator in ("/", "%") and isinstance(right, Literal) and right.value == 0:
        raise wrong(right.at, "division by zero")
    if node.operator == "%" and "float" in kinds:
        raise wrong(node.at, "'%' needs whole numbers on both sides")
    node.kind = "json" if "json" in kinds else "float" if "float" in kinds or node.operator == "**" else "int"
    return node.kind


def _common(node: Node, kinds: list[str], rule: str) -> str:
    different = set(kinds) - {"json"}
    if not different:
        return "json"
    if different <= {"int", "float"}:
        return "float" if "float" in different else "int"
    if len(different) > 1:
        raise wrong(node.at, f"{rule}; here are {' and '.join(sorted(IN_WORDS[kind] for kind in different))}")
    return different.pop()


def _literal_kind(node: Literal) -> str:
    if isinstance(node.value, bool):
        return "bool"
    if isinstance(node.value, str):
        try:
            node.value.encode()
        except UnicodeEncodeError:
            raise wrong(node.at, "half of a surrogate pair is not a letter") from None
        return "text"
    if isinstance(node.value, int) and not fits(node.value):
        raise wrong(node.at, f"{node.value} does not fit into 64 bits")
    if not math.isfinite(node.value):
        raise wrong(node.at, "this number is too large")
    return "int" if isinstance(node.value, int) else "float"


def _field_kind(node: Field, schema: CollectionSchema) -> str:
    field = _known(node, schema)
    if isinstance(node, Path):
        return _path_kind(node, field)
    if node.data_type in ("JSON", "Dynamic"):
        return "json"
    if node.data_type not in KINDS:
        use = "use array_contains(...), or an element [0]"
        advice = use if node.data_type == "Array" else "filters can't look at it"
        raise wrong(node.at, f"{node.name!r} is a {node.data_type}: {advice}")
    return KINDS[node.data_type]


def _known(node: Field, schema: CollectionSchema) -> FieldSchema | None:
    """Fill in the field's type, and return its schema; None for a dynamic field, where the collection has them."""
    field = schema.by_name.get(node.name)
    if field is not None:
        node.data_type = field.data_type
    elif schema.enable_dynamic_field and (node.name != DYNAMIC or isinstance(node, Path)):
        node.data_type = "Dynamic"
    else:
        names = {name.lower(): name for name in schema.by_name}
        close = difflib.get_close_matches(node.name.lower(), names, n=1)
        meant = f"did you mean {names[close[0]]!r}?" if close else f"there are: {', '.join(schema.by_name)}"
        raise wrong(node.at, f"no field {node.name!r} in this collection; {meant}")
    return field


def _path_kind(node: Path, field: FieldSchema | None) -> str:
    for key in node.keys:
        if isinstance(key, bool | float) or (isinstance(key, int) and not 0 <= key < 2**31):
            raise wrong(node.at, f"{node.name}[...] takes a text or a number from 0 on, not {key!r}")
    if node.data_type in ("JSON", "Dynamic"):
        return "json"
    if field is None or field.data_type != "Array":
        raise wrong(node.at, f"{node.name!r} is a {node.data_type}: only JSON, Array and dynamic fields have parts")
    if len(node.keys) != 1 or not isinstance(node.keys[0], int):
        raise wrong(node.at, f"{node.name!r} is an Array: one number in brackets picks an element")
    node.data_type = field.element.data_type
    return KINDS[node.data_type]


def _call_kind(node: Call, schema: CollectionSchema) -> str:
    if node.name not in CALLS:
        raise wrong(node.at, f"there is no function {node.name}(...); there are: {', '.join(CALLS)}")
    into, second, value = CALLS[node.name]
    if len(node.operands) != (2 if second else 1) or not isinstance(node.operands[0], Field):
        raise wrong(node.at, f"{node.name} takes a field{' and a value' if second else ''}")
    target = node.operands[0]
    if into == "JSON" and _field_kind(target, schema) != "json":
        raise wrong(target.at, f"{node.name} looks into JSON; {target.name!r} is a {target.data_type}")
    field = _known(target, schema)
    if into == "Array" and (isinstance(target, Path) or target.data_type != "Array"):
        raise wrong(target.at, f"{node.name} looks into an Array; {target.name!r} is not one")
    if second:
        _check_sought(node, field if into == "Array" else None, second)
    return value


def _check_sought(node: Call, array: FieldSchema | None, second: str) -> None:
    """Check a function's second argument: a literal or a list of literals, of the element type if it is an Array."""
    sought = node.operands[1]
    items = sought if isinstance(sought, list) else [sought]
    if isinstance(sought, list) != (second == "list") or not all(isinstance(item, Literal) for item in items):
        what = "a list of values [...]" if second == "list" else "one value"
        raise wrong(node.at, f"{node.name} looks for {what}")
    kinds = [_literal_kind(item) for item in items]
    if array is not None:
        element = KINDS[array.element.data_type]
        _common(node, [element, *kinds], f"{node.name} looks for values like those in {array.field_name!r}")
