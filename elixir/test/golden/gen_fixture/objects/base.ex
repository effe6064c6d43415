# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 7a00c3cb1c6f5bfe
# body: 58b80e4c04dae5bf
defmodule Fx.GenFixture.Objects.Base do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Base`: `new` gives a handle, which the other functions take.

  What others extend.

  Source: `gen_fixture/objects.py:13`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Base()

  Source: `gen_fixture/objects.py:13`
  """
  @spec new([], opts()) :: Result.t(t())
  def new(kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Base", [], kw, [], opts)

  @spec new!([], opts()) :: t()
  def new!(kw \\ [], opts \\ []), do: Result.value!(new(kw, opts))

  @spec favourite(t(), opts()) :: Result.t(:py.ref())
  def favourite(self, opts \\ []), do: Wrapper.get(self, "favourite", opts)

  @spec favourite!(t(), opts()) :: :py.ref()
  def favourite!(self, opts \\ []), do: Result.value!(favourite(self, opts))

  @doc ~S"""
      inherited()

  Source: `gen_fixture/objects.py:16`
  """
  @spec inherited(t(), [], opts()) :: Result.t()
  def inherited(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "inherited", [], kw, [], opts)

  @spec inherited!(t(), [], opts()) :: term()
  def inherited!(self, kw \\ [], opts \\ []), do: Result.value!(inherited(self, kw, opts))

  @doc ~S"""
      overridden()

  Source: `gen_fixture/objects.py:19`
  """
  @spec overridden(t(), [], opts()) :: Result.t()
  def overridden(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "overridden", [], kw, [], opts)

  @spec overridden!(t(), [], opts()) :: term()
  def overridden!(self, kw \\ [], opts \\ []), do: Result.value!(overridden(self, kw, opts))
end
