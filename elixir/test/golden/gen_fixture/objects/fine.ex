# Made by `mix py.gen gen_fixture.objects --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: ca65cb8b4eb78ed0
# body: d920c2117881b170
defmodule Fx.GenFixture.Objects.Fine do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python class `gen_fixture.objects.Fine`: `new` gives a handle, which the other functions take.

  Has a nested class in place of that of its base.

  Source: `gen_fixture/objects.py:114`
  """

  @type opts :: Py.Options.call()

  @type t :: :py.ref()

  @type new_kwargs :: [{:start, integer()} | {:step, integer()}]

  @doc ~S"""
      Fine(start: int = 0, *, step: int = 1)

  Source: `gen_fixture/objects.py:114`
  """
  @spec new(new_kwargs(), opts()) :: Result.t(t())
  def new(kw \\ [], opts \\ []), do: Wrapper.new("gen_fixture.objects", "Fine", [], kw, [:start, :step], opts)

  @spec new!(new_kwargs(), opts()) :: t()
  def new!(kw \\ [], opts \\ []), do: Result.value!(new(kw, opts))

  @doc ~S"""
      __call__(x)

  Source: `gen_fixture/objects.py:93`
  """
  @spec call(t(), term(), [], opts()) :: Result.t()
  def call(self, x, kw \\ [], opts \\ []), do: Wrapper.method(self, "__call__", [x], kw, [], opts)

  @spec call!(t(), term(), [], opts()) :: term()
  def call!(self, x, kw \\ [], opts \\ []), do: Result.value!(call(self, x, kw, opts))

  @doc ~S"""
      __contains__(x)

  Source: `gen_fixture/objects.py:102`
  """
  @spec contains(t(), term(), opts()) :: Result.t()
  def contains(self, x, opts \\ []), do: Wrapper.method(self, "__contains__", [x], [], [], opts)

  @spec contains!(t(), term(), opts()) :: term()
  def contains!(self, x, opts \\ []), do: Result.value!(contains(self, x, opts))

  @doc ~S"""
      __getitem__(index)

  Source: `gen_fixture/objects.py:99`
  """
  @spec getitem(t(), term(), opts()) :: Result.t()
  def getitem(self, index, opts \\ []), do: Wrapper.method(self, "__getitem__", [index], [], [], opts)

  @spec getitem!(t(), term(), opts()) :: term()
  def getitem!(self, index, opts \\ []), do: Result.value!(getitem(self, index, opts))

  @doc ~S"""
      __iter__()

  Source: `gen_fixture/objects.py:105`
  """
  @spec iter!(t(), Py.Options.stream()) :: Enumerable.t()
  def iter!(self, opts \\ []), do: Wrapper.method_stream!(self, "__iter__", [], [], [], opts)

  @doc ~S"""
      __len__()

  Source: `gen_fixture/objects.py:96`
  """
  @spec len(t(), opts()) :: Result.t()
  def len(self, opts \\ []), do: Wrapper.method(self, "__len__", [], [], [], opts)

  @spec len!(t(), opts()) :: term()
  def len!(self, opts \\ []), do: Result.value!(len(self, opts))

  @type add_kwargs :: [{:b, integer()}]

  @doc ~S"""
      add(a: int, b: int = 1) -> int

  Source: `gen_fixture/objects.py:74`
  """
  @spec add(integer(), add_kwargs(), opts()) :: Result.t(integer())
  def add(a, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.objects", "Fine.add", [a], kw, [:b], opts)

  @spec add!(integer(), add_kwargs(), opts()) :: integer()
  def add!(a, kw \\ [], opts \\ []), do: Result.value!(add(a, kw, opts))

  @doc ~S"""
      another() -> Counter

  Source: `gen_fixture/objects.py:53`
  """
  @spec another(t(), [], opts()) :: Result.t(Fx.GenFixture.Objects.Counter.t())
  def another(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "another", [], kw, [], opts)

  @spec another!(t(), [], opts()) :: Fx.GenFixture.Objects.Counter.t()
  def another!(self, kw \\ [], opts \\ []), do: Result.value!(another(self, kw, opts))

  @doc ~S"""
      aupto(n)

  Source: `gen_fixture/objects.py:86`
  """
  @spec aupto!(t(), term(), [], Py.Options.stream()) :: Enumerable.t()
  def aupto!(self, n, kw \\ [], opts \\ []), do: Wrapper.method_stream!(self, "aupto", [n], kw, [], opts)

  @spec fallback(t(), opts()) :: Result.t(:py.ref())
  def fallback(self, opts \\ []), do: Wrapper.get(self, "fallback", opts)

  @spec fallback!(t(), opts()) :: :py.ref()
  def fallback!(self, opts \\ []), do: Result.value!(fallback(self, opts))

  @spec favourite(t(), opts()) :: Result.t(:py.ref())
  def favourite(self, opts \\ []), do: Wrapper.get(self, "favourite", opts)

  @spec favourite!(t(), opts()) :: :py.ref()
  def favourite!(self, opts \\ []), do: Result.value!(favourite(self, opts))

  @doc ~S"""
  Source: `gen_fixture/objects.py:65`
  """
  @spec fixed(t(), opts()) :: Result.t()
  def fixed(self, opts \\ []), do: Wrapper.get(self, "fixed", opts)

  @spec fixed!(t(), opts()) :: term()
  def fixed!(self, opts \\ []), do: Result.value!(fixed(self, opts))

  @type from_text_kwargs :: [{:step, integer()}]

  @doc ~S"""
      from_text(text: str, *, step: int = 1) -> Counter

  Another way to make one.

  Source: `gen_fixture/objects.py:69`
  """
  @spec from_text(String.t(), from_text_kwargs(), opts()) :: Result.t(Fx.GenFixture.Objects.Counter.t())
  def from_text(text, kw \\ [], opts \\ []),
    do: Wrapper.call("gen_fixture.objects", "Fine.from_text", [text], kw, [:step], opts)

  @spec from_text!(String.t(), from_text_kwargs(), opts()) :: Fx.GenFixture.Objects.Counter.t()
  def from_text!(text, kw \\ [], opts \\ []), do: Result.value!(from_text(text, kw, opts))

  @type increment_kwargs :: [{:times, integer()}]

  @doc ~S"""
      increment(times: int = 1) -> int

  Adds.

  Source: `gen_fixture/objects.py:45`
  """
  @spec increment(t(), increment_kwargs(), opts()) :: Result.t(integer())
  def increment(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "increment", [], kw, [:times], opts)

  @spec increment!(t(), increment_kwargs(), opts()) :: integer()
  def increment!(self, kw \\ [], opts \\ []), do: Result.value!(increment(self, kw, opts))

  @doc ~S"""
      inherited()

  Source: `gen_fixture/objects.py:16`
  """
  @spec inherited(t(), [], opts()) :: Result.t()
  def inherited(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "inherited", [], kw, [], opts)

  @spec inherited!(t(), [], opts()) :: term()
  def inherited!(self, kw \\ [], opts \\ []), do: Result.value!(inherited(self, kw, opts))

  @spec kind(t(), opts()) :: Result.t(String.t())
  def kind(self, opts \\ []), do: Wrapper.get(self, "kind", opts)

  @spec kind!(t(), opts()) :: String.t()
  def kind!(self, opts \\ []), do: Result.value!(kind(self, opts))

  @doc ~S"""
      later(add=0) -> int

  Source: `gen_fixture/objects.py:78`
  """
  @spec later(t(), keyword(), opts()) :: Result.t(integer())
  def later(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "later", [], kw, [:add], opts)

  @spec later!(t(), keyword(), opts()) :: integer()
  def later!(self, kw \\ [], opts \\ []), do: Result.value!(later(self, kw, opts))

  @spec limit(t(), opts()) :: Result.t(integer())
  def limit(self, opts \\ []), do: Wrapper.get(self, "limit", opts)

  @spec limit!(t(), opts()) :: integer()
  def limit!(self, opts \\ []), do: Result.value!(limit(self, opts))

  @spec set_limit(t(), integer(), opts()) :: :ok | {:error, Py.Error.t()}
  def set_limit(self, value, opts \\ []), do: Wrapper.set(self, "limit", value, opts)

  @spec set_limit!(t(), integer(), opts()) :: :ok
  def set_limit!(self, value, opts \\ []), do: Result.value!(set_limit(self, value, opts))

  @spec made_by(t(), opts()) :: Result.t(String.t() | nil)
  def made_by(self, opts \\ []), do: Wrapper.get(self, "made_by", opts)

  @spec made_by!(t(), opts()) :: String.t() | nil
  def made_by!(self, opts \\ []), do: Result.value!(made_by(self, opts))

  @spec set_made_by(t(), String.t() | nil, opts()) :: :ok | {:error, Py.Error.t()}
  def set_made_by(self, value, opts \\ []), do: Wrapper.set(self, "made_by", value, opts)

  @spec set_made_by!(t(), String.t() | nil, opts()) :: :ok
  def set_made_by!(self, value, opts \\ []), do: Result.value!(set_made_by(self, value, opts))

  @doc ~S"""
      overridden()

  Source: `gen_fixture/objects.py:50`
  """
  @spec overridden(t(), [], opts()) :: Result.t()
  def overridden(self, kw \\ [], opts \\ []), do: Wrapper.method(self, "overridden", [], kw, [], opts)

  @spec overridden!(t(), [], opts()) :: term()
  def overridden!(self, kw \\ [], opts \\ []), do: Result.value!(overridden(self, kw, opts))

  @doc ~S"""
      total(*numbers, start=0)

  Source: `gen_fixture/objects.py:90`
  """
  @spec total(t(), list(), keyword(), opts()) :: Result.t()
  def total(self, numbers, kw \\ [], opts \\ []), do: Wrapper.method(self, "total", numbers, kw, [:start], opts)

  @spec total!(t(), list(), keyword(), opts()) :: term()
  def total!(self, numbers, kw \\ [], opts \\ []), do: Result.value!(total(self, numbers, kw, opts))

  @doc ~S"""
      upto(n, *, step=1)

  A generator.

  Source: `gen_fixture/objects.py:82`
  """
  @spec upto!(t(), term(), keyword(), Py.Options.stream()) :: Enumerable.t()
  def upto!(self, n, kw \\ [], opts \\ []), do: Wrapper.method_stream!(self, "upto", [n], kw, [:step], opts)

  @doc ~S"""
  The count.

  Source: `gen_fixture/objects.py:56`
  """
  @spec value(t(), opts()) :: Result.t(integer())
  def value(self, opts \\ []), do: Wrapper.get(self, "value", opts)

  @spec value!(t(), opts()) :: integer()
  def value!(self, opts \\ []), do: Result.value!(value(self, opts))

  @spec set_value(t(), integer(), opts()) :: :ok | {:error, Py.Error.t()}
  def set_value(self, value, opts \\ []), do: Wrapper.set(self, "value", value, opts)

  @spec set_value!(t(), integer(), opts()) :: :ok
  def set_value!(self, value, opts \\ []), do: Result.value!(set_value(self, value, opts))
end
