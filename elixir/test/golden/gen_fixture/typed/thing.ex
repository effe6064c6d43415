# Made by `mix py.gen gen_fixture.typed --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 0bc1db3aa6777166
# body: 1d55f71518c6f3ab
defmodule Fx.GenFixture.Typed.Thing do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.typed.Thing`: `new` gives a handle, which the other functions take.

  Source: `gen_fixture/typed.py:16`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Thing(name: str)

  Source: `gen_fixture/typed.py:16`
  """
  @spec new(String.t(), [], opts()) :: Result.t(t())
  def new(name, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.typed", "Thing", [name], kw, [], opts)

  @spec new!(String.t(), [], opts()) :: t()
  def new!(name, kw \\ [], opts \\ []), do: Result.value!(new(name, kw, opts))

  @type get_kwargs :: [{:default, integer() | nil}]

  @doc ~S"""
      get(key: str, default: int | None = None) -> str | int | None
      get(key: str) -> str | None
      get(key: str, default: int) -> str | int

  Source: `gen_fixture/typed.py:24`
  """
  @spec get(t(), String.t(), get_kwargs(), opts()) :: Result.t(String.t() | integer() | nil)
  def get(self, key, kw \\ [], opts \\ []), do: Wrapper.method(self, "get", [key], kw, [:default], opts)

  @spec get!(t(), String.t(), get_kwargs(), opts()) :: String.t() | integer() | nil
  def get!(self, key, kw \\ [], opts \\ []), do: Result.value!(get(self, key, kw, opts))

  @doc ~S"""
  Source: `gen_fixture/typed.py:27`
  """
  @spec name(t(), opts()) :: Result.t(String.t())
  def name(self, opts \\ []), do: Wrapper.get(self, "name", opts)

  @spec name!(t(), opts()) :: String.t()
  def name!(self, opts \\ []), do: Result.value!(name(self, opts))

  @doc ~S"""
      rename(name: str) -> Thing

  Source: `gen_fixture/typed.py:20`
  """
  @spec rename(t(), String.t(), [], opts()) :: Result.t(Fx.GenFixture.Typed.Thing.t())
  def rename(self, name, kw \\ [], opts \\ []), do: Wrapper.method(self, "rename", [name], kw, [], opts)

  @spec rename!(t(), String.t(), [], opts()) :: Fx.GenFixture.Typed.Thing.t()
  def rename!(self, name, kw \\ [], opts \\ []), do: Result.value!(rename(self, name, kw, opts))
end
