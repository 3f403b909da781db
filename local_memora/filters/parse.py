"""Memora's boolean expressions: text -> tree. check.py then checks the tree against a schema.

The tree is printed in each engine's own language; no text from a user reaches an engine. The language is Milvus'
(https://milvus.io/docs/boolean.md; its grammar is internal/parser/planparserv2/Plan.g4 in Milvus' repository). What
Milvus reads is read the same way here or refused; what only Milvus refuses, such as `not like`, may be understood.
"""

import functools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args

from local_memora.contract.bodies import MAX_ITEMS, MAX_PARTS
from local_memora.contract.errors import ApiError

# From loosest to tightest, as in Milvus: `not a == b` is `(not a) == b`, and `like` binds tighter than `not`.
GRAMMAR = r"""
    ?start: disjunction
    ?disjunction: conjunction (_OR conjunction)+    -> any_of
        | conjunction
    ?conjunction: comparison (_AND comparison)+     -> all_of
        | comparison
    ?comparison: sum
        | sum COMPARE sum                           -> compare
        | sum COMPARE sum COMPARE sum               -> between
        | sum IN items                              -> is_in
        | sum NOT_IN items                          -> is_not_in
    ?sum: product
        | sum (PLUS | MINUS) product                -> arithmetic
    ?product: unary
        | product TIMES unary                       -> arithmetic
    ?unary: power
        | NOT unary                                 -> negate
        | MINUS unary                               -> minus
        | PLUS unary                                -> plus
    ?power: matched
        | matched POWER exponent                    -> arithmetic
    ?exponent: matched
        | MINUS exponent                            -> minus
        | PLUS exponent                             -> plus
    ?matched: atom
        | atom LIKE STRING                          -> like
        | atom NOT_LIKE STRING                      -> not_like
    ?atom: literal
        | NAME                                      -> field
        | NAME ("[" literal "]")+                   -> path
        | NAME "(" [argument ("," argument)*] ")"   -> call
        | EXISTS atom                               -> exists
        | "(" disjunction ")"
    ?argument: disjunction
        | items
    ?literal: number
        | STRING                                    -> text
        | (TRUE | FALSE)                            -> boolean
    ?number: INTEGER                                -> integer
        | FLOAT                                     -> fraction
    ?item: literal
        | MINUS number                              -> minus
    items: "[" [item ("," item)* [","]] "]"

    _OR.2: /(or|OR)\b/ | "||"
    _AND.2: /(and|AND)\b/ | "&&"
    NOT_IN.3: /(not|NOT)\s+(in|IN)\b/
    NOT_LIKE.3: /(not|NOT)\s+(like|LIKE)\b/
    NOT.2: /(not|NOT)\b/ | /!(?!=)/
    IN.2: /(in|IN)\b/
    LIKE.2: /(like|LIKE)\b/
    EXISTS.2: /(exists|EXISTS)\b/
    TRUE.2: /(true|True|TRUE)\b/
    FALSE.2: /(false|False|FALSE)\b/
    COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
    PLUS: "+"
    MINUS: "-"
    POWER: "**"
    TIMES: "*" | "/" | "%"
    NAME: /\$meta\b|[A-Za-z_][A-Za-z0-9_]*/
    FLOAT.2: /(\d+\.\d*|\.\d+)([eE][+-]?\d+)?|\d+[eE][+-]?\d+/
    INTEGER: /0[xX][0-9a-fA-F]+|0[bB][01]+|\d+/
    STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
    %ignore /\s+/
"""
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "'": "'", "\\": "\\"}


def _quotient(left: int, right: int) -> int:
    """Divide towards zero, as engines do."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


FOLDED: dict[str, Callable[[Any, Any], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _quotient}


@dataclass
class Node:
    """A part of an expression; `at` is its position in the text, from 1."""

    at: int


@dataclass
class Field(Node):
    """A column. The check fills in `data_type`: `Dynamic` for a field that is not in the schema."""

    name: str
    data_type: str = ""


@dataclass
class Path(Field):
    """A place within a JSON, an Array or a dynamic field, such as `info["tags"][0]`."""

    keys: list[Any] = field(default_factory=list)


@dataclass
class Call(Node):
    """A function call, such as `array_contains(tags, "red")`; an operand may be a list of Literal."""

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
        400 with the position of the mistake.
    """
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
    waiting, parts, items = [tree], 0, 0
    while waiting:  # no recursion: the depth is not checked yet
        node, parts = waiting.pop(), parts + 1
        if isinstance(node, Operation | Call):
            lists = [operand for operand in node.operands if isinstance(operand, list)]
            items += sum(map(len, lists))
            waiting += [operand for operand in node.operands if isinstance(operand, Node)]
    if parts > MAX_PARTS or items > MAX_ITEMS:
        most = f"at most {MAX_PARTS:,} parts and {MAX_ITEMS:,} values: ask in several calls"
        raise ApiError(400, f"the filter has {parts:,} parts and {items:,} values in lists; {most}")


def wrong(at: int, message: str, status: int = 400) -> ApiError:
    """Return the error that refuses a filter, with the position of the mistake."""
    return ApiError(status, f"filter, position {at}: {message}")


def _hint(text: str, at: int) -> str:
    if text[at : at + 1] == "=":
        return "; equality is written =="
    if text[at : at + 2] == "**":
        return "; use parentheses, (a ** b) ** c or a ** (b ** c): Milvus and Python read this differently"
    if text[at : at + 1] and text[at : at + 1] in "\"'\u201c\u201d\u2018\u2019":
        return "; a text needs straight quotes, one before and one after it"
    return ""


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Tree(), maybe_placeholders=False)


@v_args(inline=True)
class _Tree(Transformer):
    """Builds nodes while the text is read, without recursion: parentheses may be very deep."""

    def field(self, name: Token) -> Node:
        return Field(_at(name), str(name))

    def integer(self, token: Token) -> Node:
        if re.fullmatch(r"0\d+", token):
            raise wrong(_at(token), f"{token[:20]} would be octal in Milvus: write it without the leading 0")
        if len(token) > 80:  # more than 64 bits, even in binary
            raise wrong(_at(token), f"{token[:20]}... does not fit into 64 bits")
        return Literal(_at(token), int(token, base=0))

    def fraction(self, token: Token) -> Node:
        return Literal(_at(token), float(token))

    def text(self, token: Token) -> Node:
        return Literal(_at(token), _unescape(token))

    def boolean(self, token: Token) -> Node:
        return Literal(_at(token), token.lower() == "true")

    def path(self, name: Token, *keys: Literal) -> Node:
        return Path(_at(name), str(name), keys=[key.value for key in keys])

    def call(self, name: Token, *arguments: Any) -> Node:
        spelled = str(name).lower() if name.isupper() else str(name)
        return Call(_at(name), spelled, [part for part in arguments if part is not None])

    def exists(self, token: Token, operand: Node) -> Node:
        return Call(_at(token), "exists", [operand])

    def any_of(self, *parts: Node) -> Node:
        return Operation(parts[0].at, "or", list(parts))

    def all_of(self, *parts: Node) -> Node:
        return Operation(parts[0].at, "and", list(parts))

    def negate(self, token: Token, operand: Node) -> Node:
        return Operation(_at(token), "not", [operand])

    def compare(self, left: Node, sign: Token, right: Node) -> Node:
        return Operation(_at(sign), str(sign), [left, right])

    def between(self, low: Node, first: Token, middle: Node, second: Token, high: Node) -> Node:
        if not isinstance(middle, Field) or first[0] != second[0] or first[0] not in "<>":
            raise wrong(_at(second), "a chain is low < field < high or high > field > low; join others with and")
        return self.all_of(self.compare(low, first, middle), self.compare(middle, second, high))

    def items(self, *items: Node) -> list[Node]:
        return list(items)

    def is_in(self, left: Node, token: Token, items: list[Node]) -> Node:
        return Operation(_at(token), "in", [left, items])

    def is_not_in(self, left: Node, token: Token, items: list[Node]) -> Node:
        return self.negate(token, self.is_in(left, token, items))

    def like(self, left: Node, token: Token, pattern: Token) -> Node:
        return Operation(_at(token), "like", [left, self.text(pattern)])

    def not_like(self, left: Node, token: Token, pattern: Token) -> Node:
        return self.negate(token, self.like(left, token, pattern))

    def arithmetic(self, left: Node, sign: Token, right: Node) -> Node:
        if sign in FOLDED and _is_whole(left) and _is_whole(right) and (right.value or sign != "/"):
            # Here, for an engine might silently wrap the result.
            value = FOLDED[sign](left.value, right.value)
            if not fits(value):
                raise wrong(_at(sign), f"{left.value} {sign} {right.value} does not fit into 64 bits")
            return Literal(_at(sign), value)
        return Operation(_at(sign), str(sign), [left, right])

    def plus(self, _: Token, operand: Node) -> Node:
        return operand

    def minus(self, token: Token, operand: Node) -> Node:
        value = operand.value if isinstance(operand, Literal) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Literal(_at(token), -value)
        return Operation(_at(token), "-", [Literal(_at(token), 0), operand])


def _at(token: Token) -> int:
    return (token.start_pos or 0) + 1


def fits(value: int) -> bool:
    """Return whether 64 bits hold a whole number."""
    return -(2**63) <= value < 2**63


def _is_whole(node: Node) -> TypeGuard[Literal]:
    return isinstance(node, Literal) and type(node.value) is int and fits(node.value)


def _unescape(token: Token) -> str:
    r"""Resolve the escapes of a text in quotes; \ud83d\ude00, as JSON writes an emoji, becomes one letter."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code not in ESCAPES and len(code) == 1:
            raise wrong(_at(token) + match.start(), f"{match[0]} is not an escape: write a backslash as two, \\\\")
        return ESCAPES[code] if code in ESCAPES else chr(int(code[1:], 16))

    plain = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, token, flags=re.DOTALL)[1:-1]
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
