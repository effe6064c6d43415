%% The end of the node, and its quiet: nodes in operating-system processes of their own.
-module(py_node_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

%% What the library promises, and what the test process may lose on a busy machine.
-define(GONE_AFTER, 1000).
-define(SLACK, 500).

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [killed_node, stopped_worker_of_killed_node, orderly_end, idle].

%% covers: guarantee:node_death
killed_node(_) ->
    gone_with(fun(_) -> ok end).

%% A worker that cannot run goes with its node, too.
%% covers: guarantee:node_death
stopped_worker_of_killed_node(_) ->
    gone_with(fun(#{workers := [Worker | _]}) -> ok = py_test:kill("STOP", Worker) end).

gone_with(Prepare) ->
    Objects = shared_objects(),
    #{os_pid := Node, workers := Workers} = Peer = py_test:peer([]),
    2 = length(Workers),
    true = lists:all(fun py_test:alive/1, Workers),
    Prepare(Peer),
    ok = py_test:kill("KILL", Node),
    py_test:until(fun() -> not lists:any(fun py_test:alive/1, [Node | Workers]) end, ?GONE_AFTER + ?SLACK),
    ?assertEqual([], shared_objects() -- Objects),
    py_test:peer_stop(Peer).

shared_objects() ->
    filelib:wildcard("/dev/shm/*") ++ filelib:wildcard("/tmp/*erlang_python*").

%% `init:stop' leaves nothing, either.
%% covers: guarantee:node_death
orderly_end(_) ->
    #{os_pid := Node, workers := Workers} = Peer = py_test:peer([]),
    ok = py_test:kill("TERM", Node),
    py_test:until(fun() -> not lists:any(fun py_test:alive/1, [Node | Workers]) end),
    py_test:peer_stop(Peer).

%% Without work neither node nor workers use the processor. The window is the measurement.
%% covers: guarantee:idle
idle(_) ->
    #{os_pid := Node, workers := Workers} = Peer = py_test:peer([]),
    Window = 5000,
    py_test:until(fun() -> quiet(Workers, 500) end),
    {NodeBefore, WorkersBefore} = {py_test:ticks(Node), ticks(Workers)},
    receive after Window -> ok end,
    NodeTicks = py_test:ticks(Node) - NodeBefore,
    WorkerTicks = ticks(Workers) - WorkersBefore,
    ct:log("in ~b ms: node ~b ticks, workers ~b ticks", [Window, NodeTicks, WorkerTicks]),
    %% A tick is 10 ms; an idle node without this application uses up to 2 in this time.
    ?assert(NodeTicks =< 4),
    ?assert(WorkerTicks =< 1),
    py_test:peer_stop(Peer).

quiet(Workers, Time) ->
    Before = ticks(Workers),
    receive after Time -> ok end,
    ticks(Workers) =:= Before.

ticks(Workers) ->
    lists:sum([py_test:ticks(W) || W <- Workers]).
