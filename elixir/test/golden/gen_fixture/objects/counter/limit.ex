# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 76f1d863fe6dd8c6
# body: f4e9b53e5e90d395
defmodule Fx.GenFixture.Objects.Counter.Limit do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Counter.Limit`: `new` gives a handle, which the other functions take.

  Nested.

  Source: `gen_fixture/objects.py:30`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Counter.Limit(value=5)

  Source: `gen_fixture/objects.py:30`
  """
  @spec new(keyword(), opts()) :: Result.t(t())
  def new(kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Counter.Limit", [], kw, [:value], opts)

  @spec new!(keyword(), opts()) :: t()
  def new!(kw \\ [], opts \\ []), do: Result.value!(new(kw, opts))

  @doc ~S"""
      get()

  Source: `gen_fixture/objects.py:36`
  """
  @spec get(t(), [], opts()) :: Result.t()
  def get(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "get", [], kw, [], opts)

  @spec get!(t(), [], opts()) :: term()
  def get!(self, kw \\ [], opts \\ []), do: Result.value!(get(self, kw, opts))
end
