# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 4c6cc625d3a28ad6
# body: 2c86890766b744e7
defmodule Fx.GenFixture.Objects.Slotted do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Slotted`: `new` gives a handle, which the other functions take.

  Source: `gen_fixture/objects.py:121`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Slotted(x)

  Source: `gen_fixture/objects.py:121`
  """
  @spec new(term(), [], opts()) :: Result.t(t())
  def new(x, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Slotted", [x], kw, [], opts)

  @spec new!(term(), [], opts()) :: t()
  def new!(x, kw \\ [], opts \\ []), do: Result.value!(new(x, kw, opts))

  @doc ~S"""
  Source: `gen_fixture.objects`
  """
  @spec x(t(), opts()) :: Result.t()
  def x(self, opts \\ []), do: Wrapper.get(self, "x", opts)

  @spec x!(t(), opts()) :: term()
  def x!(self, opts \\ []), do: Result.value!(x(self, opts))
end
