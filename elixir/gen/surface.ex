defmodule Py.Gen.Surface do
  @moduledoc false
  # The neutral description of the public Erlang modules, from their abstract code and the comments of their sources.

  @doc """
  The functions of a module, in the order of their exports: maps of `module`, `name`, `hidden` and `arities`, a list of maps of
  `arity`, `params` (names), `types` and `result` (abstract forms) and `doc`.
  """
  def functions(module, source) do
    forms = forms(module)
    comments = Py.Gen.Doc.comments(source)
    specs = for {:attribute, _, :spec, {{name, arity}, [spec | _]}} <- forms, into: %{}, do: {{name, arity}, spec}
    clauses = for {:function, _, name, arity, clauses} <- forms, into: %{}, do: {{name, arity}, clauses}
    docs = docs(for({:attribute, _, :spec, {key, _}} <- forms, do: key), comments)
    exports = for {:attribute, _, :export, exports} <- forms, export <- exports, do: export

    for name <- exports |> Enum.map(&elem(&1, 0)) |> Enum.uniq() do
      arities =
        for {^name, arity} <- Enum.sort(exports), docs[{name, arity}] != :private do
          {types, result} = spec(specs[{name, arity}])
          params = params(module, name, arity, clauses[{name, arity}])
          %{arity: arity, params: params, types: types, result: result, doc: docs[{name, arity}]}
        end

      %{module: module, name: name, hidden: arities == [], arities: arities}
    end
  end

  # Specs are in the order of the source, here and in the comments.
  defp docs(keys, comments) do
    for {name, keys} <- Enum.group_by(keys, &elem(&1, 0)),
        {key, doc} <- Enum.zip(keys, comments[{:function, to_string(name)}]),
        into: %{},
        do: {key, doc}
  end

  defp spec({:type, _, :bounded_fun, [function, _]}), do: spec(function)
  defp spec({:type, _, :fun, [{:type, _, :product, types}, result]}), do: {types, result}

  # The name of a parameter is that of the variable in the first clause that has one.
  defp params(module, name, arity, clauses) do
    for position <- Enum.take(0..arity, arity) do
      Enum.find_value(clauses, fn {:clause, _, args, _, _} -> variable(Enum.at(args, position)) end) ||
        Mix.raise(
          "#{module}:#{name}/#{arity}: parameter #{position + 1} has no name; bind it to a variable in one clause"
        )
    end
  end

  defp variable({:var, _, :_}), do: nil
  defp variable({:var, _, name}), do: name |> to_string() |> String.trim_leading("_")
  defp variable({:match, _, left, right}), do: variable(left) || variable(right)
  defp variable(_), do: nil

  @doc "The definition of a type of the application; nil for others and for those with parameters."
  def type(module, name) do
    if String.starts_with?(to_string(module), "py") do
      Enum.find_value(forms(module), fn
        {:attribute, _, kind, {^name, definition, []}} when kind in [:type, :opaque] -> definition
        _ -> nil
      end)
    end
  end

  def exports_type?(module, name, arity) do
    Enum.any?(
      for({:attribute, _, :export_type, types} <- forms(module), type <- types, do: type),
      &(&1 == {name, arity})
    )
  end

  defp forms(module) do
    case Process.get({__MODULE__, module}) do
      nil ->
        with path when is_list(path) <- :code.which(module),
             {:ok, {_, [abstract_code: {:raw_abstract_v1, forms}]}} <- :beam_lib.chunks(path, [:abstract_code]) do
          Process.put({__MODULE__, module}, forms)
          forms
        else
          _ -> Mix.raise("#{module} has no debug_info")
        end

      forms ->
        forms
    end
  end
end
