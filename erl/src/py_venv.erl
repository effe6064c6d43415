%% @doc Virtual environments: entering and leaving them while workers run, and making them.
%%
%% The active environment is a setting of {@link py_exec_log}, so workers that start later have it as well. In the worker
%% `_erlang_venv.py' does the work; making one is the job of `make_venv.py', which runs as a program of its own.
-module(py_venv).

-export([activate/1, deactivate/0, info/0, ensure/3, check/2, configure/1]).

-export_type([path/0, info/0, requirements/0, options/0]).

-define(TIMEOUT, 30000).
%% Installers download and compile.
-define(ENSURE_TIMEOUT, 300000).
%% As in make_venv.py.
-define(STAMP, ".erlang_python").

-type path() :: string() | binary() | atom().
-type info() :: #{active := boolean(), venv_path => binary(), site_packages => binary(), source => activated | configured}.
%% `configured': it comes from option `venv' or `python' of pool `default'.
-type requirements() :: [string() | binary()] | {file, path()} | path().
%% Requirements as pip has them, or the path of a file of them.
-type options() :: #{
    timeout => timeout(), installer => auto | uv | pip, args => [string() | binary()], python => file:filename_all(), activate => boolean(),
    force => boolean()
}.
%% `args' go to the installer, `python' is the interpreter to make it with instead of that of pool `default', for a pool of that; it is not
%% activated then unless that is asked for. `force' installs even if the same was installed before. The timeout is 5
%% minutes, unless given.
%% @doc Enters an environment in every worker.
-spec activate(path()) -> ok | py_everywhere:failure().
activate(Path) ->
    case usable(Path) of
        {ok, Dir} -> enter(Dir);
        {error, _} = Error -> Error
    end.

-spec enter(binary()) -> ok | py_everywhere:failure().
enter(Dir) ->
    py_exec_log:set(venv, entering(Dir), {call, '_erlang_venv', deactivate, [], []}, ?TIMEOUT).

-spec entering(binary()) -> py_nif:request().
entering(Dir) ->
    {call, '_erlang_venv', activate, [Dir], []}.

%% @doc Leaves the environment.
-spec deactivate() -> ok | py_everywhere:failure().
deactivate() ->
    py_exec_log:unset(venv, ?TIMEOUT).

%% @doc The environment that workers are in.
-spec info() -> {ok, info()} | {error, not_started}.
info() ->
    case {py_exec_log:setting(venv), py_pool:native(default)} of
        {_, undefined} ->
            {error, not_started};
        {{ok, {call, _, _, [Dir], _}}, _} ->
            {ok, described(Dir, activated)};
        {none, _} ->
            #{venv := Venv, interpreter := #{prefix := Prefix}} = py_pool:spec(default),
            Dir = case Venv of undefined -> Prefix; _ -> bytes(filename:absname(Venv)) end,
            case filelib:is_regular(filename:join(Dir, "pyvenv.cfg")) of
                true -> {ok, described(Dir, configured)};
                false -> {ok, #{active => false}}
            end
    end.

-spec described(binary(), activated | configured) -> info().
described(Dir, Source) ->
    #{interpreter := #{version := Version}} = py_pool:spec(default),
    #{active => true, venv_path => Dir, site_packages => site_packages(Dir, Version), source => Source}.

%% @private What a worker of a pool with option `venv' runs first.
-spec configure(file:filename_all()) -> py_nif:request().
configure(Path) ->
    {call, '_erlang_venv', configure, [bytes(filename:absname(Path))], []}.

%% @doc Whether a directory is an environment of this version of Python.
-spec check(file:filename_all(), py_interpreter:version()) -> boolean().
check(Dir, Version) ->
    case file:read_file(filename:join(Dir, "pyvenv.cfg")) of
        {ok, Config} -> filelib:is_dir(site_packages(Dir, Version)) andalso is_of(Config, Version);
        {error, _} -> false
    end.

%% `version = 3.11.7' (venv) or `version_info = 3.11.7.final.0' (virtualenv, uv); some tools write none.
-spec is_of(binary(), py_interpreter:version()) -> boolean().
is_of(Config, {Major, Minor, _}) ->
    case re:run(Config, "^version(?:_info)?\\s*=\\s*(\\d+)\\.(\\d+)", [multiline, {capture, all_but_first, binary}]) of
        {match, [A, B]} -> {binary_to_integer(A), binary_to_integer(B)} =:= {Major, Minor};
        nomatch -> true
    end.

-spec site_packages(file:filename_all(), py_interpreter:version()) -> binary().
site_packages(Dir, {Major, Minor, _}) ->
    bytes(filename:join([Dir, "lib", io_lib:format("python~b.~b", [Major, Minor]), "site-packages"])).

%% A path of an environment that every common pool can enter.
-spec usable(term()) -> {ok, binary()} | {error, py:reason()}.
usable(Path) ->
    case {directory(Path), versions()} of
        {error, _} ->
            {error, {badarg, path}};
        {_, []} ->
            {error, not_started};
        {{ok, Dir}, Versions} ->
            case lists:all(fun(Version) -> check(Dir, Version) end, Versions) of
                true -> {ok, Dir};
                false -> {error, {invalid_venv, Path}}
            end
    end.

-spec versions() -> [py_interpreter:version()].
versions() ->
    lists:usort([
        Version
     || Name <- py_pool:names(), py_everywhere:is_common(Name), #{interpreter := #{version := Version}} <- [py_pool:spec(Name)]
    ]).

%% An absolute path. Workers may have another current directory.
-spec directory(term()) -> {ok, binary()} | error.
directory(Path) ->
    case text(Path) of
        {ok, Text} -> {ok, bytes(filename:absname(Text))};
        error -> error
    end.

-spec text(term()) -> {ok, binary()} | error.
text(Atom) when is_atom(Atom) ->
    text(atom_to_binary(Atom));
text(Text) ->
    case py_text:utf8(Text) of
        {ok, Binary} -> c_string(Binary);
        %% Names of files need not be UTF-8.
        error when is_binary(Text) -> c_string(Text);
        error -> error
    end.

-spec c_string(binary()) -> {ok, binary()} | error.
c_string(Text) ->
    case Text =/= <<>> andalso binary:match(Text, <<0>>) =:= nomatch of
        true -> {ok, Text};
        false -> error
    end.

-spec bytes(file:filename_all()) -> binary().
bytes(Path) when is_binary(Path) -> Path;
bytes(Path) -> unicode:characters_to_binary(Path).

%% @doc Makes an environment unless it is there, installs the requirements unless these were installed last, and enters it. Blocks the
%% calling process only.
-spec ensure(path(), requirements(), options()) -> ok | py_everywhere:failure().
ensure(Path, Requirements, Options0) ->
    case {directory(Path), required(Requirements), options(Options0), py_pool:native(default)} of
        {error, _, _, _} -> {error, {badarg, path}};
        {_, {error, _} = Error, _, _} -> Error;
        {_, _, {error, _} = Error, _} -> Error;
        {_, _, _, undefined} -> {error, not_started};
        {{ok, Dir}, {ok, Arguments, Contents}, ok, _} ->
            Defaults = #{
                timeout => ?ENSURE_TIMEOUT, installer => auto, args => [], activate => not is_map_key(python, Options0), force => false
            },
            Options = maps:merge(Defaults, Options0),
            case maker(Options) of
                {ok, Spec} -> ensure(Path, Dir, Arguments, Contents, Spec, Options);
                {error, _} = Error -> Error
            end
    end.

-spec ensure(path(), binary(), [binary()], [binary()], py_pool:spec(), options()) -> ok | py_everywhere:failure().
ensure(Path, Dir, Arguments, Contents, #{interpreter := #{version := {Major, Minor, _} = Version}} = Spec, #{args := Args} = Options) ->
    Stamp = stamp({Major, Minor, Arguments, Contents, Args}),
    case is_there(Dir, Version, Stamp, Options) of
        true ->
            entered(Dir, present, Options);
        false ->
            case make(Dir, Stamp, Arguments, Spec, Options) of
                ok -> entered(Dir, made, Options);
                invalid -> {error, {invalid_venv, Path}};
                {error, _} = Error -> Error
            end
    end.

%% Pool `default', with the interpreter that makes the environment.
-spec maker(options()) -> {ok, py_pool:spec()} | {error, py_interpreter:reason()}.
maker(#{python := Python}) ->
    Spec = py_pool:spec(default),
    case py_interpreter:find(Spec#{python := Python, venv := undefined}) of
        {ok, Interpreter} -> {ok, Spec#{interpreter := Interpreter}};
        {error, _} = Error -> Error
    end;
maker(_) ->
    {ok, py_pool:spec(default)}.

-spec entered(binary(), present | made, options()) -> ok | py_everywhere:failure().
entered(_Dir, _, #{activate := false}) ->
    ok;
entered(Dir, present, _) ->
    Active = {ok, entering(Dir)},
    case py_exec_log:setting(venv) of
        Active -> ok;
        _ -> activate(Dir)
    end;
entered(Dir, made, _) ->
    activate(Dir).

-spec is_there(binary(), py_interpreter:version(), binary(), options()) -> boolean().
is_there(_, _, _, #{force := true}) ->
    false;
is_there(Dir, Version, Stamp, _) ->
    file:read_file(filename:join(Dir, ?STAMP)) =:= {ok, Stamp} andalso check(Dir, Version).

stamp(Term) ->
    <<Number:128>> = erlang:md5(term_to_binary(Term)),
    integer_to_binary(Number, 16).

%% The arguments for the program, and what a file of requirements holds.
-spec required(term()) -> {ok, [binary()], [binary()]} | {error, py:reason()}.
required({file, File}) ->
    case directory(File) of
        {ok, Path} ->
            case file:read_file(Path) of
                {ok, Contents} -> {ok, [<<"--file=", Path/binary>>], [Contents]};
                {error, Reason} -> {error, {Reason, unicode:characters_to_list(Path)}}
            end;
        error -> {error, {badarg, requirements}}
    end;
required([]) ->
    {ok, [], []};
required([Head | _] = List) when not is_integer(Head) ->
    try [requirement(R) || R <- List] of
        Arguments -> {ok, Arguments, []}
    catch
        error:_ -> {error, {badarg, requirements}}
    end;
required(File) ->
    required({file, File}).

%% An option in the place of a requirement is refused: that is what `args' are for.
requirement(Requirement) ->
    {ok, <<First, _/binary>> = Text} = text(Requirement),
    true = First =/= $-,
    <<"--require=", Text/binary>>.

-spec options(term()) -> ok | {error, py:reason()}.
options(Options) when is_map(Options) ->
    case [Key || {Key, Value} <- maps:to_list(Options), not option(Key, Value)] of
        [] -> ok;
        [Key | _] -> {error, {bad_option, Key}}
    end;
options(_) ->
    {error, {badarg, options}}.

-spec option(term(), term()) -> boolean().
option(timeout, T) -> T =:= infinity orelse (is_integer(T) andalso T >= 0 andalso T =< 16#ffffffff);
option(installer, I) -> lists:member(I, [auto, uv, pip]);
option(args, L) -> is_list(L) andalso lists:all(fun(A) -> text(A) =/= error end, L);
option(python, P) -> directory(P) =/= error andalso not is_atom(P);
option(activate, B) -> is_boolean(B);
option(force, B) -> is_boolean(B);
option(_, _) -> false.

-spec make(binary(), binary(), [binary()], py_pool:spec(), options()) -> ok | invalid | {error, py:reason()}.
make(Dir, Stamp, Requirements, Spec, #{timeout := Timeout, installer := Installer, args := Args, force := Force}) ->
    case {os:find_executable("uv"), Installer} of
        {false, uv} ->
            {error, {venv_failed, "there is no uv on the PATH"}};
        {Uv, _} ->
            Arguments =
                [<<"--path=", Dir/binary>>, <<"--stamp=", Stamp/binary>>] ++
                    ["--force" || Force] ++
                    ["--uv=" ++ Uv || Uv =/= false, Installer =/= pip] ++
                    Requirements ++
                    [<<"--option=", Text/binary>> || Arg <- Args, {ok, Text} <- [text(Arg)]],
            run(Arguments, Spec, Timeout)
    end.

-spec run([string() | binary()], py_pool:spec(), timeout()) -> ok | invalid | {error, py:reason()}.
run(Arguments, #{interpreter := #{executable := Python}} = Spec, Timeout) ->
    Script = filename:join(py_app:priv(), "make_venv.py"),
    Settings = [
        {args, ["-I", filename:absname(Script) | Arguments]}, {env, py_interpreter:environment(Spec)},
        binary, exit_status, stderr_to_stdout, hide
    ],
    Caller = self(),
    %% The port ends with its owner, and the program with the port.
    {Pid, Monitor} = spawn_monitor(fun() ->
        Gone = monitor(process, Caller),
        exit({ended, collect(open_port({spawn_executable, Python}, Settings), Gone, [])})
    end),
    receive
        {'DOWN', Monitor, process, Pid, {ended, Result}} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> {error, {venv_failed, lists:flatten(io_lib:format("~tp", [Reason]))}}
    after Timeout ->
        true = demonitor(Monitor, [flush]),
        true = exit(Pid, kill),
        {error, timeout}
    end.

-spec collect(port(), reference(), iodata()) -> ok | invalid | {error, py:reason()}.
collect(Port, Gone, Output) ->
    receive
        {Port, {data, Data}} -> collect(Port, Gone, [Output, Data]);
        {Port, {exit_status, 0}} -> ok;
        {Port, {exit_status, 2}} -> invalid;
        {Port, {exit_status, _}} -> {error, {venv_failed, lossy(iolist_to_binary(Output))}};
        {'DOWN', Gone, process, _, _} -> exit(normal)
    end.

-spec lossy(binary()) -> string().
lossy(Output) ->
    case unicode:characters_to_list(Output) of
        Text when is_list(Text) -> Text;
        _ -> binary_to_list(Output)
    end.
