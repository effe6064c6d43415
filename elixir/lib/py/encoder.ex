defprotocol Py.Encoder do
  @moduledoc """
  What a struct is in Python. A struct among arguments or keyword arguments is refused unless it has an implementation:

      @derive {Py.Encoder, only: [:name, :price]}
      defstruct [:name, :price, :secret]

  makes it a dict with these keys; `@derive Py.Encoder` one with all of them. Anything else is an implementation that gives a term:

      defimpl Py.Encoder, for: Date do
        def encode(date), do: Date.to_iso8601(date)
      end

  What registered functions return to Python and what lies in `Py.State` is not looked at.
  """
  @fallback_to_any true

  @doc "The term that stands for the struct; structs in it are encoded in turn."
  @spec encode(t()) :: term()
  def encode(struct)
end

defimpl Py.Encoder, for: Any do
  defmacro __deriving__(module, struct, opts) do
    fields = struct |> Map.from_struct() |> Map.keys() |> Enum.sort()
    only = Keyword.get(opts, :only, fields -- Keyword.get(opts, :except, []))

    case {Keyword.keys(opts) -- [:only, :except], only -- fields} do
      {[], []} ->
        :ok

      {bad, unknown} ->
        raise ArgumentError, "cannot derive Py.Encoder for #{inspect(module)}: #{inspect(bad ++ unknown)}"
    end

    quote do
      defimpl Py.Encoder, for: unquote(module) do
        def encode(struct), do: Map.take(struct, unquote(only))
      end
    end
  end

  def encode(%module{} = struct) do
    raise Protocol.UndefinedError,
      protocol: @protocol,
      value: struct,
      description:
        "a struct does not go to Python by itself. Write `@derive {Py.Encoder, only: [...]}` above defstruct of #{inspect(module)}, " <>
          "implement Py.Encoder for it, or pass Map.from_struct/1 of it"
  end
end

defmodule Py.Encoder.Terms do
  @moduledoc false

  # Arguments with their structs encoded. Most have none, and are not copied.
  @spec encode(term()) :: term()
  def encode(term), do: if(struct_in?(term), do: rewrite(term), else: term)

  defp struct_in?([head | tail]), do: struct_in?(head) or struct_in?(tail)
  defp struct_in?(%_{}), do: true
  defp struct_in?(map) when is_map(map), do: struct_in?(:maps.to_list(map))
  defp struct_in?({one, two}), do: struct_in?(one) or struct_in?(two)
  defp struct_in?(tuple) when is_tuple(tuple), do: struct_in?(Tuple.to_list(tuple))
  defp struct_in?(_), do: false

  defp rewrite([head | tail]), do: [rewrite(head) | rewrite(tail)]
  defp rewrite(%_{} = struct), do: struct |> Py.Encoder.encode() |> encode()
  defp rewrite(map) when is_map(map), do: Map.new(map, fn {key, value} -> {rewrite(key), rewrite(value)} end)
  defp rewrite(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> Enum.map(&rewrite/1) |> List.to_tuple()
  defp rewrite(other), do: other
end
