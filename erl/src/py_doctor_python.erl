%% @doc What {@link py_doctor} finds out about a pool: its interpreter, and whether a worker starts.
-module(py_doctor_python).

-export([findings/4]).

-type facts() :: #{binary() => binary()}.
%% What `describe.py' says.

-define(MARK, <<"erlang_python describe\n">>).

%% @doc A pool of this configuration. `Starts': whether the native library can start a worker.
-spec findings(atom(), py_config:pool_config(), file:filename(), Starts :: boolean()) -> [py_doctor:finding()].
findings(Name, Config, Priv, Starts) ->
    described(Config, filename:join(Priv, "describe.py")) ++
        [threads(Config)] ++
        case py_interpreter:find(Config) of
            {error, {no_python, Text}} -> [{problem, Text ++ library_hint(Text)}];
            {ok, Interpreter} -> workers(Name, Config, Interpreter, Starts)
        end.

%% What the interpreter is, also one that is refused. One that cannot be run is the business of py_interpreter.
-spec described(py_config:pool_config(), file:filename()) -> [py_doctor:finding()].
described(Config, Script) ->
    case py_interpreter:locate(Config) of
        {ok, Path} ->
            case py_interpreter:run(Path, [filename:absname(Script)], Config) of
                {ok, Output} -> about(facts(Output), Path, Config);
                {error, _} -> []
            end;
        {error, _} ->
            []
    end.

%% A start-up file of the site may print before us.
-spec facts(binary()) -> facts().
facts(Output) ->
    case binary:split(Output, ?MARK) of
        [_, Answer] ->
            Lines = [binary:split(Line, <<"\t">>) || Line <- binary:split(Answer, <<"\n">>, [global])],
            maps:from_list([{Key, Value} || [Key, Value] <- Lines]);
        _ ->
            #{}
    end.

-spec about(facts(), file:filename_all(), py_config:pool_config()) -> [py_doctor:finding()].
about(#{<<"implementation">> := _, <<"version">> := _} = Facts, Path, Config) ->
    [identity(Facts, Path), build(Facts)] ++ environment(Facts, Config) ++ packages(Facts) ++ variables(Facts);
about(_, _, _) ->
    [].

identity(#{<<"implementation">> := Implementation, <<"version">> := Version} = Facts, Path) ->
    Gil = case Facts of #{<<"free_threaded">> := <<"1">>} -> "free-threaded"; _ -> "with a GIL" end,
    {ok, text("~ts: ~ts ~ts, ~ts bits, ~ts", [maps:get(<<"executable">>, Facts, Path), Implementation, Version, maps:get(<<"bits">>, Facts, <<"?">>), Gil])}.

build(Facts) ->
    Flags = maps:get(<<"flags">>, Facts, <<>>),
    Library =
        case Facts of
            #{<<"libpython">> := <<"none">>} -> "no shared libpython";
            #{<<"libpython">> := Path} -> ["shared libpython ", Path];
            _ -> "libpython unknown"
        end,
    Text = text("built with ~ts; ~ts", [case Flags of <<>> -> <<"unknown flags">>; _ -> Flags end, Library]),
    Slow = lists:member(<<"-O0">>, binary:split(Flags, <<" ">>, [global])),
    case Facts of
        #{<<"debug">> := <<"1">>} -> {warning, Text ++ ": a debug build, which is slow; take a release build"};
        _ when Slow -> {warning, Text ++ ": not optimised; take a build with -O2 or more, best with --enable-optimizations"};
        _ -> {ok, Text}
    end.

environment(Facts, Config) ->
    Own =
        case Facts of
            #{<<"prefix">> := Prefix, <<"base_prefix">> := Base} when Prefix =/= Base ->
                text("virtual environment ~ts of ~ts", [Prefix, maps:get(<<"venv_home">>, Facts, Base)]);
            #{<<"prefix">> := Prefix} ->
                text("no virtual environment, prefix ~ts", [Prefix]);
            _ ->
                "prefix unknown"
        end,
    Entered = case Config of #{python := P, venv := Venv} when P =/= undefined, Venv =/= undefined -> [{ok, text("enters ~ts", [Venv])}]; _ -> [] end,
    [{ok, Own} | Entered].

packages(Facts) ->
    Site = [{ok, text("packages in ~ts", [Dir])} || #{<<"site_packages">> := Dir} <- [Facts]],
    Installer =
        case {Facts, os:find_executable("uv")} of
            {#{<<"venv">> := _, <<"pip">> := Pip}, _} -> {ok, text("venv, pip ~ts", [Pip])};
            {#{<<"venv">> := _, <<"ensurepip">> := _}, _} -> {ok, "venv, ensurepip"};
            {_, false} -> {warning, "without venv and pip, and without uv on PATH, py:ensure_venv makes no environment: install uv, or python3-venv on Debian"};
            {_, _} -> {ok, "no venv and pip: py:ensure_venv takes uv"}
        end,
    Site ++ [Installer].

variables(Facts) ->
    [
        {warning, text("PYTHONHOME is ~ts, which misleads all but one interpreter: unset it, or set {env, [{\"PYTHONHOME\", false}]}", [Home])}
     || #{<<"pythonhome">> := Home} <- [Facts]
    ] ++ [{ok, text("PYTHONPATH is ~ts", [Path])} || #{<<"pythonpath">> := Path} <- [Facts]].

%% A library that the loader did not find is not the interpreter's to name.
library_hint(Text) ->
    case string:find(Text, "error while loading shared libraries") of
        nomatch -> "";
        _ -> " Its library is missing: install it, or name its directory in LD_LIBRARY_PATH or /etc/ld.so.conf."
    end.

threads(#{num_workers := Workers} = Config) ->
    Variable =
        case lists:keyfind("OMP_NUM_THREADS", 1, py_threads:environment(Config)) of
            {_, false} -> "not set";
            {_, Value} -> Value;
            false -> os:getenv("OMP_NUM_THREADS", "not set")
        end,
    {ok, text("~b workers with OMP_NUM_THREADS ~ts", [Workers, Variable])}.

%% Those that run, or one that is started to see whether it can.
-spec workers(atom(), py_config:pool_config(), py_interpreter:interpreter(), boolean()) -> [py_doctor:finding()].
workers(_, _, _, false) ->
    [];
workers(Name, Config, Interpreter, true) ->
    case py_pool:get_stats(Name) of
        #{failing := true, last_errors := Errors} ->
            [{problem, text("no worker stays up: ~ts", [lists:join("; ", lists:usort(Errors))])}];
        #{num_workers := Workers, ready_workers := Ready} ->
            [{ok, text("the pool runs, ~b of ~b workers serve", [Ready, Workers])}];
        {error, not_started} ->
            py_doctor_trial:findings(Config, Interpreter)
    end.

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
