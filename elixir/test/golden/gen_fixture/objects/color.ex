# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 745f5d7828d6711d
# body: 205f61044d6bacf2
defmodule Fx.GenFixture.Objects.Color do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Color`, an enumeration: each member is a function that gives its handle.

  Of paint.

  Source: `gen_fixture/objects.py:145`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Color(value, /)

  Source: `gen_fixture/objects.py:145`
  """
  @spec new(term(), [], opts()) :: Result.t(t())
  def new(value, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Color", [value], kw, [], opts)

  @spec new!(term(), [], opts()) :: t()
  def new!(value, kw \\ [], opts \\ []), do: Result.value!(new(value, kw, opts))

  @spec red(opts()) :: Result.t(t())
  def red(opts \\ []), do: Wrapper.member("gen_fixture.objects", "Color.RED", opts)

  @spec red!(opts()) :: t()
  def red!(opts \\ []), do: Result.value!(red(opts))

  @spec green(opts()) :: Result.t(t())
  def green(opts \\ []), do: Wrapper.member("gen_fixture.objects", "Color.green", opts)

  @spec green!(opts()) :: t()
  def green!(opts \\ []), do: Result.value!(green(opts))

  @spec name(t(), opts()) :: Result.t()
  def name(self, opts \\ []), do: Wrapper.get(self, "name", opts)

  @spec name!(t(), opts()) :: term()
  def name!(self, opts \\ []), do: Result.value!(name(self, opts))

  @spec value(t(), opts()) :: Result.t()
  def value(self, opts \\ []), do: Wrapper.get(self, "value", opts)

  @spec value!(t(), opts()) :: term()
  def value!(self, opts \\ []), do: Result.value!(value(self, opts))

  @doc ~S"""
      lower() -> str

  Source: `gen_fixture/objects.py:151`
  """
  @spec lower(t(), [], opts()) :: Result.t(String.t())
  def lower(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "lower", [], kw, [], opts)

  @spec lower!(t(), [], opts()) :: String.t()
  def lower!(self, kw \\ [], opts \\ []), do: Result.value!(lower(self, kw, opts))
end
