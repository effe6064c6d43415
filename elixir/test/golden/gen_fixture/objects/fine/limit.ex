# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: d298da9be0dbd6dd
# body: 65d73747af503640
defmodule Fx.GenFixture.Objects.Fine.Limit do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Fine.Limit`: `new` gives a handle, which the other functions take.

  Source: `gen_fixture/objects.py:117`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Fine.Limit(value=5)

  Source: `gen_fixture/objects.py:117`
  """
  @spec new(keyword(), opts()) :: Result.t(t())
  def new(kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Fine.Limit", [], kw, [:value], opts)

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
