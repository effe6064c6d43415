# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 0369359f260f8c0f
# body: 4442442374cc22da
defmodule Fx.GenFixture.Objects do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python module `gen_fixture.objects`.

  Classes of every kind.

  Exceptions, the `type` of a `Py.Error`:

    * `ObjectsError`: Of this module.

  Source: `gen_fixture/objects.py`
  """

  @type opts :: Py.Options.call()

  @doc ~S"""
      color(name: str) -> Color

  Source: `gen_fixture/objects.py:182`
  """
  @spec color(String.t(), [], opts()) :: Result.t(Fx.GenFixture.Objects.Color.t())
  def color(name, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.objects", "color", [name], kw, [], opts)

  @spec color!(String.t(), [], opts()) :: Fx.GenFixture.Objects.Color.t()
  def color!(name, kw \\ [], opts \\ []), do: Result.value!(color(name, kw, opts))

  @doc ~S"""
      describe(point: Point) -> str

  Source: `gen_fixture/objects.py:186`
  """
  @spec describe(Fx.GenFixture.Objects.Point.t(), [], opts()) :: Result.t(String.t())
  def describe(point, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.objects", "describe", [point], kw, [], opts)

  @spec describe!(Fx.GenFixture.Objects.Point.t(), [], opts()) :: String.t()
  def describe!(point, kw \\ [], opts \\ []), do: Result.value!(describe(point, kw, opts))

  @doc ~S"""
      level(of: Level) -> Level

  Source: `gen_fixture/objects.py:178`
  """
  @spec level(Fx.GenFixture.Objects.Level.t() | integer(), [], opts()) :: Result.t(integer())
  def level(of, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.objects", "level", [of], kw, [], opts)

  @spec level!(Fx.GenFixture.Objects.Level.t() | integer(), [], opts()) :: integer()
  def level!(of, kw \\ [], opts \\ []), do: Result.value!(level(of, kw, opts))

  @doc ~S"""
      unsaid(*args, **kwargs)

  What it takes cannot be told.

  Source: `gen_fixture.objects`
  """
  @spec unsaid(list(), keyword(), opts()) :: Result.t()
  def unsaid(args, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.objects", "unsaid", args, kw, :any, opts)

  @spec unsaid!(list(), keyword(), opts()) :: term()
  def unsaid!(args, kw \\ [], opts \\ []), do: Result.value!(unsaid(args, kw, opts))
end
