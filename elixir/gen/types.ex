defmodule Py.Gen.Types do
  @moduledoc false
  # Abstract forms of Erlang types, and their text in Elixir. A form is meaningful in the module that it stands in: pairs {module, form}.

  @doc "The text of a type; types that a module defines are named with their module."
  def text(module, form) do
    case form do
      {:type, _, :union, forms} ->
        Enum.map_join(forms, " | ", &text(module, &1))

      {:type, _, :tuple, :any} ->
        "tuple()"

      {:type, _, :tuple, forms} ->
        "{#{list(module, forms)}}"

      {:type, _, :list, [item]} ->
        "[#{text(module, item)}]"

      {:type, _, :nonempty_list, [item]} ->
        "[#{text(module, item)}, ...]"

      {:type, _, nil, []} ->
        "[]"

      {:type, _, :map, :any} ->
        "map()"

      {:type, _, :map, fields} ->
        "%{#{Enum.map_join(fields, ", ", &field(module, &1))}}"

      {:type, _, :fun, [{:type, _, :product, args}, result]} ->
        "(#{list(module, args)} -> #{text(module, result)})"

      {:type, _, :range, [{_, _, from}, {_, _, to}]} ->
        "#{from}..#{to}"

      {:type, _, :string, []} ->
        "charlist()"

      {:type, _, name, []} ->
        "#{name}()"

      {:ann_type, _, [_name, type]} ->
        text(module, type)

      {:user_type, _, :result, []} when module == :py ->
        "Py.Result.t()"

      {:user_type, _, name, args} ->
        named_text(module, name, args)

      {:remote_type, _, [{:atom, _, :py}, {:atom, _, :result}, []]} ->
        "Py.Result.t()"

      {:remote_type, _, [{:atom, _, remote}, {:atom, _, name}, args]} ->
        "#{inspect(remote)}.#{name}(#{list(module, args)})"

      {:var, _, name} ->
        name |> to_string() |> Macro.underscore()

      {:atom, _, name} ->
        inspect(name)

      {:integer, _, number} ->
        to_string(number)
    end
  end

  # What a module keeps to itself is written out.
  defp named_text(module, name, args) do
    if Py.Gen.Surface.exports_type?(module, name, length(args)),
      do: "#{inspect(module)}.#{name}(#{list(module, args)})",
      else: text(module, Py.Gen.Surface.type(module, name))
  end

  defp list(module, forms), do: Enum.map_join(forms, ", ", &text(module, &1))

  defp field(module, {:type, _, :map_field_assoc, [key, value]}),
    do: "optional(#{text(module, key)}) => #{text(module, value)}"

  defp field(module, {:type, _, :map_field_exact, [key, value]}),
    do: "required(#{text(module, key)}) => #{text(module, value)}"

  @doc "The alternatives of a type. Names are looked up as far as they stand for alternatives of which `wanted?` wants one."
  def alternatives(module, form, wanted?) do
    case form do
      {:type, _, :union, forms} ->
        Enum.flat_map(forms, &alternatives(module, &1, wanted?))

      {:user_type, _, name, []} ->
        named(module, form, module, name, wanted?)

      {:remote_type, _, [{:atom, _, remote}, {:atom, _, name}, []]} ->
        named(module, form, remote, name, wanted?)

      _ ->
        [{module, form}]
    end
  end

  defp named(module, form, home, name, wanted?) do
    with definition when definition != nil <- Py.Gen.Surface.type(home, name),
         found = alternatives(home, definition, wanted?),
         true <- Enum.any?(found, fn {_, one} -> wanted?.(one) end) do
      found
    else
      _ -> [{module, form}]
    end
  end

  def error?({:type, _, :tuple, [{:atom, _, :error}, _]}), do: true
  def error?(_), do: false

  def map?({:type, _, :map, _}), do: true
  def map?(_), do: false

  @doc "The keys of an option type with the texts of their types, sorted; nil if its maps have no keys that are known."
  def options(module, form) do
    fields =
      for {home, {:type, _, :map, fields}} when is_list(fields) <- alternatives(module, form, &map?/1),
          {:type, _, _, [{:atom, _, key}, value]} <- fields,
          do: {key, text(home, value)}

    if fields == [], do: nil, else: Enum.sort(fields)
  end

  @doc "Where an option type is defined: `{module, name}`; nil if it has no name, or more to it."
  def home(module, form) do
    case form do
      {:user_type, _, name, []} ->
        defined(module, name)

      {:remote_type, _, [{:atom, _, remote}, {:atom, _, name}, []]} ->
        defined(remote, name)

      {:type, _, :union, forms} ->
        if Enum.any?(forms, &map?/1), do: nil, else: Enum.find_value(forms, &home(module, &1))

      _ ->
        nil
    end
  end

  # A type that is only another name leads on.
  defp defined(module, name) do
    case Py.Gen.Surface.type(module, name) do
      {:user_type, _, _, _} = form -> home(module, form)
      {:remote_type, _, _} = form -> home(module, form)
      _ -> {module, name}
    end
  end

  @doc "The atoms in a form."
  def atoms({:atom, _, name}), do: [name]
  def atoms(form) when is_tuple(form), do: form |> Tuple.to_list() |> atoms()
  def atoms(forms) when is_list(forms), do: Enum.flat_map(forms, &atoms/1)
  def atoms(_), do: []

  @doc "The variables in a form."
  def variables({:var, _, name}), do: [name |> to_string() |> Macro.underscore()]
  def variables({:ann_type, _, [_, type]}), do: variables(type)
  def variables(form) when is_tuple(form), do: form |> Tuple.to_list() |> variables()
  def variables(forms) when is_list(forms), do: forms |> Enum.flat_map(&variables/1) |> Enum.uniq()
  def variables(_), do: []
end
