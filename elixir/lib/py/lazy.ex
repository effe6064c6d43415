defmodule Py.Lazy do
  @moduledoc """
  Lazy streams of the items of Python iterators.

  The call runs when the stream is consumed, once each time. At most `credit:` items (16 by default) are ahead of the consumer; when it
  stops before the end, or dies, the generator is closed and its `finally` runs.
  """

  @doc """
  The items of what a function returns, as an `Enumerable`. Raises `Py.Error`, while it is consumed, for an exception of Python.

      Py.stream!(:itertools, :count, [10]) |> Enum.take(3)
  """
  @spec stream!(:py.name(), :py.name(), :py.args(), :py.kwargs(), Py.Options.stream()) :: Enumerable.t()
  def stream!(module, function, args, kwargs \\ [], opts \\ []) do
    lazy(fn -> Py.Stream.start!(module, function, args, kwargs, opts) end)
  end

  @doc "As `stream!/5`, for the value of an expression with local names."
  @spec stream_eval!(:py.code(), :py.kwargs(), Py.Options.stream()) :: Enumerable.t()
  def stream_eval!(code, locals \\ [], opts \\ []) do
    lazy(fn -> Py.Stream.eval_start!(code, locals, opts) end)
  end

  # Items are messages to the process that starts the stream, which is the one that consumes it.
  @doc false
  @spec lazy((() -> reference())) :: Enumerable.t()
  def lazy(start) do
    Stream.resource(
      start,
      fn ref ->
        case Py.Stream.next(ref) do
          {:ok, item} -> {[item], ref}
          :done -> {:halt, ref}
          {:error, error} -> raise error
        end
      end,
      &Py.Stream.cancel/1
    )
  end
end
