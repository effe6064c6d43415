defmodule Mix.Tasks.Py.Gen do
  @shortdoc "Writes Elixir modules for Python modules"
  @moduledoc """
  Writes Elixir modules for Python modules, and for classes named with their modules:

      mix py.gen json my_pkg.sub numpy.ndarray --prefix MyApp.Py

  A module has a function for each public function of Python's, and a module of its own for each class. Nothing but these sources is
  kept: commit them. Options:

    * `--prefix` - what the names of the modules begin with; by default that of the application and `.Py`
    * `--out` - the directory; by default `lib/my_app/py` for prefix `MyApp.Py`
    * `--check` - writes nothing, and fails if something is stale, with what was added, removed and changed
    * `--rename json.dumps=encode` - the name of one function or module, as often as needed: names that Elixir reserves, or that two
      things would share, stop the task, which prints such options
    * `--no-docs` - without the docstrings
    * `--python` - the interpreter or virtual environment, instead of the configured one

  The Python is that of the configuration of `:erlang_python`. It imports the modules, so what they need must be there.
  """
  use Mix.Task

  alias Py.Wrapper.Emit

  @switches [prefix: :string, out: :string, check: :boolean, rename: :keep, docs: :boolean, python: :string]

  @impl true
  def run(args) do
    {options, modules} = parse(args)
    Mix.Task.run("loadpaths")
    start(options[:python])

    with {:ok, descriptions} <- :py_gen.describe(modules),
         {:ok, files} <- files(descriptions, options) do
      if options[:check], do: check(files), else: write(files)
    else
      {:error, text} -> Mix.raise(IO.chardata_to_string(text))
    end
  end

  defp parse(args) do
    case OptionParser.parse!(args, strict: @switches) do
      {options, [_ | _] = modules} -> {options, modules}
      {_, []} -> Mix.raise("usage: mix py.gen MODULE... --prefix MyApp.Py; see mix help py.gen")
    end
  end

  defp start(python) do
    Application.load(:erlang_python)
    if python, do: Application.put_env(:erlang_python, :python, python)

    case Application.ensure_all_started(:py) do
      {:ok, _} -> :ok
      {:error, reason} -> Mix.raise("could not start Python: #{inspect(reason)}")
    end
  end

  defp files(descriptions, options) do
    prefix = options[:prefix] || Macro.camelize(to_string(Mix.Project.config()[:app])) <> ".Py"
    out = options[:out] || Path.join("lib", Macro.underscore(prefix))
    docs? = Keyword.get(options, :docs, true)
    renames = for rename <- Keyword.get_values(options, :rename), into: %{}, do: pair(rename)
    if prefix == "Py", do: Mix.raise("the modules of prefix Py are those of this library; take MyApp.Py")
    language = %{reserved: Emit.reserved(), module: &Emit.module_name(prefix, &1)}

    with {:ok, wrappers} <- :py_gen_plan.modules(descriptions, language, renames) do
      path = fn %{name: name} ->
        Path.join(out, name |> String.replace_prefix(prefix <> ".", "") |> Macro.underscore()) <> ".ex"
      end

      source = fn wrapper, all -> wrapper |> Emit.source(Emit.known(all), docs?) |> format(path.(wrapper)) end
      {:ok, :py_gen.files(wrappers, %{source: source, path: path}, arguments(prefix, renames, docs?))}
    end
  end

  defp pair(rename) do
    case String.split(rename, "=") do
      [from, to] -> {from, to}
      _ -> Mix.raise("--rename #{rename}: it is PATH=NAME")
    end
  end

  defp arguments(prefix, renames, docs?) do
    [{"--prefix", prefix}] ++
      if(docs?, do: [], else: [{"--no-docs", ""}]) ++
      for({from, to} <- Enum.sort(renames), do: {"--rename", "#{from}=#{to}"})
  end

  # As `mix format` of this project would.
  defp format(text, path) do
    {_, options} = Mix.Tasks.Format.formatter_for_file(path)

    options =
      Keyword.take(options, [:line_length, :locals_without_parens, :force_do_end_blocks, :normalize_bitstring_modifiers])

    IO.iodata_to_binary([Code.format_string!(text, options), "\n"])
  end

  defp language, do: %{comment: "#", tool: "mix py.gen", drift: &Py.Gen.Drift.lines/2}

  defp write(files) do
    case :py_gen_file.write(language(), files) do
      {:ok, paths} -> for path <- paths, do: Mix.shell().info("wrote #{path}")
      {:error, text} -> Mix.raise(IO.chardata_to_string(text))
    end
  end

  defp check(files) do
    case :py_gen_file.check(language(), files, "run mix py.gen again") do
      :ok -> Mix.shell().info("the generated modules are up to date")
      {:error, text} -> Mix.raise(IO.chardata_to_string(text))
    end
  end
end
