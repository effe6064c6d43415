%% The report for people who look for a hang: it says what hangs, and does not hang with it.
-module(py_diagnose_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() -> [idle, stopped_worker, hanging_servers, full_ring, waiting_for_permits, not_started].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

%% covers: py:diagnose/0
idle(_) ->
    {ok, 1} = py:eval(<<"1">>),
    py_test:settled(),
    #{native := Native, pools := Pools, workers := Workers, requests := [], servers := Servers, bindings := [], threads := Threads} = py:diagnose(),
    #{readers := 2, permits := 0, waiting_for_permits := 0, request_states := States} = Native,
    ?assertEqual([0], lists:usort(maps:values(States))),
    ?assertMatch(#{default := #{workers := 2, pending := 0, parked := 0, waiting := 0}}, Pools),
    ?assertMatch(#{py_context := #{message_queue_len := 0, status := waiting}, default := #{status := waiting}}, Servers),
    Readers = [Name || #{name := <<"py_reader", _/binary>> = Name} <- Threads],
    ?assertEqual(2, length(Readers)),
    [] = [Worker || Worker <- Workers, not is_whole(Worker)],
    ok.

is_whole(#{id := Id, state := ready, os_pid := OsPid, owner := #{pid := Owner, status := waiting}, incarnations := [Incarnation], threads := [_, _ | _]}) ->
    #{
        id := Id, os_pid := OsPid, state := up, in_flight := 0, bound := false, cells_taken := 0, has_reader := true,
        request_ring := #{claimed := Claimed, consumed := Consumed, capacity := Capacity},
        response_ring := #{more := false},
        flags := #{worker_sleeps := _, reader_sleeps := _, node_wants_room := false, worker_wants_room := false}
    } = Incarnation,
    is_process_alive(Owner) andalso Consumed =:= Claimed andalso Claimed >= Capacity;
is_whole(_) ->
    false.

%% A worker that stands still shows what it has and what it has not seen.
stopped_worker(_) ->
    Pool = stopped_worker,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    [OsPid] = py_test:os_pids(Pool),
    First = py:spawn_call(time, sleep, [0.5], #{}, #{pool => Pool}),
    py_test:until(fun() -> [started || #{started := true} <- requests_of(self())] =:= [started] end),
    ok = py_test:kill("STOP", OsPid),
    Second = py:spawn_call(math, sqrt, [16], #{}, #{pool => Pool}),
    [#{incarnations := [Incarnation], threads := Threads}] = [W || #{pool := P} = W <- maps:get(workers, py:diagnose()), P =:= Pool],
    #{in_flight := 2, serial := Serial, request_ring := #{claimed := Claimed, consumed := Consumed}} = Incarnation,
    ?assert(Claimed > Consumed),
    ?assertEqual([<<"T">>], lists:usort([State || #{state := State} <- Threads])),
    ?assertMatch(
        [#{started := false, worker := Serial, kind := response, movable := true}, #{started := true, worker := Serial}],
        lists:sort(fun(#{started := A}, #{started := B}) -> A =< B end, requests_of(self()))
    ),
    ok = py_test:kill("CONT", OsPid),
    {ok, none} = py:await(First),
    {ok, 4.0} = py:await(Second),
    ok = py_pool:stop_pool(Pool).

requests_of(Caller) ->
    [Request || #{caller := C} = Request <- maps:get(requests, py:diagnose()), C =:= Caller].

%% Servers that answer nobody do not keep it.
hanging_servers(_) ->
    [#{owner := #{pid := Owner}} | _] = maps:get(workers, py:diagnose()),
    Hanging = [Owner, whereis(py_context), whereis(py_exec_log), whereis(py_callback)],
    _ = [true = erlang:suspend_process(Pid) || Pid <- Hanging],
    {Time, Report} = py_test:timed(fun() -> py:diagnose() end),
    _ = [true = erlang:resume_process(Pid) || Pid <- Hanging],
    ?assert(Time < 5000),
    ?assertMatch(#{workers := [_, _], servers := #{py_context := _}}, Report),
    ?assertEqual([], py_test:mailbox()).

%% Those who wait for room are counted where they wait.
full_ring(_) ->
    Pool = full_ring,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, ring_size => 65536}),
    Locals = #{x => binary:copy(<<"x">>, 7000)},
    Caller = fun() -> {ok, none} = py:eval(<<"__import__('time').sleep(0.01)">>, Locals, #{pool => Pool, timeout => 60000}) end,
    Callers = [spawn_link(Caller) || _ <- lists:seq(1, 50)],
    py_test:until(fun() -> maps:get(waiting, maps:get(Pool, maps:get(pools, py:diagnose()))) > 0 end),
    py_test:until(fun() -> not lists:any(fun is_process_alive/1, Callers) end),
    ?assertMatch(#{waiting := 0, pending := 0}, maps:get(Pool, maps:get(pools, py:diagnose()))),
    ok = py_pool:stop_pool(Pool).

waiting_for_permits(_) ->
    ok = py_semaphore:set_max_concurrent(1),
    Holding = py:call_async(time, sleep, [0.3]),
    Waiting = spawn_link(fun() -> {ok, 4.0} = py:call(math, sqrt, [16]) end),
    py_test:until(fun() -> maps:with([permits, max_permits, waiting_for_permits], maps:get(native, py:diagnose())) =:= #{permits => 1, max_permits => 1, waiting_for_permits => 1} end),
    {ok, none} = py:await(Holding),
    py_test:until(fun() -> not is_process_alive(Waiting) end),
    ok = py_semaphore:set_max_concurrent(16384).

not_started(_) ->
    py_test:stop(),
    #{workers := [], requests := [], pools := Pools, servers := Servers, threads := []} = py:diagnose(),
    ?assertEqual({0, 0}, {map_size(Pools), map_size(Servers)}),
    ok = py_test:start().
