# Made by `mix py.gen gen_fixture.annotated --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: c827845c795e9b17
# body: fd33036d3aa92032
defmodule Fx.GenFixture.Annotated.Pair do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.annotated.Pair`: `new` gives a handle, which the other functions take.

  Two.

  Source: `gen_fixture/annotated.py:28`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @typedoc "What it is as a term."
  @type value :: {integer(), Wrapper.real()}

  @type new_kwargs :: [{:right, number()}]

  @doc ~S"""
      Pair(left: int, right: float = 0.5)

  Source: `gen_fixture/annotated.py:28`
  """
  @spec new(integer(), new_kwargs(), opts()) :: Result.t(t())
  def new(left, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.annotated", "Pair", [left], kw, [:right], opts)

  @spec new!(integer(), new_kwargs(), opts()) :: t()
  def new!(left, kw \\ [], opts \\ []), do: Result.value!(new(left, kw, opts))

  @spec left(t(), opts()) :: Result.t(integer())
  def left(self, opts \\ []), do: Wrapper.get(self, "left", opts)

  @spec left!(t(), opts()) :: integer()
  def left!(self, opts \\ []), do: Result.value!(left(self, opts))

  @spec right(t(), opts()) :: Result.t(Wrapper.real())
  def right(self, opts \\ []), do: Wrapper.get(self, "right", opts)

  @spec right!(t(), opts()) :: Wrapper.real()
  def right!(self, opts \\ []), do: Result.value!(right(self, opts))
end
