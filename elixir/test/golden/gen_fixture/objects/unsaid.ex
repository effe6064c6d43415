# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 36783d679d421167
# body: 2365b0241c2b4e97
defmodule Fx.GenFixture.Objects.Unsaid do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Unsaid`: `new` gives a handle, which the other functions take.

  What it takes cannot be told.

  Source: `gen_fixture/objects.py:164`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Unsaid()

  Source: `gen_fixture/objects.py:164`
  """
  @spec new([], opts()) :: Result.t(t())
  def new(kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Unsaid", [], kw, [], opts)

  @spec new!([], opts()) :: t()
  def new!(kw \\ [], opts \\ []), do: Result.value!(new(kw, opts))

  @doc ~S"""
      __call__(*args)

  Source: `gen_fixture/objects.py:171`
  """
  @spec call(t(), list(), [], opts()) :: Result.t()
  def call(self, args, kw \\ [], opts \\ []), do: Wrapper.method(self, "__call__", args, kw, [], opts)

  @spec call!(t(), list(), [], opts()) :: term()
  def call!(self, args, kw \\ [], opts \\ []), do: Result.value!(call(self, args, kw, opts))
end
