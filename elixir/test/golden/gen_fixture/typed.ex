# Made by `mix py.gen gen_fixture.typed --prefix Fx` (1) from gen_fixture; not to be edited.
# surface: 867d6efb33abeec4
# body: 16a937d46c047e49
defmodule Fx.GenFixture.Typed do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python module `gen_fixture.typed`.

  Has a stub beside it.

  Source: `gen_fixture/typed.py`
  """

  @type opts :: Py.Options.call()

  @doc ~S"""
      formatted(format: str, /) -> str

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
  @spec formatted(String.t(), [], opts()) :: Result.t(String.t())
  def formatted(format, kw \\ [], opts \\ []),
    do: Wrapper.call("gen_fixture.typed", "formatted", [format], kw, [], opts)

  @spec formatted!(String.t(), [], opts()) :: String.t()
  def formatted!(format, kw \\ [], opts \\ []), do: Result.value!(formatted(format, kw, opts))

  @doc ~S"""
      plain(x: list[int] | None, y=None) -> list[int] | None

  Source: `gen_fixture/typed.py:12`
  """
  @spec plain([integer()] | :py.ref() | nil, keyword(), opts()) :: Result.t([integer()] | nil)
  def plain(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.typed", "plain", [x], kw, [:y], opts)

  @spec plain!([integer()] | :py.ref() | nil, keyword(), opts()) :: [integer()] | nil
  def plain!(x, kw \\ [], opts \\ []), do: Result.value!(plain(x, kw, opts))

  @type twice_kwargs :: [{:times, integer()}]

  @doc ~S"""
      twice(x: str, times: int = 2) -> str

  Source: `gen_fixture/typed.py:8`
  """
  @spec twice(String.t(), twice_kwargs(), opts()) :: Result.t(String.t())
  def twice(x, kw \\ [], opts \\ []), do: Wrapper.call("gen_fixture.typed", "twice", [x], kw, [:times], opts)

  @spec twice!(String.t(), twice_kwargs(), opts()) :: String.t()
  def twice!(x, kw \\ [], opts \\ []), do: Result.value!(twice(x, kw, opts))
end
