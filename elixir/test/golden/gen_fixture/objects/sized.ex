# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 9dab14b685d09856
# body: 7bc9dd03a1b9af0f
defmodule Fx.GenFixture.Objects.Sized do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Sized`: `new` gives a handle, which the other functions take.

  Source: `gen_fixture/objects.py:9`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Sized(*args, **kwargs)

  Source: `gen_fixture/objects.py:9`
  """
  @spec new(list(), keyword(), opts()) :: Result.t(t())
  def new(args, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Sized", args, kw, :any, opts)

  @spec new!(list(), keyword(), opts()) :: t()
  def new!(args, kw \\ [], opts \\ []), do: Result.value!(new(args, kw, opts))

  @doc ~S"""
      __len__() -> int

  Source: `gen_fixture/objects.py:10`
  """
  @spec len(t(), opts()) :: Result.t(integer())
  def len(self, opts \\ []), do: Wrapper.method(self, "__len__", [], [], [], opts)

  @spec len!(t(), opts()) :: integer()
  def len!(self, opts \\ []), do: Result.value!(len(self, opts))
end
