# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: b479b6a53ca3ac4c
# body: 97bcce9bc10f6e08
defmodule Fx.GenFixture.Objects.Point do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Point`: `new` gives a handle, which the other functions take.

  A point.

  Source: `gen_fixture/objects.py:128`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @type new_kwargs :: [{:y, integer()} | {:tags, [String.t()] | :py.ref()}]

  @doc ~S"""
      Point(x: int, y: int = 0, tags: list[str] = <factory>)

  Source: `gen_fixture/objects.py:128`
  """
  @spec new(integer(), new_kwargs(), opts()) :: Result.t(t())
  def new(x, kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Point", [x], kw, [:y, :tags], opts)

  @spec new!(integer(), new_kwargs(), opts()) :: t()
  def new!(x, kw \\ [], opts \\ []), do: Result.value!(new(x, kw, opts))

  @spec to_map(t(), opts()) :: Result.t(%{optional(String.t()) => integer() | [String.t()]})
  def to_map(self, opts \\ []), do: Wrapper.as_map(self, opts)

  @spec to_map!(t(), opts()) :: %{optional(String.t()) => integer() | [String.t()]}
  def to_map!(self, opts \\ []), do: Result.value!(to_map(self, opts))

  @doc ~S"""
      norm() -> float

  Source: `gen_fixture/objects.py:136`
  """
  @spec norm(t(), [], opts()) :: Result.t(Wrapper.real())
  def norm(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "norm", [], kw, [], opts)

  @spec norm!(t(), [], opts()) :: Wrapper.real()
  def norm!(self, kw \\ [], opts \\ []), do: Result.value!(norm(self, kw, opts))

  @spec tags(t(), opts()) :: Result.t([String.t()])
  def tags(self, opts \\ []), do: Wrapper.get(self, "tags", opts)

  @spec tags!(t(), opts()) :: [String.t()]
  def tags!(self, opts \\ []), do: Result.value!(tags(self, opts))

  @spec set_tags(t(), [String.t()] | :py.ref(), opts()) :: :ok | {:error, Py.Error.t()}
  def set_tags(self, value, opts \\ []), do: Wrapper.set(self, "tags", value, opts)

  @spec set_tags!(t(), [String.t()] | :py.ref(), opts()) :: :ok
  def set_tags!(self, value, opts \\ []), do: Result.value!(set_tags(self, value, opts))

  @spec x(t(), opts()) :: Result.t(integer())
  def x(self, opts \\ []), do: Wrapper.get(self, "x", opts)

  @spec x!(t(), opts()) :: integer()
  def x!(self, opts \\ []), do: Result.value!(x(self, opts))

  @spec set_x(t(), integer(), opts()) :: :ok | {:error, Py.Error.t()}
  def set_x(self, value, opts \\ []), do: Wrapper.set(self, "x", value, opts)

  @spec set_x!(t(), integer(), opts()) :: :ok
  def set_x!(self, value, opts \\ []), do: Result.value!(set_x(self, value, opts))

  @spec y(t(), opts()) :: Result.t(integer())
  def y(self, opts \\ []), do: Wrapper.get(self, "y", opts)

  @spec y!(t(), opts()) :: integer()
  def y!(self, opts \\ []), do: Result.value!(y(self, opts))

  @spec set_y(t(), integer(), opts()) :: :ok | {:error, Py.Error.t()}
  def set_y(self, value, opts \\ []), do: Wrapper.set(self, "y", value, opts)

  @spec set_y!(t(), integer(), opts()) :: :ok
  def set_y!(self, value, opts \\ []), do: Result.value!(set_y(self, value, opts))
end
