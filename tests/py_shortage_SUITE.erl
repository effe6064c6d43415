%% Descriptors, processes, shared memory, the memory of a container run out: what needed them gets an error that says so, the rest
%% serves, and all is well when the shortage ends. Whole nodes suffer here, so they are nodes of their own.
-module(py_shortage_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(MIB, 1048576).
%% A user without any process.
-define(USER, "54321").
-define(PATIENCE, 60000).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        node_without_descriptors, node_without_shared_memory, no_processes_left, no_threads_left, small_container,
        worker_without_descriptors, worker_without_shared_memory, worker_without_memory, full_ring, full_arena
    ].

%% Each limit is that of one process and bounds what it gets from here on.
init_per_testcase(_Case, Config) ->
    case os:find_executable("prlimit") of
        false -> {skip, "takes prlimit"};
        _ -> Config
    end.

end_per_testcase(_Case, _Config) ->
    case lists:keymember(erlang_python, 1, application:which_applications()) of
        true -> py_test:stop();
        false -> ok
    end.

%% A node of its own, with the application started. It loads no code while something is missing, as a release does not.
start_peer(Exec, Env) ->
    Paths = lists:append([["-pa", Dir] || Dir <- code:get_path(), string:find(Dir, "_build") =/= nomatch, filelib:is_dir(Dir)]),
    {ok, Peer, _} = peer:start_link(#{connection => standard_io, args => Paths, exec => Exec, wait_boot => ?PATIENCE}),
    ok = rpc(Peer, application, load, [erlang_python]),
    Modules = [M || App <- [erlang_python, kernel, stdlib], M <- element(2, rpc(Peer, application, get_key, [App, modules]))],
    _ = rpc(Peer, code, ensure_modules_loaded, [[?MODULE | Modules]]),
    Settings = maps:merge(#{num_workers => 2, python => py_test:python(), worker_timeout => 20000}, Env),
    [ok = rpc(Peer, application, set_env, [erlang_python, Key, Value]) || {Key, Value} <- maps:to_list(Settings)],
    Lowest = lowest_free(rpc(Peer, os, getpid, [])),
    {ok, _} = rpc(Peer, application, ensure_all_started, [erlang_python]),
    %% What Python imports at its first use.
    [{ok, 2.0} = rpc(Peer, py, call, [math, sqrt, [4]]) || _ <- lists:seq(1, 100)],
    #{peer => Peer, node => list_to_integer(rpc(Peer, os, getpid, [])), lowest => Lowest}.

start_peer() ->
    start_peer(os:find_executable("erl"), #{}).

stop_peer(#{peer := Peer}) ->
    ok = peer:stop(Peer).

rpc(#{peer := Peer}, M, F, A) ->
    rpc(Peer, M, F, A);
rpc(Peer, M, F, A) ->
    peer:call(Peer, M, F, A, ?PATIENCE).

%% The first descriptor that is free: a limit there leaves none, whatever is closed of what comes later.
lowest_free(OsPid) ->
    {ok, Names} = file:list_dir("/proc/" ++ OsPid ++ "/fd"),
    hd(lists:seq(0, length(Names)) -- [list_to_integer(Name) || Name <- Names]).

%% Sets the soft limit of a process, as `prlimit' names it; the value is what it was.
limit(OsPid, Name, Soft) ->
    limit("", OsPid, Name, Soft).

limit(As, OsPid, Name, Soft) ->
    Of = As ++ "prlimit --pid " ++ integer_to_list(OsPid) ++ " --" ++ Name,
    Before = string:trim(os:cmd(Of ++ " --noheadings --raw --output SOFT")),
    [] = os:cmd(Of ++ "=" ++ text(Soft) ++ ":"),
    Before.

text(N) when is_integer(N) -> integer_to_list(N);
text(Text) -> Text.

says(Text, Words) ->
    string:find(Text, Words) =/= nomatch orelse ct:fail({says, Text}).

%% Large arguments and large results.
large(Peer, Bytes) ->
    rpc(Peer, ?MODULE, large, [Bytes]).

large(Bytes) ->
    Data = binary:copy(<<"x">>, Bytes),
    case py:call(builtins, bytes, [{bytes, Data}], #{}, 20000) of
        {ok, Data} -> ok;
        {error, Reason} -> {error, Reason}
    end.

workers(Peer) ->
    [{OsPid, State, Error} || #{os_pid := OsPid, state := State, last_error := Error} <- rpc(Peer, py, workers, [])].

whole(Peer) ->
    py_test:until(fun() -> [ready, ready] =:= [State || {_, State, _} <- workers(Peer)] orelse workers(Peer) end, ?PATIENCE).

%% One worker dies during the shortage: it says what it lacks, the other one serves, and after the shortage both do.
survives(Peer, Words, End) ->
    [Victim | _] = [OsPid || {OsPid, ready, _} <- workers(Peer)],
    ok = py_test:kill("KILL", Victim),
    py_test:until(fun() ->
        Errors = [Error || {_, State, Error} <- workers(Peer), State =/= ready, Error =/= none],
        lists:any(fun(Error) -> string:find(Error, Words) =/= nomatch end, Errors) orelse Errors
    end),
    [{ok, 2.0} = rpc(Peer, py, call, [math, sqrt, [4]]) || _ <- lists:seq(1, 100)],
    End(),
    whole(Peer),
    ok = large(Peer, 8 * ?MIB).

%% covers: guarantee:shortage, error:exhausted
node_without_descriptors(_) ->
    #{node := Node, lowest := Lowest} = Peer = start_peer(),
    Before = limit(Node, "nofile", Lowest),
    {error, {exhausted, Text}} = large(Peer, 8 * ?MIB),
    says(Text, "Too many open files"),
    ok = large(Peer, 100000),
    survives(Peer, "Too many open files", fun() -> limit(Node, "nofile", Before) end),
    stop_peer(Peer).

%% A limit for the size of files is one for memory without a name as well.
%% covers: guarantee:shortage, error:exhausted
node_without_shared_memory(_) ->
    Peer = start_peer({os:find_executable("sh"), ["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", os:find_executable("erl")]}, #{}),
    #{node := Node} = Peer,
    Before = limit(Node, "fsize", 65536),
    {error, {exhausted, Text}} = large(Peer, 8 * ?MIB),
    says(Text, "File too large"),
    ok = large(Peer, 100000),
    survives(Peer, "File too large", fun() -> limit(Node, "fsize", Before) end),
    stop_peer(Peer).

%% The number of processes is not limited for root, so a user without any runs the node.
start_other_user() ->
    Python = "/usr/bin/python3",
    case os:cmd("id -u") =:= "0\n" andalso os:find_executable("setpriv") of
        false ->
            {skip, "takes root and setpriv"};
        Setpriv ->
            Arguments = ["--reuid", ?USER, "--regid", ?USER, "--clear-groups", "--"],
            As = lists:flatten(lists:join(" ", [Setpriv | Arguments])) ++ " ",
            Needs = [Python, code:priv_dir(erlang_python) ++ "/py_host", code:which(?MODULE)],
            case os:cmd(As ++ "cat " ++ lists:flatten(lists:join(" ", Needs)) ++ " > /dev/null") of
                [] -> {As, start_peer({Setpriv, Arguments ++ [os:find_executable("erl")]}, #{python => Python})};
                Text -> {skip, "another user cannot run the node: " ++ Text}
            end
    end.

%% covers: guarantee:shortage
no_processes_left(_) ->
    case start_other_user() of
        {skip, Why} ->
            {skip, Why};
        {As, #{node := Node} = Peer} ->
            %% What starts processes for the node is a process of its own.
            [Starter] = [list_to_integer(P) || P <- string:lexemes(os:cmd("pgrep -f -P " ++ integer_to_list(Node) ++ " erl_child_setup"), "\n")],
            Before = limit(As, Starter, "nproc", 1),
            survives(Peer, "eagain", fun() -> limit(As, Starter, "nproc", Before) end),
            stop_peer(Peer)
    end.

%% covers: guarantee:shortage
no_threads_left(_) ->
    case start_other_user() of
        {skip, Why} ->
            {skip, Why};
        {As, #{node := Node} = Peer} ->
            Before = limit(As, Node, "nproc", 1),
            survives(Peer, "could not start a thread", fun() -> limit(As, Node, "nproc", Before) end),
            Workers = [OsPid || {OsPid, _, _} <- workers(Peer)],
            [limit(As, OsPid, "nproc", 1) || OsPid <- Workers],
            {error, {'RuntimeError', Text}} = rpc(Peer, py, eval, [<<"__import__('threading').Thread(target=print).start()">>]),
            says(Text, "can't start new thread"),
            {error, {'BlockingIOError', _}} = rpc(Peer, py, call, [os, fork, []]),
            %% Others are to be served while this one waits for Erlang, which takes another executor.
            ok = rpc(Peer, py, register_function, [nested, fun ?MODULE:nested/1]),
            {error, {'RuntimeError', Text}} = rpc(Peer, py, eval, [<<"erlang.call('nested', 4)">>]),
            {ok, 2.0} = rpc(Peer, py, call, [math, sqrt, [4]]),
            [limit(As, OsPid, "nproc", Before) || OsPid <- Workers],
            {ok, 2.0} = rpc(Peer, py, eval, [<<"erlang.call('nested', 4)">>]),
            ?assertEqual(Workers, [OsPid || {OsPid, _, _} <- workers(Peer)]),
            stop_peer(Peer)
    end.

nested([N]) ->
    {ok, Root} = py:call(math, sqrt, [N]),
    Root.

%% The kernel takes a worker and not the node, and large requests are refused before they cost anybody anything.
%% covers: guarantee:shortage, error:exhausted
small_container(_) ->
    Group = "/sys/fs/cgroup/memory/erlang_python_test_" ++ os:getpid(),
    case file:make_dir(Group) of
        ok ->
            try in_container(Group) after py_test:until(fun() -> file:del_dir(Group) =:= ok end) end;
        {error, Reason} ->
            {skip, io_lib:format("no control group can be made: ~p", [Reason])}
    end.

in_container(Group) ->
    ok = file:write_file(Group ++ "/memory.limit_in_bytes", integer_to_list(300 * ?MIB)),
    ok = file:write_file(Group ++ "/memory.swappiness", "0"),
    Enter = "echo $$ > " ++ Group ++ "/cgroup.procs && exec \"$0\" \"$@\"",
    #{node := Node} = Peer = start_peer({os:find_executable("sh"), ["-c", Enter, os:find_executable("erl")]}, #{}),
    {error, {worker_down, _}} = rpc(Peer, py, eval, [<<"len(bytearray(b'x') * n)">>, #{n => 600 * ?MIB}]),
    whole(Peer),
    {error, {exhausted, Text}} = large(Peer, 150 * ?MIB),
    says(Text, "are left"),
    {ok, 2.0} = rpc(Peer, py, call, [math, sqrt, [4]]),
    ok = large(Peer, 8 * ?MIB),
    ?assertEqual(Node, list_to_integer(rpc(Peer, os, getpid, []))),
    stop_peer(Peer).

%% One worker, which has imported and run what the cases use.
start() ->
    ok = py_test:start([{num_workers, 1}]),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ok = py:exec(<<"async def items(n):\n    yield bytes(n)\n">>),
    {ok, [<<0>>]} = py:stream_eval(<<"items(n)">>, #{n => 1}),
    [#{os_pid := Worker}] = py:workers(),
    Worker.

%% The same worker serves as before.
recovered(Worker) ->
    ok = large(4 * ?MIB),
    ?assertMatch([#{os_pid := Worker, state := ready}], py:workers()).

%% covers: guarantee:shortage, error:exhausted
worker_without_descriptors(_) ->
    Worker = start(),
    Before = limit(Worker, "nofile", 3),
    {error, {'OSError', Arguments}} = py:call(builtins, len, [{bytes, binary:copy(<<"x">>, 4 * ?MIB)}]),
    says(Arguments, "Too many open files"),
    {error, {exhausted, Result}} = py:call(builtins, bytes, [4 * ?MIB]),
    says(Result, "Too many open files"),
    {error, {exhausted, Result}} = py:stream_eval(<<"(bytes(n) for _ in 'x')">>, #{n => 4 * ?MIB}),
    {error, {exhausted, Result}} = py:stream_eval(<<"items(n)">>, #{n => 4 * ?MIB}),
    {error, {'OSError', _}} = py:call(builtins, open, [<<"/dev/null">>], #{}, #{return => ref}),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    limit(Worker, "nofile", Before),
    recovered(Worker).

%% covers: guarantee:shortage, error:exhausted
worker_without_shared_memory(_) ->
    Worker = start(),
    Before = limit(Worker, "fsize", 65536),
    {error, {exhausted, Text}} = py:call(builtins, bytes, [4 * ?MIB]),
    says(Text, "File too large"),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    limit(Worker, "fsize", Before),
    recovered(Worker).

%% covers: guarantee:shortage
worker_without_memory(_) ->
    Worker = start(),
    Before = limit(Worker, "as", ?MIB),
    {error, {'OSError', Text}} = py:call(builtins, len, [{bytes, binary:copy(<<"x">>, 64 * ?MIB)}]),
    says(Text, "Cannot allocate memory"),
    {error, {'MemoryError', _}} = py:call(builtins, bytes, [64 * ?MIB]),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    limit(Worker, "as", Before),
    recovered(Worker).

%% Those who find the ring full wait for room up to their deadline.
%% covers: guarantee:shortage
full_ring(_) ->
    ok = py_test:start([{num_workers, 1}, {ring_size, 65536}]),
    Blocker = py:call_async(time, sleep, [3600]),
    Callers = 3000,
    Self = self(),
    Add = fun(N) -> spawn_link(fun() -> Self ! {done, self(), py:call(operator, add, [N, 1])} end) end,
    Pids = [Add(N) || N <- lists:seq(1, Callers)],
    py_test:until(fun() -> maps:get(waiting_requests, py_pool:get_stats()) > Callers div 2 end),
    {error, timeout} = py:call(math, sqrt, [4], #{}, 300),
    ok = py:cancel(Blocker),
    Results = [receive {done, Pid, Result} -> Result end || Pid <- Pids],
    ?assertEqual([{ok, N + 1} || N <- lists:seq(1, Callers)], Results).

%% What does not fit the arena has memory of its own, up to 64 times; then the error says so.
%% covers: guarantee:shortage, error:exhausted
full_arena(_) ->
    ok = py_test:start([{num_workers, 1}, {arena_size, 65536}]),
    Blocker = py:call_async(time, sleep, [3600]),
    Data = binary:copy(<<"x">>, 200000),
    Refs = [py:call_async(builtins, len, [{bytes, Data}]) || _ <- lists:seq(1, 80)],
    Refused = [receive {py_error, Ref, {exhausted, Text}} -> Text after 0 -> none end || Ref <- Refs],
    Texts = [Text || Text <- Refused, Text =/= none],
    ?assertEqual(16, length(Texts)),
    [says(Text, "64 large payloads are in flight") || Text <- Texts],
    ok = py:cancel(Blocker),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ?assertEqual([{ok, 200000}], lists:usort([py:await(Ref) || {Ref, none} <- lists:zip(Refs, Refused)])),
    {ok, 200000} = py:call(builtins, len, [{bytes, Data}]).
