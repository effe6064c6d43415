%% @doc Wrappers of Python modules: Erlang modules with a function for each of theirs. For Elixir see `mix py.gen'.
%%
%% In a shell, with the generator's application in the code path:
%% ```
%% erl -noshell -pa _build/default/lib/*/ebin -run py_gen main -extra json my_pkg.sub numpy.ndarray --prefix my_py --out src
%% '''
-module(py_gen).

-export([generate/2, check/2, main/0]).
-export([describe/1, files/3]).

-type options() :: #{
    prefix => atom() | unicode:chardata(),
    out => file:filename_all(),
    renames => #{unicode:chardata() => unicode:chardata()},
    docs => boolean()
}.
%% `prefix': what the names of the modules begin with, default `py'. `out': the directory, default `src'. `renames': names of functions or
%% modules by the paths of what they are for. `docs': whether docstrings come with them, default `true'.

-export_type([options/0]).

%% @doc Writes the wrappers of Python modules, and of classes named with their modules. The application must run. The paths that changed.
-spec generate([py:name()], options()) -> {ok, [file:filename_all()]} | {error, unicode:chardata()}.
generate(Modules, Options) ->
    with_files(Modules, Options, fun py_gen_file:write/2).

%% @doc `ok' if {@link generate/2} would write nothing else; otherwise lines that tell what has changed.
-spec check([py:name()], options()) -> ok | {error, unicode:chardata()}.
check(Modules, Options) ->
    with_files(Modules, Options, fun(Language, Files) -> py_gen_file:check(Language, Files, "run py_gen again") end).

-spec with_files([py:name()], options(), fun((py_gen_file:language(), [py_gen_file:file()]) -> Result)) -> Result | {error, unicode:chardata()}.
with_files(Modules, Options, Act) ->
    case {maps:keys(maps:without([prefix, out, renames, docs], Options)), describe(Modules)} of
        {[Key | _], _} -> {error, io_lib:format("no such option: ~tp", [Key])};
        {[], {error, _} = Error} -> Error;
        {[], {ok, Descriptions}} -> emitted(Descriptions, Options, Act)
    end.

emitted(Descriptions, Options, Act) ->
    Prefix = text(maps:get(prefix, Options, py)),
    Renames = maps:from_list([{text(From), text(To)} || {From, To} <- maps:to_list(maps:get(renames, Options, #{}))]),
    Docs = maps:get(docs, Options, true),
    Language = py_gen_erlang:language(Prefix),
    case py_gen_plan:modules(Descriptions, Language, Renames) of
        {error, _} = Error ->
            Error;
        {ok, Wrappers} ->
            Source = fun(Wrapper, All) -> py_gen_erlang:source(Wrapper, All, Docs) end,
            Path = fun(#{name := Name}) -> filename:join(maps:get(out, Options, "src"), unicode:characters_to_list([Name, ".erl"])) end,
            Act(py_gen_erlang:file_language(), files(Wrappers, #{source => Source, path => Path}, arguments(Prefix, Renames, Docs)))
    end.

%% @private What the wrappers are as files.
-spec files([py_gen_plan:wrapper()], #{source := fun((py_gen_plan:wrapper(), [py_gen_plan:wrapper()]) -> binary()), path := fun((py_gen_plan:wrapper()) -> file:filename_all())}, [{binary(), binary()}]) ->
    [py_gen_file:file()].
files(Wrappers, #{source := Source, path := Path}, Arguments) ->
    [
        #{
            path => Path(Wrapper),
            body => Source(Wrapper, [One || #{target := Other} = One <- Wrappers, Other =:= Target]),
            surface => py_gen_file:surface(Surface),
            command => command(Wrapper, Arguments),
            version => Version
        }
     || #{target := Target, surface := Surface, version := Version} = Wrapper <- Wrappers
    ].

%% The arguments that make one file again: of the renames those that are its own.
command(#{target := Target, path := Path, items := Items}, Arguments) ->
    Own = [Path | [Key || #{key := Key} <- Items]],
    Words = [
        [" ", Key, case Value of <<>> -> []; _ -> [" ", Value] end]
     || {Key, Value} <- Arguments, Key =/= <<"--rename">> orelse lists:member(hd(binary:split(Value, <<"=">>)), Own)
    ],
    unicode:characters_to_binary([Target | Words]).

arguments(Prefix, Renames, Docs) ->
    [{<<"--prefix">>, Prefix}] ++ [{<<"--no-docs">>, <<>>} || not Docs] ++
        [{<<"--rename">>, <<From/binary, "=", To/binary>>} || {From, To} <- lists:sort(maps:to_list(Renames))].

%% @private Descriptions of modules and classes, made in a worker.
-spec describe([py:name()]) -> {ok, [py_gen_plan:description()]} | {error, unicode:chardata()}.
describe(Modules) ->
    described([text(Module) || Module <- Modules], []).

described([], Done) ->
    {ok, lists:reverse(Done)};
described([Module | Rest], Done) ->
    % Imports may take their time.
    case py:call('_erlang_gen', describe, [{str, Module}], #{}, #{timeout => 300000, error => map, none => none}) of
        {ok, Description} -> described(Rest, [Description | Done]);
        {error, #{type := Type, message := Message}} -> {error, io_lib:format("could not describe ~ts: ~ts: ~ts", [Module, Type, Message])};
        {error, Reason} -> {error, io_lib:format("could not describe ~ts: ~tp", [Module, Reason])}
    end.

%% @doc The entry of the shell; the arguments are those after `-extra'. Ends the node.
-spec main() -> no_return().
main() ->
    case run(init:get_plain_arguments()) of
        ok -> halt(0);
        {error, Text} -> io:format(standard_error, "~ts~n", [Text]), halt(1)
    end.

run(Arguments) ->
    case parse(Arguments, [], #{}, generate) of
        {error, _} = Error ->
            Error;
        {Modules, Options, Act} ->
            case application:ensure_all_started(erlang_python) of
                {ok, _} -> act(Act, Modules, Options);
                {error, Reason} -> {error, io_lib:format("could not start erlang_python: ~tp", [Reason])}
            end
    end.

act(check, Modules, Options) ->
    check(Modules, Options);
act(generate, Modules, Options) ->
    case generate(Modules, Options) of
        {ok, Paths} -> lists:foreach(fun(Path) -> io:format("wrote ~ts~n", [Path]) end, Paths);
        {error, _} = Error -> Error
    end.

parse([], [], _, _) -> usage();
parse([], Modules, Options, Act) -> {lists:reverse(Modules), Options, Act};
parse(["--check" | Rest], Modules, Options, _) -> parse(Rest, Modules, Options, check);
parse(["--no-docs" | Rest], Modules, Options, Act) -> parse(Rest, Modules, Options#{docs => false}, Act);
parse(["--prefix", Prefix | Rest], Modules, Options, Act) -> parse(Rest, Modules, Options#{prefix => Prefix}, Act);
parse(["--out", Out | Rest], Modules, Options, Act) -> parse(Rest, Modules, Options#{out => Out}, Act);
parse(["--rename", Rename | Rest], Modules, Options, Act) ->
    case string:split(Rename, "=") of
        [From, To] ->
            Renames = maps:get(renames, Options, #{}),
            parse(Rest, Modules, Options#{renames => Renames#{From => To}}, Act);
        _ ->
            usage()
    end;
parse(["--" ++ _ | _], _, _, _) -> usage();
parse([Module | Rest], Modules, Options, Act) -> parse(Rest, [Module | Modules], Options, Act).

usage() ->
    {error, "usage: erl -noshell -pa EBIN -run py_gen main -extra MODULE... [--prefix PREFIX] [--out DIR] [--check] [--no-docs] [--rename PATH=NAME]..."}.

text(Name) when is_atom(Name) -> atom_to_binary(Name);
text(Name) -> unicode:characters_to_binary(Name).
