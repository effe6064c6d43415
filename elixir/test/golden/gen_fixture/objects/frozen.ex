# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: b11ff9f6c15b7f53
# body: 3b1ea05eb99fbe63
defmodule Fx.GenFixture.Objects.Frozen do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Frozen`: `new` gives a handle, which the other functions take.

  Source: `gen_fixture/objects.py:140`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @doc ~S"""
      Frozen(name: str)

  Source: `gen_fixture/objects.py:140`
  """
  @spec new(String.t(), [], opts()) :: Result.t(t())
  def new(name, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Frozen", [name], kw, [], opts)

  @spec new!(String.t(), [], opts()) :: t()
  def new!(name, kw \\ [], opts \\ []), do: Result.value!(new(name, kw, opts))

  @spec to_map(t(), opts()) :: Result.t(%{optional(String.t()) => String.t()})
  def to_map(self, opts \\ []), do: Wrapper.as_map(self, opts)

  @spec to_map!(t(), opts()) :: %{optional(String.t()) => String.t()}
  def to_map!(self, opts \\ []), do: Result.value!(to_map(self, opts))

  @spec name(t(), opts()) :: Result.t(String.t())
  def name(self, opts \\ []), do: Wrapper.get(self, "name", opts)

  @spec name!(t(), opts()) :: String.t()
  def name!(self, opts \\ []), do: Result.value!(name(self, opts))
end
