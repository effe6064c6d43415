"""Annotations, postponed and not, which say the same."""

from __future__ import annotations

from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypedDict,
    Union,
    overload,
)

from gen_fixture import objects

__all__ = ["Movie", "Pair", "both", "call", "either", "iterate", "mapping", "movie", "nested", "numbers", "optional", "pair", "point", "scalars", "sequence", "sized", "text", "tuples"]


class Pair(NamedTuple):
    """Two."""

    left: int
    right: float = 0.5


class Movie(TypedDict, total=False):
    """A dict."""

    title: str
    year: int


def scalars(a: int, b: float, c: str, d: bytes, e: bool, f: None = None) -> Tuple[int, float, str, bytes, bool, None]:
    return (a, b, c, d, e, f)


def optional(x: Optional[int] = None, y: int | str | None = None) -> Optional[int]:
    return x


def either(x: Union[int, str]) -> int | str:
    return x


def text(mode: Literal["r", "w", 1, True, None]) -> Literal["r", "w"]:
    return "w" if mode == "w" else "r"


def sequence(x: Sequence[int], y: Iterable[str] = ()) -> List[int]:
    return [*x, *map(int, y)]


def tuples(x: Tuple[int, ...], y: tuple[int, str]) -> tuple[str, ...]:
    return (*map(str, x), *map(str, y))


def mapping(x: Mapping[str, int], y: Dict[str, Any] | None = None) -> dict[str, list[int]]:
    return {key: [value] for key, value in x.items()}


def nested(x: list[dict[str, tuple[int, ...] | None]]) -> int:
    return len(x)


def call(f: Callable[[int], int], x: int) -> int:
    return f(x)


def iterate(n: int) -> Iterator[int]:
    return iter(range(n))


def movie(m: Movie) -> Movie:
    return m


def pair(p: Pair) -> Pair:
    return Pair(*p)


def point(p: objects.Point) -> objects.Point:
    return p


def numbers(*values: int, **named: float) -> float:
    return float(sum(values) + sum(named.values()))


@overload
def both(x: int) -> int: ...
@overload
def both(x: str, times: int = ...) -> str: ...
def both(x, times=1):
    """One of two."""
    return x * times


def sized(x: objects.Sized) -> int:
    return len(x)
