# Made by `mix py.gen gen_stubbed --prefix Fx` (1) from gen_stubbed; not to be edited.
# surface: 45e79b1bb4aaf667
# body: 7bac6fa57232bfa3
defmodule Fx.GenStubbed do
  import Kernel, only: [@: 1, def: 2, sigil_S: 2]
  alias Py.{Result, Wrapper}

  @moduledoc ~S"""
  Python module `gen_stubbed`.

  Its stub is in a package of stubs.

  Source: `gen_stubbed.py`
  """

  @type opts :: Py.Options.call()

  @type area_kwargs :: [{:height, number()}]

  @doc ~S"""
      area(width: float, height: float = 1.0) -> float

  Source: `gen_stubbed.py:4`
  """
  @spec area(number(), area_kwargs(), opts()) :: Result.t(Wrapper.real())
  def area(width, kw \\ [], opts \\ []), do: Wrapper.call("gen_stubbed", "area", [width], kw, [:height], opts)

  @spec area!(number(), area_kwargs(), opts()) :: Wrapper.real()
  def area!(width, kw \\ [], opts \\ []), do: Result.value!(area(width, kw, opts))
end
