defmodule Py.Gen.Api do
  @moduledoc false
  # `mix py.gen.api` writes lib/generated from the Erlang modules; with `--check` it writes nothing and fails if it would.

  @tool 1

  def main(args, root, version) do
    files = generate(root, version)

    case args do
      [] -> write(root, files)
      ["--check"] -> check(root, files)
      _ -> Mix.raise("usage: mix py.gen.api [--check]")
    end
  end

  @doc "Paths and texts of all files."
  def generate(root, version) do
    {names, _} = Code.eval_file(Path.join(root, "gen/names.exs"))
    surface = Enum.flat_map(public(), &Py.Gen.Surface.functions(&1, Py.Gen.Emit.source(&1)))
    for {path, text, described} <- Py.Gen.Emit.files(surface, names), do: {path, file(text, described, version)}
  end

  # The Erlang modules that have rows in docs/api.md, which names everything public.
  defp public do
    rows = Regex.scan(~r/^\| (`[^|]*)/m, File.read!(Path.join(__DIR__, "../../docs/api.md")), capture: :all_but_first)
    modules = Regex.scan(~r/`([a-z]\w*):[a-z]\w*\/\d/, Enum.join(rows, "\n"), capture: :all_but_first)
    modules |> List.flatten() |> Enum.map(&String.to_atom/1) |> Enum.uniq() |> Enum.sort()
  end

  defp file(text, described, version) do
    body = IO.iodata_to_binary([Code.format_string!(text, line_length: 120), "\n"])

    """
    # Made by `mix py.gen.api` (#{@tool}) from erlang_python #{version}; not to be edited: gen/names.exs has the names, the Erlang
    # sources have the rest.
    # surface: #{hash(described)}
    # body: #{hash(body)}
    """ <> body
  end

  defp hash(text), do: binary_part(Base.encode16(:crypto.hash(:sha256, text), case: :lower), 0, 16)

  defp write(root, files) do
    for path <- strange(root, files), do: File.rm!(Path.join(root, path))

    for {path, text} <- files, File.read(Path.join(root, path)) != {:ok, text} do
      File.write!(Path.join(root, path), text)
      Mix.shell().info("wrote #{path}")
    end
  end

  defp check(root, files) do
    drift =
      Enum.flat_map(files, fn {path, text} ->
        case File.read(Path.join(root, path)) do
          {:ok, old} -> for line <- edited(old) ++ Py.Gen.Drift.lines(old, text), do: "#{path}: #{line}"
          {:error, _} -> ["#{path}: added    the file"]
        end
      end)

    case drift ++ for(path <- strange(root, files), do: "#{path}: removed  the file") do
      [] -> Mix.shell().info("lib/generated is up to date")
      lines -> Mix.raise("lib/generated is stale; run mix py.gen.api\n" <> Enum.join(lines, "\n"))
    end
  end

  defp edited(text) do
    with [_, hash, body] <- Regex.run(~r/\A(?:#.*\n)*# body: (\w+)\n(.*)\z/s, text), true <- hash(body) == hash do
      []
    else
      _ -> ["was edited by hand"]
    end
  end

  defp strange(root, files) do
    for path <- Path.wildcard(Path.join(root, "lib/generated/*.ex")),
        relative = Path.relative_to(path, root),
        not List.keymember?(files, relative, 0),
        do: relative
  end
end
