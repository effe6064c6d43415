%% Descriptors, processes, shared memory, the memory of a container run out: what needed them gets an error that says so, the rest
%% serves, and all is well when the shortage ends. Whole nodes suffer here, so they are nodes of their own.
-module(py_shortage_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(MIB, 1048576).
%% A user without any process.
-define(USER, 54321).
-define(PATIENCE, 60000).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        node_without_descriptors, node_without_shared_memory, no_processes_left, small_container,
        worker_without_descriptors, worker_without_shared_memory, worker_without_threads, full_ring, full_arena
    ].

init_per_testcase(_Case, Config) ->
    Config.

end_per_testcase(_Case, _Config) ->
    case lists:keymember(erlang_python, 1, application:which_applications()) of
        true -> py_test:stop();
        false -> ok
    end.

%% A node of its own, with the application started.
start_peer(Options) ->
    Paths = lists:append([["-pa", Dir] || Dir <- code:get_path(), filelib:is_dir(Dir), string:find(Dir, "_build") =/= nomatch]),
    {ok, Peer, _} = peer:start_link(maps:merge(#{connection => standard_io, args => Paths, wait_boot => ?PATIENCE}, maps:without([env], Options))),
    Env = maps:merge(#{num_workers => 2, python => py_test:python(), worker_timeout => 20000}, maps:get(env, Options, #{})),
    ok = rpc(Peer, application, load, [erlang_python]),
    [ok = rpc(Peer, application, set_env, [erlang_python, Key, Value]) || {Key, Value} <- maps:to_list(Env)],
    {ok, _} = rpc(Peer, application, ensure_all_started, [erlang_python]),
    Peer.

rpc(Peer, M, F, A) ->
    peer:call(Peer, M, F, A, ?PATIENCE).

%% Changes a limit of a process from one of the peer's workers, which keeps its own.
limit(Peer, OsPid, Resource, Soft) ->
    Code = <<"(lambda r: r.prlimit(pid, getattr(r, name), (soft, r.prlimit(pid, getattr(r, name))[1])))(__import__('resource'))[0]">>,
    {ok, Before} = rpc(Peer, py, eval, [Code, #{pid => OsPid, name => {str, Resource}, soft => Soft}]),
    Before.

os_pid(Peer) ->
    list_to_integer(rpc(Peer, os, getpid, [])).

len(Peer, Bytes) ->
    rpc(Peer, ?MODULE, len_here, [Bytes]).

%% Runs on the peer: large arguments and large results.
len_here(Bytes) ->
    Data = binary:copy(<<"x">>, Bytes),
    case py:call(builtins, bytes, [{bytes, Data}], #{}, 20000) of
        {ok, Data} -> ok;
        Other -> Other
    end.

workers(Peer) ->
    [{OsPid, S, E} || #{os_pid := OsPid, state := S, last_error := E} <- rpc(Peer, py, workers, [])].

%% One worker dies during the shortage: the other one serves, the dead one says what it lacks, and comes back after it.
survives(Peer, Words, End) ->
    [Victim | _] = [OsPid || {OsPid, ready, _} <- workers(Peer)],
    ok = py_test:kill("KILL", Victim),
    Lacks = fun(Error) -> Error =/= none andalso lists:any(fun(Word) -> string:find(Error, Word) =/= nomatch end, Words) end,
    py_test:until(fun() -> case [E || {_, S, E} <- workers(Peer), S =/= ready] of [E] -> Lacks(E) orelse E; Other -> Other end end),
    [{ok, 2.0} = rpc(Peer, py, call, [math, sqrt, [4]]) || _ <- lists:seq(1, 100)],
    End(),
    py_test:until(fun() -> [ready, ready] =:= [S || {_, S, _} <- workers(Peer)] end),
    ok = len(Peer, 8 * ?MIB).

%% covers: guarantee:shortage, error:exhausted
node_without_descriptors(_) ->
    Peer = start_peer(#{}),
    Node = os_pid(Peer),
    Open = length(filelib:wildcard("/proc/" ++ integer_to_list(Node) ++ "/fd/*")),
    Before = limit(Peer, Node, <<"RLIMIT_NOFILE">>, Open),
    {error, {exhausted, Text}} = len(Peer, 8 * ?MIB),
    ?assertNotEqual(nomatch, string:find(Text, "EMFILE")),
    survives(Peer, ["EMFILE", "emfile"], fun() -> limit(Peer, Node, <<"RLIMIT_NOFILE">>, Before) end),
    peer:stop(Peer).

%% A limit for the size of files is one for memory without a name as well.
%% covers: guarantee:shortage
node_without_shared_memory(_) ->
    Erl = os:find_executable("erl"),
    Peer = start_peer(#{exec => {os:find_executable("sh"), ["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", Erl]}}),
    Node = os_pid(Peer),
    Before = limit(Peer, Node, <<"RLIMIT_FSIZE">>, 65536),
    {error, {exhausted, Text}} = len(Peer, 8 * ?MIB),
    ?assertNotEqual(nomatch, string:find(Text, "EFBIG")),
    %% Small requests, and those that fit an arena that exists.
    ok = len(Peer, 100),
    ok = len(Peer, 100000),
    survives(Peer, ["EFBIG"], fun() -> limit(Peer, Node, <<"RLIMIT_FSIZE">>, Before) end),
    peer:stop(Peer).

%% The number of processes is not limited for root, so another user runs the node.
%% covers: guarantee:shortage
no_processes_left(_) ->
    Setpriv = os:find_executable("setpriv"),
    Python = "/usr/bin/python3",
    case os:cmd("id -u") =:= "0\n" andalso Setpriv =/= false andalso filelib:is_regular(Python) of
        false ->
            {skip, "takes root, setpriv and /usr/bin/python3"};
        true ->
            User = integer_to_list(?USER),
            Arguments = ["--reuid", User, "--regid", User, "--clear-groups", "--", os:find_executable("erl")],
            Peer = start_peer(#{exec => {Setpriv, Arguments}, env => #{python => Python}}),
            Node = os_pid(Peer),
            %% What starts processes for the node is a process of its own.
            Starter = [list_to_integer(P) || P <- string:lexemes(os:cmd("pgrep -P " ++ integer_to_list(Node)), "\n")],
            Set = fun(OsPid, Most) ->
                [] = os:cmd(io_lib:format("~ts -c 'import resource as r; r.prlimit(~b, r.RLIMIT_NPROC, (~b, r.prlimit(~b, r.RLIMIT_NPROC)[1]))'", [Python, OsPid, Most, OsPid]))
            end,
            [#{os_pid := First} | _] = rpc(Peer, py, workers, []),
            [Set(P, 1) || P <- Starter ++ [First, Node]],
            %% In that worker nothing can be forked, in the node no worker started.
            survives(Peer, ["eagain", "EAGAIN", "not start", "unavailable"], fun() -> [Set(P, 100000) || P <- Starter ++ [Node]] end),
            peer:stop(Peer)
    end.

%% The node is not what the kernel takes, and large requests are refused before they cost anybody the memory.
%% covers: guarantee:shortage
small_container(_) ->
    Group = "/sys/fs/cgroup/memory/erlang_python_test_" ++ os:getpid(),
    case file:make_dir(Group) of
        ok ->
            Peer = start_peer(#{}),
            Node = os_pid(Peer),
            Workers = [P || {P, _, _} <- workers(Peer)],
            ok = file:write_file(Group ++ "/memory.limit_in_bytes", integer_to_list(300 * ?MIB)),
            Children = [list_to_integer(P) || P <- string:lexemes(os:cmd("pgrep -P " ++ integer_to_list(Node)), "\n")],
            [ok = file:write_file(Group ++ "/cgroup.procs", integer_to_list(P)) || P <- [Node | Children ++ Workers]],
            {error, {worker_down, _}} = rpc(Peer, py, eval, [<<"len(bytearray(b'x') * n)">>, #{n => 600 * ?MIB}]),
            py_test:until(fun() -> [ready, ready] =:= [S || {_, S, _} <- workers(Peer)] end),
            {ok, 2.0} = rpc(Peer, py, call, [math, sqrt, [4]]),
            Node = os_pid(Peer),
            peer:stop(Peer),
            py_test:until(fun() -> file:del_dir(Group) =:= ok end);
        {error, Reason} ->
            {skip, io_lib:format("no control group can be made: ~p", [Reason])}
    end.

start() ->
    ok = py_test:start([{num_workers, 1}]).

limited(Name, Soft) ->
    Code = <<"(lambda r: (r.getrlimit(getattr(r, name)), r.setrlimit(getattr(r, name), (soft, r.getrlimit(getattr(r, name))[1]))))(__import__('resource'))[0][0]">>,
    {ok, Before} = py:eval(Code, #{name => {str, Name}, soft => Soft}),
    Before.

%% covers: guarantee:shortage
worker_without_descriptors(_) ->
    start(),
    Before = limited(<<"RLIMIT_NOFILE">>, 3),
    {error, {'OSError', _}} = len_here(4 * ?MIB),
    {error, {_, Text}} = py:call(builtins, bytes, [4 * ?MIB]),
    ct:log("~ts", [Text]),
    {error, {'OSError', _}} = py:call(builtins, open, [<<"/dev/null">>], #{}, #{return => ref}),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    limited(<<"RLIMIT_NOFILE">>, Before),
    ok = len_here(4 * ?MIB).

%% covers: guarantee:shortage
worker_without_shared_memory(_) ->
    start(),
    Before = limited(<<"RLIMIT_FSIZE">>, 65536),
    {error, {_, Text}} = py:call(builtins, bytes, [4 * ?MIB]),
    ct:log("~ts", [Text]),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    limited(<<"RLIMIT_FSIZE">>, Before),
    ok = len_here(4 * ?MIB).

%% Where no thread can be had, a call to Erlang still works, and a nested one says what is missing at worst.
%% covers: guarantee:shortage
worker_without_threads(_) ->
    start(),
    ok = py:register_function(shortage, fun([N]) -> N + 1 end),
    Before = limited(<<"RLIMIT_DATA">>, 1),
    Results = [py:eval(<<"erlang.call('shortage', 1)">>) || _ <- lists:seq(1, 5)],
    [?assert(R =:= {ok, 2} orelse is_error(R)) || R <- Results],
    limited(<<"RLIMIT_DATA">>, Before),
    {ok, 2} = py:eval(<<"erlang.call('shortage', 1)">>),
    ok = py:unregister_function(shortage).

is_error({error, {Type, _}}) -> lists:member(Type, ['RuntimeError', 'MemoryError', 'OSError']).

%% Those who find the ring full wait for room; at their deadline they learn why.
%% covers: guarantee:shortage, error:overloaded
full_ring(_) ->
    ok = py_test:start([{num_workers, 1}, {ring_size, 65536}]),
    Blocker = py:call_async(time, sleep, [3600]),
    Self = self(),
    Callers = [spawn_link(fun() -> Self ! {done, self(), py:call(operator, add, [N, 1])} end) || N <- lists:seq(1, 3000)],
    py_test:until(fun() -> maps:get(waiting_requests, py_pool:get_stats()) > 0 end),
    {error, {overloaded, _, _}} = py:call(math, sqrt, [4], #{}, 300),
    ok = py:cancel(Blocker),
    Results = [receive {done, Pid, Result} -> Result end || Pid <- Callers],
    ?assertEqual([{ok, N + 1} || N <- lists:seq(1, 3000)], Results).

%% What does not fit the arena has memory of its own, up to 64 times; then the error says so.
%% covers: guarantee:shortage, error:exhausted
full_arena(_) ->
    ok = py_test:start([{num_workers, 1}, {arena_size, 65536}]),
    Blocker = py:call_async(time, sleep, [3600]),
    Data = binary:copy(<<"x">>, 200000),
    Refs = [py:call_async(builtins, len, [{bytes, Data}]) || _ <- lists:seq(1, 80)],
    Refused = [receive {py_error, Ref, {exhausted, Text}} -> Text after 0 -> none end || Ref <- Refs],
    ?assert(length([Text || Text <- Refused, is_binary(Text)]) >= 1),
    ok = py:cancel(Blocker),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ?assertEqual([{ok, 200000}], lists:usort([py:await(Ref) || {Ref, none} <- lists:zip(Refs, Refused)])),
    {ok, 200000} = py:call(builtins, len, [{bytes, Data}]).
