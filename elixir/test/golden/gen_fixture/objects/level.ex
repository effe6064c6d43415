# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: db774e5befd603d2
# body: 0fdf58b81ef74886
defmodule Fx.GenFixture.Objects.Level do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Level`, an enumeration: each member is a function that gives its handle.

  Source: `gen_fixture/objects.py:155`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @typedoc "What it is as a term."
  @type value :: integer()

  @doc ~S"""
      Level(value, /)

  Source: `gen_fixture/objects.py:155`
  """
  @spec new(term(), [], opts()) :: Result.t(t())
  def new(value, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Level", [value], kw, [], opts)

  @spec new!(term(), [], opts()) :: t()
  def new!(value, kw \\ [], opts \\ []), do: Result.value!(new(value, kw, opts))

  @spec low(opts()) :: Result.t(t())
  def low(opts \\ []), do: Wrapper.member("gen_fixture.objects", "Level.LOW", opts)

  @spec low!(opts()) :: t()
  def low!(opts \\ []), do: Result.value!(low(opts))

  @spec high(opts()) :: Result.t(t())
  def high(opts \\ []), do: Wrapper.member("gen_fixture.objects", "Level.HIGH", opts)

  @spec high!(opts()) :: t()
  def high!(opts \\ []), do: Result.value!(high(opts))

  @spec name(t(), opts()) :: Result.t()
  def name(self, opts \\ []), do: Wrapper.get(self, "name", opts)

  @spec name!(t(), opts()) :: term()
  def name!(self, opts \\ []), do: Result.value!(name(self, opts))

  @spec value(t(), opts()) :: Result.t()
  def value(self, opts \\ []), do: Wrapper.get(self, "value", opts)

  @spec value!(t(), opts()) :: term()
  def value!(self, opts \\ []), do: Result.value!(value(self, opts))
end
