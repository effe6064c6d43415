defmodule Py.Gen.Places do
  @moduledoc false
  # Where each function of the surface goes, by the names. What has no place or one that is taken stops the generator.

  @reserved ~w(after and catch do else end fn in nil not or rescue true false when)
  # Parameters that may be left out; options are the last.
  @optional ~w(Kwargs Locals Options)

  def optional?(param), do: param in @optional
  def reserved?(name), do: name in @reserved

  @doc "One entry for each head in Elixir: arities that differ in optional parameters are one."
  def entries(surface, names) do
    entries =
      Enum.flat_map(names.modules, fn {module, _, lines} -> Enum.flat_map(lines, &entries_of(module, &1, surface)) end)

    complete!(surface, names, entries)
    entries
  end

  defp entries_of(module, {key, new}, surface) do
    {erlang, name, arities} =
      case key do
        {erlang, name} ->
          {erlang, name, found!(surface, erlang, name).arities}

        {erlang, name, arity} ->
          {erlang, name, Enum.filter(found!(surface, erlang, name).arities, &(&1.arity == arity))}
      end

    if arities == [], do: Mix.raise("gen/names.exs: there is no #{inspect(key)}")
    longest = List.last(arities)
    required = Enum.reject(longest.params, &(&1 in @optional))

    groups =
      if Enum.all?(arities, &(required == Enum.reject(&1.params, fn param -> param in @optional end))),
        do: [arities],
        else: Enum.map(arities, &[&1])

    for group <- groups do
      last = List.last(group)
      %{elixir: module, name: new, erlang: erlang, from: name, arities: group, last: last, arity: last.arity}
    end
  end

  @doc "A function of the surface."
  def found!(surface, erlang, name) do
    Enum.find(surface, &(&1.module == erlang and &1.name == name)) ||
      Mix.raise("gen/names.exs: #{erlang}:#{name} is not exported; take its line away")
  end

  defp complete!(surface, names, entries) do
    placed = for entry <- entries, one <- entry.arities, do: {entry.erlang, entry.from, one.arity}
    elsewhere = Enum.map(names.same ++ names.left_out, &elem(&1, 0))

    missing =
      for %{hidden: false} = function <- surface,
          {function.module, function.name} not in elsewhere,
          one <- function.arities,
          {function.module, function.name, one.arity} not in placed,
          do: "  {{:#{function.module}, :#{function.name}, #{one.arity}}, :#{function.name}}"

    if missing != [],
      do: Mix.raise("functions without a place; add to a module of gen/names.exs:\n" <> Enum.join(missing, "\n"))

    for {erlang, name} <- elsewhere, do: found!(surface, erlang, name)
    twice = placed -- Enum.uniq(placed)
    if twice != [], do: Mix.raise("gen/names.exs: named twice: #{inspect(twice)}")
  end

  @doc "Stops at two functions of one name and arity, also in the twins that `twin?` tells of, and at names that are taken by the language."
  def no_clash!(entries, twin?) do
    heads =
      for entry <- entries,
          least = Enum.count(entry.last.params, &(&1 not in @optional)),
          arity <- least..entry.arity,
          name <- [entry.name | if(twin?.(entry), do: [:"#{entry.name}!"], else: [])],
          do: {{entry.elixir, name, arity}, entry}

    kernel = Kernel.__info__(:functions) ++ Kernel.__info__(:macros)

    # Of two it is the later one that is to have another name.
    for {{_, name, arity} = head, entry} <- Enum.reverse(heads) do
      others = Enum.count(heads, &(elem(&1, 0) == head)) > 1

      if others or {name, arity} in kernel or to_string(name) in @reserved do
        Mix.raise("""
        #{inspect(elem(head, 0))}.#{name}/#{arity} is taken; give #{entry.erlang}:#{entry.from} another name in gen/names.exs:
          {{:#{entry.erlang}, :#{entry.from}, #{entry.arity}}, :#{entry.from}_}
        """)
      end
    end
  end

  @doc "The name in Elixir of what a doc links to, seen from a module."
  def link(from, {module, name, arity}, entries, names) do
    key = {String.to_atom(module), String.to_atom(name)}
    {erlang, name} = Enum.find_value(names.same, key, fn {one, other} -> if one == key, do: other end)
    candidates = Enum.filter(entries, &(&1.erlang == erlang and &1.from == name))

    case Enum.find(candidates, List.last(candidates), &Enum.any?(&1.arities, fn one -> one.arity == arity end)) do
      nil -> ":#{erlang}.#{name}/#{arity}"
      %{elixir: ^from} = entry -> "#{entry.name}/#{entry.arity}"
      entry -> "#{inspect(entry.elixir)}.#{entry.name}/#{entry.arity}"
    end
  end
end
