%% @doc Finds the Python interpreter of a pool and asks it what it is, by running it once.
%%
%% `python3' on the PATH may be a shell script that chooses a version; what counts is `sys.executable'.
-module(py_interpreter).

-export([find/1, locate/1, run/3, core/1, environment/1]).

-export_type([interpreter/0, version/0, reason/0]).

-type version() :: {0..99, 0..99, 0..99}.
-type interpreter() :: #{
    executable := binary(), prefix := binary(), version := version(), free_threaded := boolean(), text := binary(), home := [binary(), ...]
}.
%% `text' is `sys.version'; `home' are the directories and files that it needs: prefixes and `sys.path'.
-type reason() :: {no_python, string()}.
%% What is missing and how to set it, for people.

-define(MARK, "erlang_python probe").
-define(HINT,
    ". Set {python, \"/path/to/python3\"} (CPython 3.9 or later, 64 bits) or {venv, \"/path/to/venv\"}"
    " in the environment of application erlang_python."
).

%% @doc The interpreter of a pool with this configuration. Starts a process; takes some 10 ms.
-spec find(py_config:pool_config()) -> {ok, interpreter()} | {error, reason()}.
find(Config) ->
    case locate(Config) of
        {ok, Path} ->
            case run(Path, ["-c", script()], Config) of
                {ok, Output} -> enters(Config, judge(Path, Output));
                {error, Reason} -> {error, {no_python, not_run(Path, Reason)}}
            end;
        {error, Reason} ->
            {error, {no_python, Reason}}
    end.

%% @doc What {@link find/1} asks.
-spec locate(py_config:pool_config()) -> {ok, file:filename_all()} | {error, string()}.
locate(#{python := undefined, venv := undefined}) ->
    case os:getenv("VIRTUAL_ENV") of
        Venv when is_list(Venv), Venv =/= "" -> venv(Venv, "VIRTUAL_ENV");
        _ -> on_path("python3")
    end;
locate(#{python := undefined, venv := Venv}) ->
    venv(Venv, "venv");
locate(#{python := Python}) ->
    case filelib:is_dir(Python) of
        true -> venv(Python, "python");
        false -> interpreter(Python)
    end.

%% A name is looked for on the PATH, a path is one from the current directory. What an interpreter is that cannot be executed may be known.
-spec interpreter(file:filename_all()) -> {ok, file:filename_all()} | {error, string()}.
interpreter(Python) ->
    Path = case filename:split(Python) of [_] -> Python; _ -> filename:absname(Python) end,
    case {on_path(Path), base_gone(Path)} of
        {{error, _}, {true, Text}} -> {error, Text};
        {Found, _} -> Found
    end.

-spec venv(file:filename_all(), string()) -> {ok, file:filename_all()} | {error, string()}.
venv(Dir, Origin) ->
    Python = filename:join([Dir, "bin", "python"]),
    case {filelib:is_regular(Python), base_gone(Python)} of
        {true, _} -> {ok, Python};
        {false, {true, Text}} -> {error, Text};
        {false, false} -> {error, text("~ts is ~ts, which is no virtual environment: there is no ~ts" ++ ?HINT, [Origin, Dir, Python])}
    end.

-spec not_run(file:filename_all(), string()) -> string().
not_run(Path, Reason) ->
    case base_gone(Path) of
        {true, Text} -> Text;
        false -> text("could not run ~ts: ~ts" ++ ?HINT, [Path, Reason])
    end.

%% Whether an interpreter is that of a virtual environment whose Python was removed.
-spec base_gone(file:filename_all()) -> false | {true, string()}.
base_gone(Path) ->
    Dir = filename:dirname(filename:dirname(Path)),
    case file:read_file(filename:join(Dir, "pyvenv.cfg")) of
        {ok, Config} ->
            case re:run(Config, "^home\\s*=\\s*(.*?)\\s*$", [multiline, {capture, all_but_first, binary}]) of
                {match, [Home]} ->
                    Gone = "the virtual environment ~ts is of a Python that is gone: there is no ~ts. Make it anew with `python3 -m venv --clear'",
                    not filelib:is_dir(Home) andalso {true, text(Gone ++ ?HINT, [Dir, Home])};
                nomatch ->
                    false
            end;
        {error, _} ->
            false
    end.

%% With both options the interpreter enters the environment of another, which must be of its minor version.
-spec enters(py_config:pool_config(), {ok, interpreter()} | {error, reason()}) -> {ok, interpreter()} | {error, reason()}.
enters(#{venv := Venv}, {ok, #{executable := Path, version := Version, text := Text}} = Found) when Venv =/= undefined ->
    case py_venv:check(Venv, Version) of
        true -> Found;
        false -> refuse(Path, "is Python ~ts; venv is ~ts, which is no virtual environment of this version", [Text, Venv])
    end;
enters(_, Found) ->
    Found.

-spec on_path(file:filename_all()) -> {ok, file:filename_all()} | {error, string()}.
on_path(Name) ->
    case os:find_executable(unicode:characters_to_list(Name)) of
        false -> {error, text("there is no executable ~ts" ++ ?HINT, [Name])};
        Path -> {ok, Path}
    end.

%% The probe is valid Python 2, so that an old interpreter gets a clear answer.
script() ->
    "import sys, platform\n"
    "v = sys.version_info\n"
    "free = 0\n"
    "if v >= (3, 13):\n"
    "    import sysconfig\n"
    "    free = 1 if sysconfig.get_config_var('Py_GIL_DISABLED') else 0\n"
    "print('\\n'.join(['" ?MARK "', '%d %d %d' % tuple(v[:3]), platform.python_implementation(),"
    " '64' if sys.maxsize > 2 ** 32 else '32', str(free), sys.executable or '', sys.prefix, ' '.join(sys.version.split()),"
    " getattr(sys, 'base_prefix', ''), getattr(sys, 'base_exec_prefix', ''), sys.exec_prefix] + sys.path))\n".

%% @doc Runs what {@link locate/1} has found, as a worker is run. Its output.
-spec run(file:filename_all(), [string()], py_config:pool_config()) -> {ok, binary()} | {error, string()}.
run(Path, Args, Config) ->
    Cd = case Config of #{cd := Dir} when Dir =/= undefined -> [{cd, Dir}]; _ -> [] end,
    py_program:run(Path, Args, [{env, environment(Config)} | Cd]).

-spec judge(file:filename_all(), binary()) -> {ok, interpreter()} | {error, reason()}.
judge(Path, Output) ->
    %% A start-up file of the site may print before us.
    case binary:split(Output, <<?MARK "\n">>) of
        [_, Answer] ->
            case binary:split(Answer, <<"\n">>, [global]) of
                [Version, Implementation, Bits, Free, Executable, Prefix, Text | Rest] ->
                    [Major, Minor, Micro] = [binary_to_integer(N) || N <- binary:split(Version, <<" ">>, [global])],
                    %% `-c' puts the empty string in front of sys.path.
                    Home = lists:usort([Prefix | [Entry || Entry <- Rest, Entry =/= <<>>]]),
                    Found = #{
                        executable => Executable,
                        prefix => Prefix,
                        version => {Major, Minor, Micro},
                        free_threaded => Free =:= <<"1">>,
                        text => Text,
                        home => Home
                    },
                    usable(Path, Implementation, Bits, Found);
                _ ->
                    {error, {no_python, text("~ts answered ~ts" ++ ?HINT, [Path, py_program:last_line(Answer)])}}
            end;
        _ ->
            {error, {no_python, text("~ts is no Python interpreter: it answered ~ts" ++ ?HINT, [Path, py_program:last_line(Output)])}}
    end.

-spec usable(file:filename_all(), binary(), binary(), interpreter()) -> {ok, interpreter()} | {error, reason()}.
usable(Path, Implementation, _, _) when Implementation =/= <<"CPython">> ->
    refuse(Path, "is ~ts; only CPython can load the worker", [Implementation]);
usable(Path, _, _, #{version := Version, text := Text}) when Version < {3, 9, 0} ->
    refuse(Path, "is Python ~ts; 3.9 or later is needed", [Text]);
usable(Path, _, <<"32">>, _) ->
    refuse(Path, "is a 32-bit build; 64 bits are needed", []);
usable(Path, _, _, #{executable := <<>>}) ->
    refuse(Path, "does not know its own path (sys.executable is empty)", []);
usable(Path, _, _, #{free_threaded := true, version := Version, text := Text}) when Version < {3, 14, 0} ->
    refuse(Path, "is a free-threaded build (~ts), which can load the worker from 3.14 on only", [Text]);
usable(Path, _, _, #{free_threaded := true, text := Text} = Found) ->
    Core = core(Found),
    case filelib:is_regular(Core) of
        true -> {ok, Found};
        false ->
            Hint = "is a free-threaded build (~ts), for which the worker was not built: there is no ~ts. Build it with `make native FREE_THREADED=~ts'",
            {error, {no_python, text("~ts " ++ Hint, [Path, Text, Core, Path])}}
    end;
usable(_, _, _, Found) ->
    {ok, Found}.

%% @doc The worker's library for an interpreter: one for all that have a GIL, one for each version that has none.
-spec core(interpreter()) -> file:filename().
core(#{free_threaded := Free, version := {Major, Minor, _}}) ->
    Name = case Free of false -> "py_core.so"; true -> text("py_core.cpython-~b~bt.so", [Major, Minor]) end,
    filename:join(py_app:priv(), Name).

refuse(Path, Format, Args) ->
    {error, {no_python, text("~ts " ++ Format ++ ?HINT, [Path | Args])}}.

%% @doc What `open_port/2' is told about the environment: the variables that a worker shall not see,
%% and those that it gets. The node's own variables (cookie, release, runtime) never reach a worker.
-spec environment(py_config:pool_config()) -> [{string(), string() | false}].
environment(#{env := Env}) ->
    case Env of
        inherit -> hidden(fun secret/1);
        clean -> hidden(fun(Name) -> not plain(Name) end);
        List ->
            Own = [{unicode:characters_to_list(N), value(V)} || {N, V} <- List],
            [{N, false} || {N, false} <- hidden(fun secret/1), not lists:keymember(N, 1, Own)] ++ Own
    end.

-spec value(false | unicode:chardata()) -> false | string().
value(false) -> false;
value(Value) -> unicode:characters_to_list(Value).

-spec hidden(fun((string()) -> boolean())) -> [{string(), false}].
hidden(Hide) ->
    [{Name, false} || {Name, _} <- os:env(), Hide(Name)].

-spec secret(string()) -> boolean().
secret("RELEASE_" ++ _) -> true;
secret("ERL_" ++ _) -> true;
secret("ERLANG_COOKIE" ++ _) -> true;
secret(Name) -> lists:member(Name, ["ROOTDIR", "BINDIR", "EMU", "PROGNAME", "ESCRIPT_NAME"]).

-spec plain(string()) -> boolean().
plain("LC_" ++ _) -> true;
plain(Name) -> lists:member(Name, ["PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"]).

-spec text(string(), [term()]) -> string().
text(Format, Args) ->
    lists:flatten(io_lib:format(Format, Args)).
