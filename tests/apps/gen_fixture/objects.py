"""Classes of every kind."""

import asyncio
import dataclasses
import enum
from typing import ClassVar, List, Optional, Protocol


class Sized(Protocol):
    def __len__(self) -> int: ...


class Base:
    """What others extend."""

    def inherited(self):
        return "inherited"

    def overridden(self):
        return "base"


class Counter(Base):
    """Counts."""

    kind = "counter"
    limit: ClassVar[int] = 100
    made_by: Optional[str]

    class Limit:
        """Nested."""

        def __init__(self, value=5):
            self.value = value

        def get(self):
            return self.value

    def __init__(self, start: int = 0, *, step: int = 1):
        """Starts somewhere."""
        self._value = start
        self.step = step
        self.made_by = None

    def increment(self, times: int = 1) -> int:
        """Adds."""
        self._value += times * self.step
        return self._value

    def overridden(self):
        return "counter"

    def another(self) -> "Counter":
        return Counter(self._value, step=self.step)

    @property
    def value(self) -> int:
        """The count."""
        return self._value

    @value.setter
    def value(self, value: int):
        self._value = value

    @property
    def fixed(self):
        return "fixed"

    @classmethod
    def from_text(cls, text: str, *, step: int = 1) -> "Counter":
        """Another way to make one."""
        return cls(int(text), step=step)

    @staticmethod
    def add(a: int, b: int = 1) -> int:
        return a + b

    async def later(self, add=0) -> int:
        await asyncio.sleep(0)
        return self._value + add

    def upto(self, n, *, step=1):
        """A generator."""
        yield from range(self._value, n, step)

    async def aupto(self, n):
        for i in range(self._value, n):
            yield i

    def total(self, *numbers, start=0):
        return sum(numbers, start)

    def __call__(self, x):
        return self._value * x

    def __len__(self):
        return self._value

    def __getitem__(self, index):
        return self._value + index

    def __contains__(self, x):
        return x == self._value

    def __iter__(self):
        return iter(range(self._value))


# Classes that name each other, as those of frameworks do.
Base.favourite = Counter
Counter.fallback = Base


class Fine(Counter):
    """Has a nested class in place of that of its base."""

    class Limit(Counter.Limit):
        pass


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


@dataclasses.dataclass
class Point:
    """A point."""

    x: int
    y: int = 0
    tags: List[str] = dataclasses.field(default_factory=list)

    def norm(self) -> float:
        return (self.x**2 + self.y**2) ** 0.5


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str


class Color(enum.Enum):
    """Of paint."""

    RED = 1
    green = "g"

    def lower(self) -> str:
        return self.name.lower()


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class ObjectsError(Exception):
    """Of this module."""


class Unsaid:
    """What it takes cannot be told."""

    @property
    def __signature__(self):
        raise LookupError("signature")

    def __call__(self, *args):
        return list(args)


unsaid = Unsaid()


def level(of: Level) -> Level:
    return Level(of)


def color(name: str) -> Color:
    return Color[name]


def describe(point: Point) -> str:
    return f"{point.x},{point.y}"
