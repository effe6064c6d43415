# Made by `mix py.gen gen_fixture.annotated --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 6a8854bf93d93309
# body: d8046d390db512c7
defmodule Fx.GenFixture.Annotated do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python module `gen_fixture.annotated`.

  Annotations, postponed and not, which say the same.

  Source: `gen_fixture/annotated.py`
  """

  @type opts :: Py.Options.call()

  @typedoc "Dict with the keys `title` (optional), `year` (optional)."
  @type movie :: %{optional(String.t() | atom()) => String.t() | integer()}

  @type both_kwargs :: [{:times, integer()}]

  @doc ~S"""
      both(x: int | str, times: int = 1) -> int | str
      both(x: int) -> int
      both(x: str, times: int = ...) -> str

  One of two.

  Source: `gen_fixture/annotated.py:102`
  """
  @spec both(integer() | String.t(), both_kwargs(), opts()) :: Result.t(integer() | String.t())
  def both(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "both", [x], kw, [:times], opts)

  @spec both!(integer() | String.t(), both_kwargs(), opts()) :: integer() | String.t()
  def both!(x, kw \\ [], opts \\ []), do: Result.value!(both(x, kw, opts))

  @doc ~S"""
      call(f: Callable, x: int) -> int

  Source: `gen_fixture/annotated.py:74`
  """
  @spec call(:py.ref(), integer(), [], opts()) :: Result.t(integer())
  def call(f, x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "call", [f, x], kw, [], opts)

  @spec call!(:py.ref(), integer(), [], opts()) :: integer()
  def call!(f, x, kw \\ [], opts \\ []), do: Result.value!(call(f, x, kw, opts))

  @doc ~S"""
      either(x: int | str) -> int | str

  Source: `gen_fixture/annotated.py:50`
  """
  @spec either(integer() | String.t(), [], opts()) :: Result.t(integer() | String.t())
  def either(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "either", [x], kw, [], opts)

  @spec either!(integer() | String.t(), [], opts()) :: integer() | String.t()
  def either!(x, kw \\ [], opts \\ []), do: Result.value!(either(x, kw, opts))

  @doc ~S"""
      iterate(n: int) -> Iterator[int]

  Source: `gen_fixture/annotated.py:78`
  """
  @spec iterate!(integer(), [], Py.Options.stream()) :: Enumerable.t()
  def iterate!(n, kw \\ [], opts \\ []), do: Wrapper.stream!("gen_fixture.annotated", "iterate", [n], kw, [], opts)

  @type mapping_kwargs :: [{:y, %{optional(String.t() | atom()) => term()} | :py.ref() | nil}]

  @doc ~S"""
      mapping(x: dict[str, int], y: dict[str, Any] | None = None) -> dict[str, list[int]]

  Source: `gen_fixture/annotated.py:66`
  """
  @spec mapping(%{optional(String.t() | atom()) => integer()} | :py.ref(), mapping_kwargs(), opts()) ::
          Result.t(%{optional(String.t()) => [integer()]})
  def mapping(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "mapping", [x], kw, [:y], opts)

  @spec mapping!(%{optional(String.t() | atom()) => integer()} | :py.ref(), mapping_kwargs(), opts()) :: %{
          optional(String.t()) => [integer()]
        }
  def mapping!(x, kw \\ [], opts \\ []), do: Result.value!(mapping(x, kw, opts))

  @doc ~S"""
      movie(m: Movie) -> Movie

  Source: `gen_fixture/annotated.py:82`
  """
  @spec movie(Fx.GenFixture.Annotated.movie() | :py.ref(), [], opts()) :: Result.t(Fx.GenFixture.Annotated.movie())
  def movie(m, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "movie", [m], kw, [], opts)

  @spec movie!(Fx.GenFixture.Annotated.movie() | :py.ref(), [], opts()) :: Fx.GenFixture.Annotated.movie()
  def movie!(m, kw \\ [], opts \\ []), do: Result.value!(movie(m, kw, opts))

  @doc ~S"""
      nested(x: list[dict[str, tuple[int, ...] | None]]) -> int

  Source: `gen_fixture/annotated.py:70`
  """
  @spec nested([%{optional(String.t() | atom()) => tuple() | :py.ref() | nil} | :py.ref()] | :py.ref(), [], opts()) ::
          Result.t(integer())
  def nested(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "nested", [x], kw, [], opts)

  @spec nested!([%{optional(String.t() | atom()) => tuple() | :py.ref() | nil} | :py.ref()] | :py.ref(), [], opts()) ::
          integer()
  def nested!(x, kw \\ [], opts \\ []), do: Result.value!(nested(x, kw, opts))

  @doc ~S"""
      numbers(*values: int, **named: float) -> float

  Source: `gen_fixture/annotated.py:94`
  """
  @spec numbers([integer()], keyword(), opts()) :: Result.t(Wrapper.real())
  def numbers(values, kw \\ [], opts \\ []),
    do: Wrapper.call("gen_fixture.annotated", "numbers", values, kw, :any, opts)

  @spec numbers!([integer()], keyword(), opts()) :: Wrapper.real()
  def numbers!(values, kw \\ [], opts \\ []), do: Result.value!(numbers(values, kw, opts))

  @type optional_kwargs :: [{:x, integer() | nil} | {:y, integer() | String.t() | nil}]

  @doc ~S"""
      optional(x: int | None = None, y: int | str | None = None) -> int | None

  Source: `gen_fixture/annotated.py:46`
  """
  @spec optional(optional_kwargs(), opts()) :: Result.t(integer() | nil)
  def optional(kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "optional", [], kw, [:x, :y], opts)

  @spec optional!(optional_kwargs(), opts()) :: integer() | nil
  def optional!(kw \\ [], opts \\ []), do: Result.value!(optional(kw, opts))

  @doc ~S"""
      pair(p: Pair) -> Pair

  Source: `gen_fixture/annotated.py:86`
  """
  @spec pair(Fx.GenFixture.Annotated.Pair.t() | {integer(), number()} | :py.ref(), [], opts()) ::
          Result.t({integer(), Wrapper.real()})
  def pair(p, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "pair", [p], kw, [], opts)

  @spec pair!(Fx.GenFixture.Annotated.Pair.t() | {integer(), number()} | :py.ref(), [], opts()) ::
          {integer(), Wrapper.real()}
  def pair!(p, kw \\ [], opts \\ []), do: Result.value!(pair(p, kw, opts))

  @doc ~S"""
      point(p: Point) -> Point

  Source: `gen_fixture/annotated.py:90`
  """
  @spec point(:py.ref(), [], opts()) :: Result.t(:py.ref())
  def point(p, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "point", [p], kw, [], opts)

  @spec point!(:py.ref(), [], opts()) :: :py.ref()
  def point!(p, kw \\ [], opts \\ []), do: Result.value!(point(p, kw, opts))

  @type scalars_kwargs :: [{:f, nil}]

  @doc ~S"""
      scalars(a: int, b: float, c: str, d: bytes, e: bool, f: None = None) -> tuple[int, float, str, bytes, bool, None]

  Source: `gen_fixture/annotated.py:42`
  """
  @spec scalars(integer(), number(), String.t(), binary() | {:bytes, binary()}, boolean(), scalars_kwargs(), opts()) ::
          Result.t({integer(), Wrapper.real(), String.t(), binary(), boolean(), nil})
  def scalars(a, b, c, d, e, kw \\ [], opts \\ []),
    do: Wrapper.call("gen_fixture.annotated", "scalars", [a, b, c, d, e], kw, [:f], opts)

  @spec scalars!(integer(), number(), String.t(), binary() | {:bytes, binary()}, boolean(), scalars_kwargs(), opts()) ::
          {integer(), Wrapper.real(), String.t(), binary(), boolean(), nil}
  def scalars!(a, b, c, d, e, kw \\ [], opts \\ []), do: Result.value!(scalars(a, b, c, d, e, kw, opts))

  @type sequence_kwargs :: [{:y, [String.t()] | :py.ref()}]

  @doc ~S"""
      sequence(x: list[int], y: Iterable[str] = ()) -> list[int]

  Source: `gen_fixture/annotated.py:58`
  """
  @spec sequence([integer()] | :py.ref(), sequence_kwargs(), opts()) :: Result.t([integer()])
  def sequence(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "sequence", [x], kw, [:y], opts)

  @spec sequence!([integer()] | :py.ref(), sequence_kwargs(), opts()) :: [integer()]
  def sequence!(x, kw \\ [], opts \\ []), do: Result.value!(sequence(x, kw, opts))

  @doc ~S"""
      sized(x) -> int

  Source: `gen_fixture/annotated.py:107`
  """
  @spec sized(term(), [], opts()) :: Result.t(integer())
  def sized(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "sized", [x], kw, [], opts)

  @spec sized!(term(), [], opts()) :: integer()
  def sized!(x, kw \\ [], opts \\ []), do: Result.value!(sized(x, kw, opts))

  @doc ~S"""
      text(mode: Literal['r', 'w', 1, True, None]) -> Literal['r', 'w']

  Source: `gen_fixture/annotated.py:54`
  """
  @spec text(:r | String.t() | :w | 1 | true | nil, [], opts()) :: Result.t(String.t())
  def text(mode, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "text", [mode], kw, [], opts)

  @spec text!(:r | String.t() | :w | 1 | true | nil, [], opts()) :: String.t()
  def text!(mode, kw \\ [], opts \\ []), do: Result.value!(text(mode, kw, opts))

  @doc ~S"""
      tuples(x: tuple[int, ...], y: tuple[int, str]) -> tuple[str, ...]

  Source: `gen_fixture/annotated.py:62`
  """
  @spec tuples(tuple() | :py.ref(), {integer(), String.t()} | :py.ref(), [], opts()) :: Result.t(tuple())
  def tuples(x, y, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.annotated", "tuples", [x, y], kw, [], opts)

  @spec tuples!(tuple() | :py.ref(), {integer(), String.t()} | :py.ref(), [], opts()) :: tuple()
  def tuples!(x, y, kw \\ [], opts \\ []), do: Result.value!(tuples(x, y, kw, opts))
end
