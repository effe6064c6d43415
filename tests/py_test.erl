%% Helpers of the suites: start and stop of the application with a leak check, conditions, peer nodes.
-module(py_test).

-export([start/0, start/1, stop/0, restart/1, settled/0, clear_env/0, apps/0]).
-export([landlock/0, until/1, until/2, timed/1, parallel_within/4, python/0, pythons/0, version/1, python_with_packages/1, define/1]).
-export([os_pids/0, os_pids/1, alive/1, whole/1, kill/2, mailbox/0, ticks/1]).
-export([peer/1, peer_stop/1]).

-define(PATIENCE, 20000).

%% The directory of the web applications.
apps() ->
    %% priv is a link into the repository.
    filename:join(code:priv_dir(erlang_python), "../tests/apps").

%% The interpreter under test: PY_TEST_PYTHON, default python3.
python() ->
    os:getenv("PY_TEST_PYTHON", "python3").

%% The CPythons of this machine that workers can run on, one of each version, in the order of their versions.
-spec pythons() -> [{Version :: string(), Path :: string()}, ...].
pythons() ->
    Find = filename:join(code:priv_dir(erlang_python), "../tests/pythons.sh"),
    Lines = string:lexemes(os:cmd(". " ++ Find ++ "; versions_of_python " ++ python()), "\n"),
    [{Version, Path} || Line <- Lines, [Version, Path] <- [string:split(Line, " ")]].

version(Python) ->
    string:trim(os:cmd(Python ++ " -c 'import platform; print(platform.python_version())'")).

%% Where `.ci/setup test' puts an interpreter with the packages of tests/requirements-packages.txt.
python_with_packages(Version) ->
    Root = string:trim(os:cmd("cd -P " ++ filename:join(code:priv_dir(erlang_python), "..") ++ " && pwd")),
    filename:join([Root, "_build", "packages", Version, "bin", "python"]).

%% PY_TEST_SANDBOX is a value of option sandbox, for running other suites inside one: `true', `#{read => all}'.
sandbox() ->
    case os:getenv("PY_TEST_SANDBOX") of
        false ->
            [];
        Text ->
            {ok, Tokens, _} = erl_scan:string(Text ++ "."),
            {ok, Sandbox} = erl_parse:parse_term(Tokens),
            [{sandbox, Sandbox}]
    end.

%% The Landlock that the kernel has, 0 for none.
landlock() ->
    Ask = " -c 'import ctypes; print(max(0, ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)))'",
    list_to_integer(string:trim(os:cmd(python() ++ Ask))).

start() ->
    start([]).

start(Env) ->
    _ = application:load(erlang_python),
    clear_env(),
    Defaults = [{python, python()}, {num_workers, 2}, {num_subinterp_workers, 2}, {kill_grace, 1000} | sandbox()],
    maps:foreach(
        fun(Key, Value) -> ok = application:set_env(erlang_python, Key, Value) end,
        maps:merge(maps:from_list(Defaults), maps:from_list(Env))
    ),
    case application:ensure_all_started(erlang_python) of
        {ok, _} -> ok;
        {error, Reason} -> {error, Reason}
    end.

clear_env() ->
    [application:unset_env(erlang_python, Key) || {Key, _} <- application:get_all_env(erlang_python), Key =/= included_applications],
    ok.

%% Nothing may be left in flight before the application stops, and nothing at all after it.
stop() ->
    settled(),
    Workers = os_pids(),
    ok = application:stop(erlang_python),
    clear_env(),
    py_health:nothing_left(),
    until(fun() -> not lists:any(fun alive/1, Workers) end),
    ok.

restart(Env) ->
    stop(),
    start(Env).

settled() ->
    until(fun() -> maps:with([slab_in_use, waiting], py_nif:nif_info()) =:= #{slab_in_use => 0, waiting => 0} end),
    until(fun() -> py_nif:permits() =:= 0 end).

until(Condition) ->
    until(Condition, ?PATIENCE).

until(Condition, Timeout) ->
    until_deadline(Condition, erlang:monotonic_time(millisecond) + Timeout).

until_deadline(Condition, Deadline) ->
    case Condition() of
        true ->
            ok;
        Other ->
            case erlang:monotonic_time(millisecond) > Deadline of
                true -> ct:fail({condition_not_reached, Condition, Other, catch py_nif:nif_info()});
                false -> receive after 5 -> until_deadline(Condition, Deadline) end
            end
    end.

%% Milliseconds and the result.
timed(Fun) ->
    {Time, Result} = timer:tc(Fun),
    {Time div 1000, Result}.

%% Whether two equal calls side by side take at most `Share' of the time of one after the other. Other work on the machine disturbs single
%% measurements: one good one of so many shows that it is parallel.
parallel_within(0, _Share, _Parallel, _Call) ->
    serial;
parallel_within(Tries, Share, Parallel, Call) ->
    {Serial, _} = timed(fun() -> [{ok, [{ok, _}]} = Parallel([One]) || One <- [Call, Call]] end),
    {Together, {ok, [{ok, _}, {ok, _}]}} = timed(fun() -> Parallel([Call, Call]) end),
    ct:log("~b ms, one after another ~b ms", [Together, Serial]),
    case Together =< Share * Serial of
        true -> parallel;
        false -> parallel_within(Tries - 1, Share, Parallel, Call)
    end.

%% Defines functions on every worker of the common pools.
define(Code) ->
    ok = py:exec_all(Code).

os_pids() ->
    [Pid || #{os_pid := Pid} <- py:workers(), is_integer(Pid)].

os_pids(Pool) ->
    lists:sort([Pid || #{pool := P, os_pid := Pid, state := ready} <- py:workers(), P =:= Pool]).

%% A zombie is dead: who reaps it is none of our business.
alive(OsPid) ->
    case file:read_file("/proc/" ++ integer_to_list(OsPid) ++ "/stat") of
        {ok, Stat} -> state(Stat) =/= <<"Z">>;
        {error, _} -> false
    end.

state(Stat) ->
    [State | _] = fields(Stat),
    State.

%% The fields after the name, which may hold anything.
fields(Stat) ->
    [_, Rest] = string:split(Stat, ") ", trailing),
    binary:split(Rest, <<" ">>, [global]).

%% User and system time of a process in clock ticks.
ticks(OsPid) ->
    {ok, Stat} = file:read_file("/proc/" ++ integer_to_list(OsPid) ++ "/stat"),
    Fields = fields(Stat),
    binary_to_integer(lists:nth(12, Fields)) + binary_to_integer(lists:nth(13, Fields)).

%% Waits until a pool has all its workers.
whole(Pool) ->
    until(fun() ->
        #{num_workers := N, ready_workers := Ready} = py_pool:get_stats(Pool),
        Ready =:= N andalso lists:all(fun alive/1, os_pids(Pool))
    end).

kill(Signal, OsPid) ->
    [] = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(OsPid)),
    ok.

mailbox() ->
    {messages, Messages} = process_info(self(), messages),
    Messages.

%% A node in an operating-system process of its own, with the application started.
peer(Env) ->
    Erl = os:find_executable("erl"),
    Paths = lists:append([["-pa", Dir] || Dir <- code:get_path(), string:find(Dir, "erlang_python") =/= nomatch]),
    Settings = lists:append([
        [atom_to_list(Key), lists:flatten(io_lib:format("~w", [Value]))]
     || {Key, Value} <- [{python, python()}, {num_workers, 2} | Env]
    ]),
    Script =
        "{ok, _} = application:ensure_all_started(erlang_python),"
        " io:format(\"READY ~s ~w.~n\", [os:getpid(), [P || #{os_pid := P} <- py:workers()]]).",
    Port = open_port({spawn_executable, Erl}, [
        {args, ["-noinput", "-noshell"] ++ Paths ++ ["-erlang_python"] ++ Settings ++ ["-eval", Script]},
        {line, 4096}, binary, exit_status, stderr_to_stdout
    ]),
    await_peer(Port).

await_peer(Port) ->
    receive
        {Port, {data, {eol, <<"READY ", Text/binary>>}}} ->
            [Node, Workers] = string:split(Text, " "),
            {ok, Tokens, _} = erl_scan:string(binary_to_list(Workers)),
            {ok, Pids} = erl_parse:parse_term(Tokens),
            #{port => Port, os_pid => binary_to_integer(Node), workers => Pids};
        {Port, {data, {_, Line}}} ->
            ct:pal("peer: ~ts", [Line]),
            await_peer(Port);
        {Port, {exit_status, Status}} ->
            ct:fail({peer_ended, Status})
    after 60000 ->
        ct:fail(peer_silent)
    end.

peer_stop(#{port := Port, os_pid := OsPid}) ->
    _ = os:cmd("kill -9 " ++ integer_to_list(OsPid)),
    catch port_close(Port),
    ok.
