%% What node and workers see of each other: memory without names and with seals, environment, atoms, other nodes, other builds.
-module(py_isolation_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        no_names, mappings, seals, environment, environment_of_installers, threads_of_libraries, atoms,
        no_library, wrong_library, no_host, wrong_core, two_nodes, two_nodes_with_names
    ].

init_per_testcase(_Case, Config) ->
    Config.

end_per_testcase(_Case, _Config) ->
    case lists:keymember(erlang_python, 1, application:which_applications()) of
        true -> py_test:stop();
        false -> ok
    end.

helpers() ->
    <<"
import ctypes, errno, fcntl, mmap, os

def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'done'

def descriptors(pid, name):
    found = []
    for number in os.listdir(f'/proc/{pid}/fd'):
        path = f'/proc/{pid}/fd/{number}'
        try:
            if name in os.readlink(path):
                found.append(path)
        except OSError:
            pass
    return found

def seals(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return fcntl.fcntl(fd, 1034)
    finally:
        os.close(fd)

def write_through(path):
    fd = os.open(path, os.O_RDWR)
    try:
        return [attempt(os.write, fd, b'x'), attempt(os.ftruncate, fd, 0), attempt(mmap.mmap, fd, 4096, mmap.MAP_SHARED, 3),
                attempt(fcntl.fcntl, fd, 1033, 0)]
    finally:
        os.close(fd)

def mapped(name):
    with open('/proc/self/maps') as maps:
        return [line.split() for line in maps if name in line]

def unlock(line):
    start, end = (int(part, 16) for part in line[0].split('-'))
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 3)
    return 'done' if result == 0 else errno.errorcode[ctypes.get_errno()]
"/utf8>>.

large() ->
    binary:copy(<<"0123456789abcdef">>, 250_000).

%% Under load of all kinds there is no object that another process could open by its name.
%% covers: guarantee:node_death
no_names(_) ->
    Before = objects(),
    ok = py_test:start([{num_workers, 2}]),
    {ok, _} = py:call(builtins, bytes, [{bytes, large()}]),
    ?assertEqual([], objects() -- Before),
    Node = list_to_integer(os:getpid()),
    [
        ?assertEqual({Pid, []}, {Pid, [Path || Path <- files(Pid), named(Path), not lists:member(Path, Before)]})
     || Pid <- [Node | py_test:os_pids(default)]
    ].

objects() ->
    filelib:wildcard("/dev/shm/*") ++ filelib:wildcard("/tmp/*erlang_python*").

files(Pid) ->
    [Target || Link <- filelib:wildcard("/proc/" ++ integer_to_list(Pid) ++ "/fd/*"), {ok, Target} <- [file:read_link(Link)]].

named("/dev/shm/" ++ _) -> true;
named("/tmp/" ++ Path) -> string:find(hd(filename:split(Path)), "erlang_python") =/= nomatch;
named(_) -> false.

%% A worker has the node's segment for reading, and it stays so.
%% covers: guarantee:hostile
mappings(_) ->
    ok = py_test:start([{num_workers, 1}, {preload, helpers()}]),
    {ok, [Down]} = py:eval(<<"mapped('memfd:erlang_python-down')">>),
    {ok, [Up]} = py:eval(<<"mapped('memfd:erlang_python-up')">>),
    ?assertEqual({<<"r--s">>, <<"rw-s">>}, {lists:nth(2, Down), lists:nth(2, Up)}),
    {ok, <<"EACCES">>} = py:eval(<<"unlock(line)">>, #{line => Down}),
    %% The descriptors themselves are closed again on both sides.
    {ok, []} = py:eval(<<"descriptors('self', 'erlang_python-down') + descriptors('self', 'erlang_python-up')">>),
    {ok, []} = py:eval(<<"descriptors(pid, 'erlang_python-down') + descriptors(pid, 'erlang_python-up')">>, #{pid => list_to_integer(os:getpid())}).

%% Memory of large payloads, looked at from the other side.
%% covers: guarantee:hostile
seals(_) ->
    ok = py_test:start([{num_workers, 1}, {preload, helpers()}]),
    Data = large(),
    {ok, Data} = py:call(builtins, bytes, [{bytes, Data}]),
    Node = #{pid => list_to_integer(os:getpid())},
    {ok, [Request | _]} = py:eval(<<"descriptors(pid, 'memfd:erlang_python-request-')">>, Node),
    %% F_SEAL_SEAL, SHRINK, GROW, FUTURE_WRITE.
    {ok, 23} = py:eval(<<"seals(path)">>, #{path => Request}),
    {ok, [<<"EPERM">>, <<"EPERM">>, <<"EPERM">>, <<"EPERM">>]} = py:eval(<<"write_through(path)">>, #{path => Request}),
    {ok, [Result | _]} = py:eval(<<"descriptors('self', 'memfd:erlang_python-result')">>),
    {ok, Seals} = py:eval(<<"seals(path)">>, #{path => Result}),
    %% The node demands SHRINK and GROW; a worker that leaves one out hands over nothing (shm-proto/tests/link.rs).
    ?assertEqual(2 bor 4, Seals band (2 bor 4)),
    %% Nobody but root may see segments by their mappings.
    case os:cmd("id -u") of
        "0\n" ->
            {ok, [[Down | _]]} = py:eval(<<"mapped('memfd:erlang_python-down')">>),
            {ok, [[Up | _]]} = py:eval(<<"mapped('memfd:erlang_python-up')">>),
            Path = fun(Range) -> #{path => <<"/proc/self/map_files/", Range/binary>>} end,
            {ok, 23} = py:eval(<<"seals(path)">>, Path(unpadded(Down))),
            {ok, 7} = py:eval(<<"seals(path)">>, Path(unpadded(Up)));
        _ ->
            ok
    end.

%% Addresses in `maps' may have leading zeros, those in `map_files' have none.
unpadded(Range) ->
    iolist_to_binary(lists:join("-", [string:trim(Part, leading, "0") || Part <- string:split(Range, "-")])).

-define(SECRETS, ["RELEASE_COOKIE", "RELEASE_NODE", "ERL_FLAGS", "ERL_AFLAGS", "ERL_LIBS", "ERLANG_COOKIE"]).
-define(OF_THE_NODE, [<<"ROOTDIR">>, <<"BINDIR">>, <<"EMU">>, <<"PROGNAME">>]).

%% Whatever the option says, variables of the node come only by their names.
%% covers: config:env
environment(_) ->
    Before = [{Name, os:getenv(Name)} || Name <- ?SECRETS],
    [true = os:putenv(Name, "secret") || Name <- ["ISOLATION_TEST" | ?SECRETS]],
    ok = py_test:start([{num_workers, 1}]),
    Inherited = environ(inherit),
    ?assertEqual([], secrets(Inherited)),
    #{<<"ISOLATION_TEST">> := <<"secret">>, <<"PATH">> := _} = Inherited,
    Clean = environ(clean),
    ?assertEqual([], secrets(Clean)),
    ?assertNot(is_map_key(<<"ISOLATION_TEST">>, Clean)),
    #{<<"PATH">> := _} = Clean,
    Listed = environ([{"ISOLATION_TEST", false}, {<<"RELEASE_NODE">>, <<"shown">>}, {"ERL_LIBS", "shown"}, {"EMPTY", ""}]),
    ?assertEqual([<<"ERL_LIBS">>, <<"RELEASE_NODE">>], secrets(Listed)),
    #{<<"RELEASE_NODE">> := <<"shown">>, <<"ERL_LIBS">> := <<"shown">>, <<"PATH">> := _} = Listed,
    ?assertNot(is_map_key(<<"ISOLATION_TEST">>, Listed)),
    restore([{"ISOLATION_TEST", false} | Before]).

environ(Env) ->
    environ(Env, 1).

environ(Env, Workers) ->
    ok = py_pool:start_pool(environment, #{num_workers => Workers, env => Env}),
    %% Of the process, and of a program that it starts.
    {ok, {Environ, Environ}} = py:eval(
        <<"(lambda e: (e(), {k: v for k, v in eval(__import__('subprocess').run([__import__('sys').executable, '-c',"
          " 'import os; print(dict(os.environ))'], capture_output=True, check=True, text=True).stdout).items()}))"
          "(lambda: dict(__import__('os').environ))">>,
        #{}, #{pool => environment}
    ),
    ok = py_pool:stop_pool(environment),
    Environ.

secrets(Environ) ->
    lists:sort([Name || Name <- [list_to_binary(S) || S <- ?SECRETS] ++ ?OF_THE_NODE, is_map_key(Name, Environ)]).

restore(Variables) ->
    [
        case Value of
            false -> true = os:unsetenv(Name);
            _ -> true = os:putenv(Name, Value)
        end
     || {Name, Value} <- Variables
    ].

%% Numerical libraries get the share of a worker, unless somebody has said how many threads they shall start.
%% covers: config:env
threads_of_libraries(_) ->
    Before = [{Name, os:getenv(Name)} || Name <- ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]],
    [os:unsetenv(Name) || {Name, _} <- Before],
    ok = py_test:start([{num_workers, 1}]),
    Known = [erlang:system_info(Item) || Item <- [logical_processors_available, cpu_quota]],
    Processors = lists:min([Count || Count <- Known, is_integer(Count)]),
    All = integer_to_binary(Processors),
    #{<<"OMP_NUM_THREADS">> := All, <<"OPENBLAS_NUM_THREADS">> := All, <<"MKL_NUM_THREADS">> := All} = environ(inherit),
    #{<<"OMP_NUM_THREADS">> := <<"1">>} = environ(inherit, Processors),
    true = os:putenv("MKL_NUM_THREADS", "7"),
    #{<<"OMP_NUM_THREADS">> := <<"3">>, <<"MKL_NUM_THREADS">> := <<"7">>} = Own = environ([{"OMP_NUM_THREADS", "3"}, {"OPENBLAS_NUM_THREADS", false}]),
    ?assertNot(is_map_key(<<"OPENBLAS_NUM_THREADS">>, Own)),
    #{<<"MKL_NUM_THREADS">> := All} = environ(clean),
    restore(Before).

%% The interpreter that is asked for its version, and programs that make environments, get no more.
%% covers: config:env
environment_of_installers(Config) ->
    Before = [{Name, os:getenv(Name)} || Name <- ?SECRETS],
    [true = os:putenv(Name, "secret") || Name <- ?SECRETS],
    Dir = proplists:get_value(priv_dir, Config),
    Log = filename:join(Dir, "environment"),
    Python = filename:join(Dir, "python"),
    Real = os:find_executable(py_test:python()),
    ok = file:write_file(Python, ["#!/bin/sh\nenv >> ", Log, "\nexec ", Real, " \"$@\"\n"]),
    ok = file:change_mode(Python, 8#755),
    ok = py_test:start([{num_workers, 1}, {python, Python}]),
    {ok, Text} = file:read_file(Log),
    ?assertMatch({match, _}, re:run(Text, "^PATH=", [multiline])),
    ?assertEqual(nomatch, re:run(Text, "^(RELEASE_|ERL_|ERLANG_COOKIE|ROOTDIR|BINDIR|EMU=|PROGNAME)", [multiline])),
    restore(Before).

%% Whatever text Python sends, wherever it is taken for a name.
%% covers: guarantee:hostile
atoms(_) ->
    ok = py_test:start([{num_workers, 1}]),
    ok = py:configure_logging(),
    ok = py:enable_tracing(),
    Program = fun(Round) ->
        <<"
import erlang, logging
for n in range(500):
    name = f'isolation_", (integer_to_binary(Round))/binary, "_{n}'
    for function in (lambda: erlang.call(name), lambda: getattr(erlang, name), lambda: erlang.whereis(name),
                     lambda: erlang.send(name, name), lambda: erlang.state_set(name, {name: name}),
                     lambda: erlang.send(erlang.self(), erlang.atom(name))):
        try:
            function()
        except Exception:
            pass
    logging.getLogger(name).error(name, extra={name: name})
    with erlang.Span(name, **{name: name}) as span:
        span.event(name)
{name: (name, [name], {name}) for name in map(str, range(500))}
">>
    end,
    ok = py:exec(Program(0)),
    {ok, _} = py:get_traces(),
    Before = erlang:system_info(atom_count),
    [ok = py:exec(Program(Round)) || Round <- lists:seq(1, 4)],
    {ok, _} = py:get_traces(),
    {ok, _} = py:eval(<<"{f'isolation_key_{n}': f'isolation_value_{n}' for n in range(2000)}">>),
    ?assert(erlang:system_info(atom_count) - Before < 200),
    ok = py:state_clear(),
    ok = py:clear_traces().

%% A copy of the application in which `Change' was made to priv, started in a node of its own; what it prints.
start_copy(Config, Case, Change) ->
    Copy = filename:join([proplists:get_value(priv_dir, Config), Case, "erlang_python"]),
    Priv = filename:join(Copy, "priv"),
    Ebin = filename:join(Copy, "ebin"),
    ok = filelib:ensure_dir(filename:join(Ebin, "x")),
    [] = os:cmd(lists:join(" ", ["cp -r", filename:join(code:lib_dir(erlang_python), "ebin/."), Ebin])),
    [] = os:cmd(lists:join(" ", ["cp -rL", filename:dirname(py_nif:library()), Priv])),
    ok = Change(Priv),
    Eval =
        "{error, {erlang_python, {{Tag, Text}, _}}} = application:ensure_all_started(erlang_python),"
        " io:format(\"~s ~ts~n\", [Tag, Text]), halt(0).",
    Port = open_port({spawn_executable, os:find_executable("erl")}, [
        {args, ["-noinput", "-noshell", "-pa", Ebin, "-erlang_python", "python", io_lib:format("~p", [py_test:python()]), "num_workers", "1", "-eval", Eval]},
        binary, exit_status, stderr_to_stdout
    ]),
    ended(Port, []).

ended(Port, Output) ->
    receive
        {Port, {data, Data}} -> ended(Port, [Output, Data]);
        {Port, {exit_status, Status}} -> {Status, unicode:characters_to_list(iolist_to_binary(Output))}
    end.

mentions({Status, Text}, Words) ->
    ?assertEqual({0, Text}, {Status, Text}),
    [?assertNotEqual({Word, Text, nomatch}, {Word, Text, string:find(Text, Word)}) || Word <- Words].

%% covers: error:not_started
no_library(Config) ->
    Started = start_copy(Config, "no_library", fun(Priv) -> file:delete(filename:join(Priv, "py_nif.so")) end),
    mentions(Started, ["nif_not_loaded", "py_nif.so", "make build", "cargo"]).

%% covers: error:not_started
wrong_library(Config) ->
    Started = start_copy(Config, "wrong_library", fun(Priv) -> file:write_file(filename:join(Priv, "py_nif.so"), "of another machine") end),
    mentions(Started, ["nif_not_loaded", "py_nif.so", "make build"]).

%% covers: error:not_started
no_host(Config) ->
    Started = start_copy(Config, "no_host", fun(Priv) -> file:delete(filename:join(Priv, "py_host")) end),
    mentions(Started, ["worker_start_failed", "py_host", "enoent"]).

%% covers: error:not_started
wrong_core(Config) ->
    Started = start_copy(Config, "wrong_core", fun(Priv) -> file:write_file(filename:join(Priv, "py_core.so"), "of another machine") end),
    mentions(Started, ["worker_start_failed", "could not load the worker core"]).

%% Nodes of one user on one machine have nothing in common.
%% covers: guarantee:node_death
two_nodes(_) ->
    beside_another([]).

%% covers: config:segments, guarantee:node_death
two_nodes_with_names(_) ->
    beside_another([{segments, named}]).

beside_another(Env) ->
    ok = py_test:start([{num_workers, 2} | Env]),
    [
        begin
            Workers = py_test:os_pids(default),
            Running = py:call_async(time, sleep, [0.2]),
            #{os_pid := Node, workers := Others} = Peer = py_test:peer(Env),
            ?assertEqual([], [Pid || Pid <- Others, lists:member(Pid, Workers)]),
            ok = py_test:kill(Signal, Node),
            py_test:until(fun() -> not lists:any(fun py_test:alive/1, [Node | Others]) end),
            receive {_, {exit_status, _}} -> ok end,
            py_test:peer_stop(Peer),
            {ok, none} = py:await(Running),
            ?assertEqual(Workers, py_test:os_pids(default)),
            %% A start beside the other one's names: they are not swept, nor taken.
            [Worker | _] = Workers,
            ok = py_test:kill("KILL", Worker),
            py_test:until(fun() -> not lists:member(Worker, py_test:os_pids(default)) end),
            py_test:whole(default),
            {ok, 4.0} = py:call(math, sqrt, [16])
        end
     || Signal <- ["KILL", "TERM"]
    ].
