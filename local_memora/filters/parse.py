"""Memora's boolean expressions: text -> tree. check.py then checks the tree against a schema.

An engine prints the tree in its own dialect; nothing a user typed reaches an engine unparsed. The language is
Milvus': https://milvus.io/docs/boolean.md
"""

import functools
import re
from dataclasses import dataclass, field
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args

from local_memora.contract.errors import ApiError

MAX_LENGTH = 1_000_000  # characters: room for `id in [...]` with tens of thousands of keys
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
        | NAME "(" [argument ("," argument)*] ")"   -> call
        | EXISTS atom                               -> exists
        | "(" disjunction ")"
    ?argument: disjunction
        | items
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
    EXISTS.2: /exists\b/i
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
    """A column; `data_type` is filled in by the check: a field that is in no schema is `Dynamic`."""

    name: str
    data_type: str = ""


@dataclass
class Path(Field):
    """A place within a JSON, an Array or a dynamic field, such as `info["tags"][0]`."""

    keys: list[Any] = field(default_factory=list)


@dataclass
class Call(Node):
    """A function of Milvus', such as `array_contains(tags, "red")`; an argument may be a list of Literal."""

    name: str
    operands: list[Any]


@dataclass
class Literal(Node):
    """A constant: bool, int, float or str."""

    value: bool | int | float | str


@dataclass
class Operation(Node):
    """An operator with its operands.

    `operator` is one of: or and not | == != < <= > >= | in like | + - * / % ** ; `kind` (of the operands, filled in
    by the check) is bool, int, float, text or json (whatever is there). The second operand of `in` is a list of
    Literal.
    """

    operator: str
    operands: list[Any]
    kind: str = ""


def parse(text: str) -> Any:
    """Parse an expression.

    Parameters
    ----------
    text : str
        Such as `category == "mug" and elevation > 20`.

    Returns
    -------
    Node
        A tree of Field, Path, Call, Literal and Operation, not checked yet.

    Raises
    ------
    ApiError
        400 with the position of what is wrong.
    """
    if len(text) > MAX_LENGTH:
        raise ApiError(400, f"the filter is too long: {len(text):,} characters; at most {MAX_LENGTH:,}")
    try:
        tree: Any = _parser().parse(text)
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        at = len(text) if ended else error.pos_in_stream or 0
        found = "something is missing at the end" if ended else f"{text[at : at + 20]!r} is not understood here"
        raise wrong(at + 1, f"{found}{_hint(text, at)}") from None
    _refuse_too_many(tree)
    return tree


def _refuse_too_many(tree: Node) -> None:
    waiting, count = [tree], 0
    while waiting:  # no recursion: the depth is not checked yet
        node, count = waiting.pop(), count + 1
        if isinstance(node, Operation | Call):
            waiting += [operand for operand in node.operands if isinstance(operand, Node)]
    if count > MAX_PARTS:
        raise ApiError(
            400, f"the filter has {count:,} parts; at most {MAX_PARTS:,} (a list after `in` counts for none)"
        )


def wrong(at: int, message: str, status: int = 400) -> ApiError:
    """Return the refusal of a filter, with the position of what is wrong."""
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

    def path(self, name: Token, *keys: Literal) -> Node:
        return Path(_at(name), str(name), keys=[key.value for key in keys])

    def call(self, name: Token, *arguments: Any) -> Node:
        return Call(_at(name), name.lower(), [part for part in arguments if part is not None])

    def exists(self, token: Token, operand: Node) -> Node:
        return Call(_at(token), "exists", [operand])

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
