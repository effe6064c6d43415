# Made by `mix py.gen gen_fixture --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 462ede58daac6db2
# body: 3f8f2dcb3c77ed0e
defmodule Fx.GenFixture do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python module `gen_fixture`.

  Every shape of function that wrappers are made of.

  Text that is awkward elsewhere: `back` quotes, "quotes", \n, #{no}, <tag> & @doc.

  Exceptions, the `type` of a `Py.Error`:

    * `FixtureError`: Raised on purpose.

  Source: `gen_fixture/__init__.py`
  """

  @type opts :: Py.Options.call()

  @spec letters(opts()) :: Result.t(tuple())
  def letters(opts \\ []), do: Wrapper.value("gen_fixture", "LETTERS", opts)

  @spec letters!(opts()) :: tuple()
  def letters!(opts \\ []), do: Result.value!(letters(opts))

  @spec limit(opts()) :: Result.t(integer())
  def limit(opts \\ []), do: Wrapper.value("gen_fixture", "LIMIT", opts)

  @spec limit!(opts()) :: integer()
  def limit!(opts \\ []), do: Result.value!(limit(opts))

  @doc ~S"""
      Shout(text)

  Source: `gen_fixture/__init__.py:78`
  """
  @spec shout(term(), [], opts()) :: Result.t()
  def shout(text, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "Shout", [text], kw, [], opts)

  @spec shout!(term(), [], opts()) :: term()
  def shout!(text, kw \\ [], opts \\ []), do: Result.value!(shout(text, kw, opts))

  @doc ~S"""
      acount(n)

  An asynchronous generator.

  Source: `gen_fixture/__init__.py:118`
  """
  @spec acount!(term(), [], Py.Options.stream()) :: Enumerable.t()
  def acount!(n, kw \\ [], opts \\ []), do: Wrapper.stream!("gen_fixture", "acount", [n], kw, [], opts)

  @doc ~S"""
      anything(**options)

  Source: `gen_fixture/__init__.py:60`
  """
  @spec anything(keyword(), opts()) :: Result.t()
  def anything(kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "anything", [], kw, :any, opts)

  @spec anything!(keyword(), opts()) :: term()
  def anything!(kw \\ [], opts \\ []), do: Result.value!(anything(kw, opts))

  @doc ~S"""
      cached(x=1)

  Source: `gen_fixture/__init__.py:82`
  """
  @spec cached(keyword(), opts()) :: Result.t()
  def cached(kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "cached", [], kw, [:x], opts)

  @spec cached!(keyword(), opts()) :: term()
  def cached!(kw \\ [], opts \\ []), do: Result.value!(cached(kw, opts))

  @doc ~S"""
      count(n, *, step=1)

  A generator.

  Source: `gen_fixture/__init__.py:105`
  """
  @spec count!(term(), keyword(), Py.Options.stream()) :: Enumerable.t()
  def count!(n, kw \\ [], opts \\ []), do: Wrapper.stream!("gen_fixture", "count", [n], kw, [:step], opts)

  @doc ~S"""
      defaults(a, b=2, *, c=3)

  Source: `gen_fixture/__init__.py:38`
  """
  @spec defaults(term(), keyword(), opts()) :: Result.t()
  def defaults(a, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "defaults", [a], kw, [:b, :c], opts)

  @spec defaults!(term(), keyword(), opts()) :: term()
  def defaults!(a, kw \\ [], opts \\ []), do: Result.value!(defaults(a, kw, opts))

  @doc ~S"""
      endless()

  Source: `gen_fixture/__init__.py:111`
  """
  @spec endless!([], Py.Options.stream()) :: Enumerable.t()
  def endless!(kw \\ [], opts \\ []), do: Wrapper.stream!("gen_fixture", "endless", [], kw, [], opts)

  @doc ~S"""
      everything(a, b=1, *args, c, d=4, **more)

  Source: `gen_fixture/__init__.py:64`
  """
  @spec everything(term(), list(), keyword(), opts()) :: Result.t()
  def everything(a, args, kw, opts \\ []),
    do:
      Wrapper.call(
        "gen_fixture",
        "everything",
        [a],
        kw,
        %{names: [:b, :c, :d], open: true, needed: [:c], by_position: [:b], rest: args},
        opts
      )

  @spec everything!(term(), list(), keyword(), opts()) :: term()
  def everything!(a, args, kw, opts \\ []), do: Result.value!(everything(a, args, kw, opts))

  @doc ~S"""
      fails(text='no')

  Source: `gen_fixture/__init__.py:93`
  """
  @spec fails(keyword(), opts()) :: Result.t()
  def fails(kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "fails", [], kw, [:text], opts)

  @spec fails!(keyword(), opts()) :: term()
  def fails!(kw \\ [], opts \\ []), do: Result.value!(fails(kw, opts))

  @doc ~S"""
      formatted(*args, **kwargs)

  strftime(format[, tuple]) -> string

  Convert a time tuple to a string according to a format specification.
  See the library reference manual for formatting codes. When the time tuple
  is not present, current time as returned by localtime() is used.

  Commonly used format codes:

  %Y  Year with century as a decimal number.
  %m  Month as a decimal number [01,12].
  %d  Day of the month as a decimal number [01,31].
  %H  Hour (24-hour clock) as a decimal number [00,23].
  %M  Minute as a decimal number [00,59].
  %S  Second as a decimal number [00,61].
  %z  Time zone offset from UTC.
  %a  Locale's abbreviated weekday name.
  %A  Locale's full weekday name.
  %b  Locale's abbreviated month name.
  %B  Locale's full month name.
  %c  Locale's appropriate date and time representation.
  %I  Hour (12-hour clock) as a decimal number [01,12].
  %p  Locale's equivalent of either AM or PM.

  Other codes may be available on your platform.  See documentation for
  the C library strftime function.

  Source: `time`
  """
  @spec formatted(list(), keyword(), opts()) :: Result.t()
  def formatted(args, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "formatted", args, kw, :any, opts)

  @spec formatted!(list(), keyword(), opts()) :: term()
  def formatted!(args, kw \\ [], opts \\ []), do: Result.value!(formatted(args, kw, opts))

  @doc ~S"""
      hidden(a, _b=1, *rest, _c, _d=4)

  Private parameters, without some of which others cannot be given.

  Source: `gen_fixture/__init__.py:124`
  """
  @spec hidden(term(), list(), keyword(), opts()) :: Result.t()
  def hidden(a, rest, kw, opts \\ []),
    do:
      Wrapper.call(
        "gen_fixture",
        "hidden",
        [a],
        kw,
        %{names: [:_b, :_c], needed: [:_c], by_position: [:_b], rest: rest},
        opts
      )

  @spec hidden!(term(), list(), keyword(), opts()) :: term()
  def hidden!(a, rest, kw, opts \\ []), do: Result.value!(hidden(a, rest, kw, opts))

  @doc ~S"""
      keyword_only(*, key, other=None)

  Source: `gen_fixture/__init__.py:47`
  """
  @spec keyword_only(keyword(), opts()) :: Result.t()
  def keyword_only(kw, opts \\ []),
    do: Wrapper.call("gen_fixture", "keyword_only", [], kw, %{names: [:key, :other], needed: [:key]}, opts)

  @spec keyword_only!(keyword(), opts()) :: term()
  def keyword_only!(kw, opts \\ []), do: Result.value!(keyword_only(kw, opts))

  @doc ~S"""
      later(x, *, add=0)

  Awaited.

  Source: `gen_fixture/__init__.py:97`
  """
  @spec later(term(), keyword(), opts()) :: Result.t()
  def later(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "later", [x], kw, [:add], opts)

  @spec later!(term(), keyword(), opts()) :: term()
  def later!(x, kw \\ [], opts \\ []), do: Result.value!(later(x, kw, opts))

  @spec lazy(opts()) :: Result.t(:py.ref())
  def lazy(opts \\ []), do: Wrapper.value("gen_fixture", "lazy", opts)

  @spec lazy!(opts()) :: :py.ref()
  def lazy!(opts \\ []), do: Result.value!(lazy(opts))

  @doc ~S"""
      managed(value)

  Is no generator for those who call it.

  Source: `gen_fixture/__init__.py:87`
  """
  @spec managed(term(), [], opts()) :: Result.t()
  def managed(value, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "managed", [value], kw, [], opts)

  @spec managed!(term(), [], opts()) :: term()
  def managed!(value, kw \\ [], opts \\ []), do: Result.value!(managed(value, kw, opts))

  @doc ~S"""
      names(fn, N, opts, self, _end, *, when=None)

  Parameters whose names mean something elsewhere.

  Source: `gen_fixture/__init__.py:68`
  """
  @spec names(term(), term(), term(), term(), term(), keyword(), opts()) :: Result.t()
  def names(fn_, n, opts_, self_, end_, kw \\ [], opts \\ []),
    do: Wrapper.call("gen_fixture", "names", [fn_, n, opts_, self_, end_], kw, [:when], opts)

  @spec names!(term(), term(), term(), term(), term(), keyword(), opts()) :: term()
  def names!(fn_, n, opts_, self_, end_, kw \\ [], opts \\ []),
    do: Result.value!(names(fn_, n, opts_, self_, end_, kw, opts))

  @doc ~S"""
      positional(a, b=2, c=3, /)

  All by position.

  Source: `gen_fixture/__init__.py:42`
  """
  @spec positional(term(), keyword(), opts()) :: Result.t()
  def positional(a, kw \\ [], opts \\ []),
    do:
      Wrapper.call(
        "gen_fixture",
        "positional",
        [a],
        kw,
        %{names: [:b, :c], by_position: [:b, :c], only: [:b, :c]},
        opts
      )

  @spec positional!(term(), keyword(), opts()) :: term()
  def positional!(a, kw \\ [], opts \\ []), do: Result.value!(positional(a, kw, opts))

  @doc """
      quoted()

  Has \"\"\"quotes\"\"\" and a \\ backslash, \#{not} interpolated.

  Source: `gen_fixture/__init__.py:73`
  """
  @spec quoted([], opts()) :: Result.t()
  def quoted(kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "quoted", [], kw, [], opts)

  @spec quoted!([], opts()) :: term()
  def quoted!(kw \\ [], opts \\ []), do: Result.value!(quoted(kw, opts))

  @doc ~S"""
      required(a, b)

  Both are needed.

  Source: `gen_fixture/__init__.py:33`
  """
  @spec required(term(), term(), [], opts()) :: Result.t()
  def required(a, b, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "required", [a, b], kw, [], opts)

  @spec required!(term(), term(), [], opts()) :: term()
  def required!(a, b, kw \\ [], opts \\ []), do: Result.value!(required(a, b, kw, opts))

  @doc ~S"""
      star(first, *rest, sep='-')

  Joins.

  Source: `gen_fixture/__init__.py:51`
  """
  @spec star(term(), list(), keyword(), opts()) :: Result.t()
  def star(first, rest, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture", "star", [first | rest], kw, [:sep], opts)

  @spec star!(term(), list(), keyword(), opts()) :: term()
  def star!(first, rest, kw \\ [], opts \\ []), do: Result.value!(star(first, rest, kw, opts))

  @doc ~S"""
      star_after_default(a, b=1, *rest)

  Source: `gen_fixture/__init__.py:56`
  """
  @spec star_after_default(term(), list(), keyword(), opts()) :: Result.t()
  def star_after_default(a, rest, kw \\ [], opts \\ []),
    do: Wrapper.call("gen_fixture", "star_after_default", [a], kw, %{names: [:b], by_position: [:b], rest: rest}, opts)

  @spec star_after_default!(term(), list(), keyword(), opts()) :: term()
  def star_after_default!(a, rest, kw \\ [], opts \\ []), do: Result.value!(star_after_default(a, rest, kw, opts))
end
