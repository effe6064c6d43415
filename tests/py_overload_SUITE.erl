%% Far more work than there are workers: everybody is answered in turn, memory stays within bounds, and who cannot wait is told exactly why.
%% PY_OVERLOAD_CALLERS sets how many callers there are at once (default 100000).
-module(py_overload_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

%% About 30 us of Python: too long to be watched, so that every caller waits for a message.
-define(WORK, <<"work">>).

suite() -> [{timetrap, {seconds, 180}}].

all() -> [all_at_once, fairness, overloaded, no_room, order_of_arrival, killed_while_waiting, killed_in_turn, slow_consumers].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 2}]),
    ok = py_test:define(<<"
        import collections
        ran = []
        def note(number):
            ran.append(number)
            return number
        def work(number):
            for _ in range(1000):
                pass
            return number + 1
        made = collections.Counter()
        def items(stream):
            while True:
                made[stream] += 1
                yield bytes(10000)
    ">>),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    ok = py_semaphore:set_max_concurrent(16384),
    ok = py_pool:resize(default, 2),
    py_health:nothing_held().

%% All callers come at once. In flight are never more than the permits allow, and a caller that waits costs little.
%% covers: config:max_concurrent, guarantee:one_answer
all_at_once(_) ->
    Count = list_to_integer(os:getenv("PY_OVERLOAD_CALLERS", "100000")),
    Max = py_semaphore:max_concurrent(),
    Waits = ets:new(waits, [public, {write_concurrency, true}]),
    Self = self(),
    #{mappings := Mappings} = py_nif:nif_info(),
    {Resident, Memory} = {py_health:resident("self"), erlang:memory(total)},
    Callers = [
        spawn_link(fun() ->
            receive go -> ok end,
            {Time, {ok, Answer}} = timer:tc(fun() -> py:call('__main__', ?WORK, [Number], #{}, infinity) end),
            ?assertEqual(Number + 1, Answer),
            true = ets:insert(Waits, {Number, Time}),
            Self ! {done, self()}
        end)
     || Number <- lists:seq(1, Count)
    ],
    Idle = erlang:memory(total),
    Sampler = spawn_link(fun() -> sample(Self, #{memory => 0, resident => 0, in_flight => 0, permits => 0}) end),
    _ = [Caller ! go || Caller <- Callers],
    _ = [receive {done, Caller} -> ok end || Caller <- Callers],
    Sampler ! stop,
    Peak = receive {peak, Highest} -> Highest end,
    Times = lists:sort([Time || {_, Time} <- ets:tab2list(Waits)]),
    ?assertEqual(Count, length(Times)),
    PerCaller = (maps:get(memory, Peak) - Idle) div Count,
    ct:pal(
        "~b callers, 2 workers: waits of ~.1f ms (median), ~.1f ms (p99), ~.1f ms (most)~n"
        "memory before ~b MB, with idle callers ~b MB, at most ~b MB (~b bytes more for each caller), resident ~b to ~b MB; ~b requests in flight at most",
        [
            Count, median(Times) / 1000, lists:nth(Count * 99 div 100, Times) / 1000, lists:last(Times) / 1000,
            Memory bsr 20, Idle bsr 20, maps:get(memory, Peak) bsr 20, PerCaller, Resident bsr 10, maps:get(resident, Peak) bsr 10, maps:get(in_flight, Peak)
        ]
    ),
    ?assert(maps:get(permits, Peak) =< Max),
    ?assert(maps:get(in_flight, Peak) =< Max + erlang:system_info(schedulers)),
    ?assertMatch(#{mappings := Mappings}, py_nif:nif_info()),
    %% What a waiting caller costs beside its process: a message or two, a reference, a place in a queue.
    ?assert(PerCaller < 4096).

sample(To, #{memory := Memory, resident := Resident, in_flight := InFlight, permits := Permits}) ->
    Peak = #{
        memory => max(Memory, erlang:memory(total)), resident => max(Resident, py_health:resident("self")),
        in_flight => max(InFlight, maps:get(slab_in_use, py_nif:nif_info())), permits => max(Permits, py_nif:permits())
    },
    receive stop -> To ! {peak, Peak} after 50 -> sample(To, Peak) end.

median(Sorted) -> lists:nth((length(Sorted) + 1) div 2, Sorted).

%% Callers that come back at once, with few permits: all of them are served equally often and wait equally long.
fairness(_) ->
    ok = py_semaphore:set_max_concurrent(64),
    Good = lists:any(
        fun(_) ->
            {Counts, Waits} = closed_loop(1000, 2000),
            ct:pal("1000 callers, 64 permits, 2 workers, 2 s: served ~b (least), ~b (median), ~b times (most); waits of ~.1f ms (median), ~.1f ms (p99), ~.1f ms (most)", [
                hd(Counts), median(Counts), lists:last(Counts), median(Waits) / 1000, lists:nth(length(Waits) * 99 div 100, Waits) / 1000, lists:last(Waits) / 1000
            ]),
            %% The system may leave a worker that could run without a processor for 100 ms, and with it those who are in its ring.
            hd(Counts) * 2 >= median(Counts) andalso lists:nth(length(Waits) * 99 div 100, Waits) =< 10 * median(Waits)
        end,
        lists:seq(1, 3)
    ),
    ?assert(Good).

closed_loop(Count, Time) ->
    End = erlang:monotonic_time(millisecond) + Time,
    Self = self(),
    Callers = [spawn_link(fun() -> Self ! {waits, self(), calls(End, [])} end) || _ <- lists:seq(1, Count)],
    Waits = [receive {waits, Caller, List} -> List end || Caller <- Callers],
    {lists:sort([length(List) || List <- Waits]), lists:sort(lists:append(Waits))}.

calls(End, Waits) ->
    {Wait, {ok, 2}} = timer:tc(fun() -> py:call('__main__', ?WORK, [1], #{}, infinity) end),
    case erlang:monotonic_time(millisecond) < End of
        true -> calls(End, [Wait | Waits]);
        false -> [Wait | Waits]
    end.

%% covers: error:overloaded, py:call/5, py:eval/3, py:exec/2, py:spawn_call/5, py:async_call/5
overloaded(_) ->
    ok = py_semaphore:set_max_concurrent(4),
    Holding = [py:call_async(time, sleep, [60]) || _ <- lists:seq(1, 4)],
    4 = py_semaphore:current(),
    Self = self(),
    Options = #{timeout => 100},
    Tries = [
        fun() -> py:call(math, sqrt, [16], #{}, 100) end,
        fun() -> py:eval(<<"1">>, #{}, Options) end,
        fun() -> py:exec(<<"1">>, Options) end,
        fun() -> py:await(py:spawn_call(math, sqrt, [16], #{}, Options)) end,
        fun() -> py:await(py:async_call(asyncio, sleep, [0], #{}, Options)) end
    ],
    Refused = fun(Error) ->
        Callers = [spawn_link(fun() -> Self ! {self(), (lists:nth(N rem 5 + 1, Tries))()} end) || N <- lists:seq(1, 500)],
        ?assertEqual([Error], lists:usort([receive {Caller, Result} -> Result end || Caller <- Callers]))
    end,
    Refused({error, {overloaded, 4, 4}}),
    %% More are in flight than a lower bound would let in.
    ok = py_semaphore:set_max_concurrent(2),
    Refused({error, {overloaded, 4, 2}}),
    {error, max_concurrent} = py_semaphore:acquire(50),
    %% What needs no permit goes on.
    ok = py:cast(math, sqrt, [16]),
    #{waiting := 0} = py_nif:nif_info(),
    _ = [ok = py:cancel(Ref) || Ref <- Holding],
    {ok, 4.0} = py:call(math, sqrt, [16]).

%% Who waits for a worker with room, and not for a permit, is late and not too many.
%% covers: error:timeout
no_room(_) ->
    Pool = no_room,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, ring_size => 65536}),
    Holding = py:spawn_call(time, sleep, [60], #{}, #{pool => Pool, timeout => infinity}),
    Long = #{x => binary:copy(<<"x">>, 7000)},
    Callers = [spawn_link(fun() -> {ok, 7000} = py:eval(<<"len(x)">>, Long, #{pool => Pool, timeout => infinity}) end) || _ <- lists:seq(1, 20)],
    py_test:until(fun() -> maps:get(waiting, py_nif:pool_info(py_pool:native(Pool))) > 0 end),
    {error, timeout} = py:eval(<<"len(x)">>, Long, #{pool => Pool, timeout => 100}),
    {error, timeout} = py:await(py:spawn_call(math, sqrt, [16], #{}, #{pool => Pool, timeout => 100})),
    ok = py:cancel(Holding),
    py_test:until(fun() -> not lists:any(fun is_process_alive/1, Callers) end),
    {ok, 7000} = py:eval(<<"len(x)">>, Long, #{pool => Pool}),
    ok = py_pool:stop_pool(Pool).

%% With one permit there is one order: that of arrival. At most 32 callers are awake at a time; those may change places, and run late if
%% their scheduler gets no processor. All others keep their places but for so many.
order_of_arrival(_) ->
    Count = 500,
    Holding = held_up(),
    _ = [arrive(Number) || Number <- lists:seq(1, Count)],
    ok = py:cancel(Holding),
    [receive {answered, Number, {ok, Number}} -> ok end || Number <- lists:seq(1, Count)],
    [Ran] = [List || List <- ran(), List =/= []],
    ?assertEqual(lists:seq(1, Count), lists:sort(Ran)),
    Moved = lists:sort([abs(Place - Number) || {Place, Number} <- lists:enumerate(Ran)]),
    Median = lists:nth(Count div 2, Moved),
    ct:log("moved by ~b places, median, and ~b at most", [Median, lists:last(Moved)]),
    ?assert(Median =< 32).

%% One worker and one permit, which is taken until this is cancelled.
held_up() ->
    ok = py_pool:resize(default, 1),
    py_test:whole(default),
    py_test:until(fun() -> length(py_test:os_pids(default)) =:= 1 end),
    _ = ran(),
    ok = py_semaphore:set_max_concurrent(1),
    Holding = py:call_async(time, sleep, [60]),
    1 = py_semaphore:current(),
    Holding.

%% The numbers in the order in which they ran, which are forgotten.
ran() ->
    py_health:on_workers(<<"(list(ran), ran.clear())[0]">>).

%% One more caller waits behind the others.
arrive(Number) ->
    Self = self(),
    _ = spawn_link(fun() -> Self ! {answered, Number, py:call('__main__', note, [Number], #{}, infinity)} end),
    py_test:until(fun() -> maps:get(waiting, py_nif:nif_info()) =:= Number end).

%% Callers that die in the queue are skipped, and nothing of theirs runs.
%% covers: guarantee:caller_death
killed_while_waiting(_) ->
    Holding = held_up(),
    Self = self(),
    Count = 5000,
    Callers = [
        {Number, spawn(fun() -> Self ! {answered, Number, py:call('__main__', note, [Number], #{}, infinity)} end)}
     || Number <- lists:seq(1, Count)
    ],
    py_test:until(fun() -> maps:get(waiting, py_nif:nif_info()) =:= Count end),
    {Killed, Spared} = lists:partition(fun(_) -> rand:uniform(2) =:= 1 end, Callers),
    _ = [exit(Pid, kill) || {_, Pid} <- Killed],
    py_test:until(fun() -> maps:get(waiting, py_nif:nif_info()) =:= length(Spared) end),
    ok = py:cancel(Holding),
    [receive {answered, Number, {ok, Number}} -> ok end || {Number, _} <- Spared],
    py_health:nothing_held(),
    [Ran] = [List || List <- ran(), List =/= []],
    ?assertEqual([Number || {Number, _} <- Spared], lists:sort(Ran)).

%% Whose turn it is may be killed while a dirty scheduler encodes what it sends: the turn goes to the next one.
%% covers: guarantee:caller_death, guarantee:one_answer
killed_in_turn(_) ->
    Large = binary:copy(<<"x">>, 300000),
    [killed_in_turn(Large, 300) || _ <- lists:seq(1, 10)],
    ok.

killed_in_turn(Large, Count) ->
    Holding = held_up(),
    Call = fun(Args) -> spawn_monitor(fun() -> {ok, _} = py:call(builtins, len, Args, #{}, infinity) end) end,
    {Doomed, Waiting} = lists:unzip([{Call([Large]), Call([<<>>])} || _ <- lists:seq(1, Count)]),
    py_test:until(fun() -> maps:get(waiting, py_nif:nif_info()) =:= 2 * Count end),
    ok = py:cancel(Holding),
    [
        begin
            %% Until its turn is near.
            _ = [erlang:yield() || _ <- lists:seq(1, rand:uniform(40))],
            exit(Pid, kill)
        end
     || {Pid, _} <- Doomed
    ],
    Ends = [receive {'DOWN', Monitor, process, _, Reason} -> Reason end || {_, Monitor} <- Doomed],
    ct:pal("~b of ~b callers were killed", [length([killed || killed <- Ends]), Count]),
    ?assertEqual([], Ends -- [Reason || Reason <- Ends, Reason =:= normal orelse Reason =:= killed]),
    [receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(normal, Reason) end || {_, Monitor} <- Waiting].

%% Consumers that do not take what they have asked for cost what their credit allows, and nobody else's time.
%% covers: py:stream_start/5
slow_consumers(_) ->
    Self = self(),
    Credit = 4,
    Consumers = [
        spawn_link(fun() ->
            {ok, Ref} = py:stream_start('__main__', items, [N], #{}, #{credit => Credit}),
            _ = [{ok, <<_:10000/binary>>} = py:stream_next(Ref) || _ <- lists:seq(1, 5)],
            Self ! {slow, self()},
            receive go -> ok end,
            _ = [{ok, <<_:10000/binary>>} = py:stream_next(Ref) || _ <- lists:seq(1, 50)],
            ok = py:stream_cancel(Ref),
            Self ! {done, self(), py_test:mailbox()}
        end)
     || N <- lists:seq(1, 50)
    ],
    _ = [receive {slow, Consumer} -> ok end || Consumer <- Consumers],
    _ = [{ok, 2} = py:call('__main__', ?WORK, [1]) || _ <- lists:seq(1, 1000)],
    Made = fun() -> lists:append(py_health:on_workers(<<"list(made.values())">>)) end,
    py_test:until(fun() -> maps:get(pending, py_nif:pool_info(py_pool:native(default))) =:= 50 andalso length(Made()) =:= 50 end),
    ?assert(lists:max(Made()) =< 5 + Credit),
    Queued = [Length || Consumer <- Consumers, {message_queue_len, Length} <- [process_info(Consumer, message_queue_len)]],
    ?assert(lists:max(Queued) =< Credit),
    _ = [Consumer ! go || Consumer <- Consumers],
    _ = [receive {done, Consumer, Left} -> ?assertEqual([], Left) end || Consumer <- Consumers],
    ?assert(lists:max(Made()) =< 55 + Credit).
