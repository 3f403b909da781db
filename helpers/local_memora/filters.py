"""Memora's boolean expressions: text -> tree -> tree checked against a schema.

An engine prints the tree in its own dialect; nothing a user typed reaches an engine unparsed. The language is
Milvus': https://milvus.io/docs/boolean.md
"""

import difflib
import functools
import math
import re
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args

from helpers.local_memora.errors import ApiError
from helpers.local_memora.schema import INTEGERS, CollectionSchema

MAX_LENGTH = 1_000_000  # characters: room for `id in [...]` with tens of thousands of keys
MAX_DEPTH = 20  # engines' own parsers give up at about 25
MAX_PARTS = 4_000  # engines walk long chains of `or` by recursion: tens of thousands overflow their stack

GRAMMAR = r"""
    ?start: disjunction
    ?disjunction: conjunction (_OR conjunction)+    -> any_of
        | conjunction
    ?conjunction: negation (_AND negation)+         -> all_of
        | negation
    ?negation: NOT negation                         -> negate
        | comparison
    ?comparison: sum
        | sum COMPARE sum                           -> compare
        | sum COMPARE sum COMPARE sum               -> between
        | sum IN items                              -> is_in
        | sum NOT IN items                          -> is_not_in
        | sum LIKE STRING                           -> like
        | sum NOT LIKE STRING                       -> not_like
    ?sum: product
        | sum (PLUS | MINUS) product                -> arithmetic
    ?product: unary
        | product TIMES unary                       -> arithmetic
    ?unary: power
        | MINUS unary                               -> minus
        | PLUS unary                                -> plus
    ?power: atom
        | atom POWER unary                          -> arithmetic
    ?atom: literal
        | NAME                                      -> field
        | NAME ("[" literal "]")+                   -> path
        | NAME "(" [disjunction ("," disjunction)*] ")" -> function
        | "(" disjunction ")"
    ?literal: NUMBER                                -> number
        | STRING                                    -> text
        | (TRUE | FALSE)                            -> boolean
    ?item: literal
        | MINUS NUMBER                              -> negative
    items: "[" [item ("," item)*] "]"

    _OR.2: /or\b/i | "||"
    _AND.2: /and\b/i | "&&"
    NOT.2: /not\b/i | /!(?!=)/
    IN.2: /in\b/i
    LIKE.2: /like\b/i
    TRUE.2: /true\b/i
    FALSE.2: /false\b/i
    COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
    PLUS: "+"
    MINUS: "-"
    POWER: "**"
    TIMES: "*" | "/" | "%"
    NAME: /[A-Za-z_$][A-Za-z0-9_$]*/
    NUMBER: /(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?/
    STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
    %ignore /\s+/
"""


@dataclass
class Node:
    """A part of an expression; `at` is where it stands in the text, counted from 1."""

    at: int


@dataclass
class Field(Node):
    """A column; `data_type` is filled in by the check."""

    name: str
    data_type: str = ""


@dataclass
class Literal(Node):
    """A constant: bool, int, float or str."""

    value: bool | int | float | str


@dataclass
class Operation(Node):
    """An operator with its operands.

    `operator` is one of: or and not | == != < <= > >= | in like | + - * / % ** ; `kind` (of the operands, filled in
    by the check) is bool, int, float or text. The second operand of `in` is a list of Literal.
    """

    operator: str
    operands: list[Any]
    kind: str = ""


def parse(text: str, schema: CollectionSchema) -> Node:
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
        A tree of Field, Literal and Operation whose value is true or false.

    Raises
    ------
    ApiError
        400 with the position of what is wrong, 501 for what Memora knows and this Memora can't do.
    """
    if len(text) > MAX_LENGTH:
        raise ApiError(400, f"the filter is too long: {len(text):,} characters; at most {MAX_LENGTH:,}")
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        at = len(text) if ended else error.pos_in_stream or 0
        found = "something is missing at the end" if ended else f"{text[at : at + 20]!r} is not understood here"
        raise _wrong(at + 1, f"{found}{_hint(text, at)}") from None
    _refuse_too_many(tree)
    if (kind := _check(tree, schema, 1)) != "bool":
        raise _wrong(tree.at, f"the filter must be true or false; this is {_A[kind]}")
    return tree


def _refuse_too_many(tree: Node) -> None:
    waiting, count = [tree], 0
    while waiting:  # no recursion: the depth is not checked yet
        node, count = waiting.pop(), count + 1
        if isinstance(node, Operation):
            waiting += [operand for operand in node.operands if isinstance(operand, Node)]
    if count > MAX_PARTS:
        raise ApiError(
            400, f"the filter has {count:,} parts; at most {MAX_PARTS:,} (a list after `in` counts for none)"
        )


_A = {"bool": "true or false", "int": "a number", "float": "a number", "text": "a text"}


def _wrong(at: int, message: str, status: int = 400) -> ApiError:
    return ApiError(status, f"filter, position {at}: {message}")


def _hint(text: str, at: int) -> str:
    if text[at : at + 1] == "=":
        return "; equality is written =="
    if text[at : at + 1] and text[at : at + 1] in "\"'\u201c\u201d\u2018\u2019":
        return "; a text stands in straight quotes, and both must be there"
    return ""


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Tree(), maybe_placeholders=False)


@v_args(inline=True)
class _Tree(Transformer):
    """Builds nodes while the text is read: no recursion, however deep the parentheses."""

    def field(self, name: Token) -> Node:
        return Field(_at(name), str(name))

    def number(self, token: Token) -> Node:
        return Literal(_at(token), int(token) if token.isdigit() and len(token) < 40 else float(token))

    def negative(self, minus: Token, token: Token) -> Node:
        return self.minus(minus, self.number(token))

    def text(self, token: Token) -> Node:
        return Literal(_at(token), _unescape(token[1:-1]))

    def boolean(self, token: Token) -> Node:
        return Literal(_at(token), token.lower() == "true")

    def path(self, name: Token, *_: Node) -> Node:
        raise _wrong(_at(name), f"{name}[...] reads inside JSON or Array, which the local Memora does not store", 501)

    def function(self, name: Token, *_: Node) -> Node:
        raise _wrong(_at(name), f"the local Memora has no function {name}(...)", 501)

    def any_of(self, *parts: Node) -> Node:
        return Operation(parts[0].at, "or", list(parts))

    def all_of(self, *parts: Node) -> Node:
        return Operation(parts[0].at, "and", list(parts))

    def negate(self, token: Token, operand: Node) -> Node:
        return Operation(_at(token), "not", [operand])

    def compare(self, left: Node, operator: Token, right: Node) -> Node:
        return Operation(_at(operator), str(operator), [left, right])

    def between(self, low: Node, first: Token, middle: Node, second: Token, high: Node) -> Node:
        return self.all_of(self.compare(low, first, middle), self.compare(middle, second, high))

    def items(self, *items: Node) -> list[Node]:
        return list(items)

    def is_in(self, left: Node, token: Token, items: list[Node]) -> Node:
        return Operation(_at(token), "in", [left, items])

    def is_not_in(self, left: Node, no: Token, token: Token, items: list[Node]) -> Node:
        return self.negate(no, self.is_in(left, token, items))

    def like(self, left: Node, token: Token, pattern: Token) -> Node:
        return Operation(_at(token), "like", [left, self.text(pattern)])

    def not_like(self, left: Node, no: Token, token: Token, pattern: Token) -> Node:
        return self.negate(no, self.like(left, token, pattern))

    def arithmetic(self, left: Node, operator: Token, right: Node) -> Node:
        return Operation(_at(operator), str(operator), [left, right])

    def plus(self, _: Token, operand: Node) -> Node:
        return operand

    def minus(self, token: Token, operand: Node) -> Node:
        if isinstance(operand, Literal) and type(operand.value) in (int, float):
            return Literal(_at(token), -operand.value)
        return Operation(_at(token), "-", [Literal(_at(token), 0), operand])


def _at(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unescape(text: str) -> str:
    r"""Resolve JSON's escapes and \'; any other backslash stays, for `like` gives it a meaning."""
    named = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "/": "/", "\\": "\\"}

    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else named.get(code, match[0])

    plain = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text, flags=re.DOTALL)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # joins \ud83d\ude00 to one emoji


def _check(node: Any, schema: CollectionSchema, depth: int) -> str:
    """Return the kind of a node's value: bool, int, float or text."""
    if depth > MAX_DEPTH:
        raise _wrong(node.at, f"nested more than {MAX_DEPTH} deep")
    if isinstance(node, Literal):
        return _literal_kind(node)
    if isinstance(node, Field):
        return _field_kind(node, schema)
    if node.operator == "in":
        left, items = node.operands
        kinds = [_check(left, schema, depth + 1)] + [_literal_kind(item) for item in items]
        node.kind = _common(node, kinds, "a list to look in holds values like the field's")
        return "bool"
    kinds = [_check(operand, schema, depth + 1) for operand in node.operands]
    if node.operator in ("or", "and", "not"):
        for operand, kind in zip(node.operands, kinds, strict=True):
            if kind != "bool":
                raise _wrong(operand.at, f"{node.operator!r} joins conditions; this is {_A[kind]}: compare it first")
        node.kind = "bool"
        return "bool"
    if node.operator == "like":
        if kinds[0] != "text":
            raise _wrong(node.at, f"'like' looks into texts; to its left is {_A[kinds[0]]}")
        node.kind = "text"
        return "bool"
    if node.operator in ("==", "!=", "<", "<=", ">", ">="):
        node.kind = _common(node, kinds, "both sides of a comparison must be of one kind")
        if node.kind == "bool" and node.operator not in ("==", "!="):
            raise _wrong(node.at, f"true and false have no order: {node.operator!r} does not fit")
        return "bool"
    return _check_arithmetic(node, kinds)


def _check_arithmetic(node: Operation, kinds: list[str]) -> str:
    for operand, kind in zip(node.operands, kinds, strict=True):
        if kind not in ("int", "float"):
            raise _wrong(operand.at, f"{node.operator!r} calculates with numbers; this is {_A[kind]}")
    right = node.operands[1]
    if node.operator in ("/", "%") and isinstance(right, Literal) and right.value == 0:
        raise _wrong(right.at, "division by zero")
    if node.operator == "%" and "float" in kinds:
        raise _wrong(node.at, "'%' needs whole numbers on both sides")
    node.kind = "float" if "float" in kinds or node.operator == "**" else "int"
    return node.kind


def _common(node: Node, kinds: list[str], rule: str) -> str:
    different = set(kinds)
    if different <= {"int", "float"}:
        return "float" if "float" in different else "int"
    if len(different) > 1:
        raise _wrong(node.at, f"{rule}; here are {' and '.join(sorted(_A[kind] for kind in different))}")
    return kinds[0]


def _literal_kind(node: Literal) -> str:
    if isinstance(node.value, bool):
        return "bool"
    if isinstance(node.value, str):
        try:
            node.value.encode()
        except UnicodeEncodeError:
            raise _wrong(node.at, "half of a surrogate pair is no letter") from None
        return "text"
    if isinstance(node.value, int) and not -(2**63) <= node.value < 2**63:
        raise _wrong(node.at, f"{node.value} does not fit into 64 bits")
    if not math.isfinite(node.value):
        raise _wrong(node.at, "this number is too large")
    return "int" if isinstance(node.value, int) else "float"


def _field_kind(node: Field, schema: CollectionSchema) -> str:
    field = schema.by_name.get(node.name)
    if field is None:
        names = {name.lower(): name for name in schema.by_name}
        close = difflib.get_close_matches(node.name.lower(), names, n=1)
        meant = f"did you mean {names[close[0]]!r}?" if close else f"there are: {', '.join(schema.by_name)}"
        raise _wrong(node.at, f"no field {node.name!r} in this collection; {meant}")
    node.data_type = field.data_type
    if field.data_type in INTEGERS:
        return "int"
    kinds = {"Bool": "bool", "Float": "float", "Double": "float", "VarChar": "text"}
    if field.data_type not in kinds:
        raise _wrong(node.at, f"{node.name!r} is a {field.data_type}; filters look at numbers, texts and booleans")
    return kinds[field.data_type]
