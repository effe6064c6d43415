%% Giving up, completion, cancellation, death of callers and workers, and reuse of cells and entries, in as many orders as chance has:
%% work whose time is spread around the budget that its callers watch for, answers that say whose they are.
%% PY_RACE_ROUNDS sets how many requests each of the callers makes at least on each pool (default 1000), and with that how many workers die.
-module(py_race_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(POOL, py_race).
-define(CALLERS, 8).

suite() -> [{timetrap, {seconds, 300}}].

all() -> [living_workers, dying_workers].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

code() ->
    <<
        "import time\n"
        "def work(number, microseconds, count):\n"
        "    end = time.perf_counter_ns() + microseconds * 1000\n"
        "    while microseconds and time.perf_counter_ns() < end:\n"
        "        pass\n"
        "    return [number] * count if count else number\n"
    >>.

rounds() ->
    list_to_integer(os:getenv("PY_RACE_ROUNDS", "1000")).

%% covers: guarantee:one_answer, guarantee:neighbours, guarantee:no_late_message, config:inline_budget_us
living_workers(_) ->
    [
        with_pool(2, Budget, fun() ->
            Counts = storm(living, rounds()),
            ct:pal("budget ~b us: ~p", [Budget, Counts]),
            ?assertMatch(#{right := Right} when Right > 0, Counts),
            ?assertNot(is_map_key(worker_down, Counts))
        end)
     || Budget <- [1, 3, 8, 20, 100]
    ].

%% covers: guarantee:one_answer, guarantee:neighbours, guarantee:crash, error:worker_down
dying_workers(_) ->
    [
        with_pool(6, Budget, fun() ->
            Killed = counters:new(1, []),
            Killer = spawn_link(fun() -> receive after 1000 -> kill_some(Killed) end end),
            Counts = storms(Killed, #{}),
            Killer ! {stop, self()},
            receive {stopped, Killer} -> ok end,
            ct:pal("budget ~b us, ~b workers killed: ~p", [Budget, counters:get(Killed, 1), Counts]),
            ?assertMatch(#{right := Right} when Right > 0, Counts)
        end)
     || Budget <- [3, 20]
    ].

with_pool(Workers, Budget, Fun) ->
    ok = py_pool:start_pool(?POOL, #{num_workers => Workers, max_workers => Workers, inline_budget_us => Budget, preload => code()}),
    py_test:whole(?POOL),
    Fun(),
    py_test:settled(),
    ok = py_pool:stop_pool(?POOL).

%% Kills the oldest worker again and again until it is told to stop. Each has lived for more than a second: a worker that ends earlier
%% counts as one that cannot start, and the next one has to wait.
kill_some(Killed) ->
    receive
        {stop, From} -> From ! {stopped, self()}
    after 200 + rand:uniform(20) ->
        case py_test:os_pids(?POOL) of
            [_, _, _, _ | _] = OsPids ->
                py_test:kill("KILL", lists:min(OsPids)),
                counters:add(Killed, 1, 1);
            _ -> ok
        end,
        kill_some(Killed)
    end.

%% Storms until enough workers have died, and one of them with work.
storms(Killed, Before) ->
    Counts = merge(Before, storm(dying, rounds())),
    case counters:get(Killed, 1) >= rounds() div 50 andalso is_map_key(worker_down, Counts) of
        true -> Counts;
        false -> storms(Killed, Counts)
    end.

merge(Counts, More) ->
    maps:merge_with(fun(_, A, B) -> A + B end, Counts, More).

%% What became of all requests, by count.
storm(Kind, Rounds) ->
    Callers = [spawn_monitor(fun() -> exit({done, caller(Kind, N * 1000000, Rounds, #{})}) end) || N <- lists:seq(1, ?CALLERS)],
    lists:foldl(
        fun({Pid, Monitor}, All) ->
            receive
                {'DOWN', Monitor, process, Pid, {done, Counts}} -> merge(All, Counts);
                {'DOWN', Monitor, process, Pid, Reason} -> ct:fail(Reason)
            end
        end,
        #{},
        Callers
    ).

caller(_Kind, _Number, 0, Counts) ->
    receive Late -> exit({late_message, Late}) after 0 -> Counts end;
caller(Kind, Number, Left, Counts) ->
    Outcome = outcome(Kind, Number, request(rand:uniform(10), [Number, pick(times()), pick(counts())])),
    caller(Kind, Number + 1, Left - 1, maps:update_with(Outcome, fun(N) -> N + 1 end, 1, Counts)).

%% Microseconds around the budgets, and sizes of answers for the cell, the reader, the caller's scheduler and a dirty one.
times() -> [0, 0, 1, 2, 3, 5, 8, 12, 18, 25, 40, 150].
counts() -> [0, 0, 0, 40, 48, 150, 600, 9000].

pick(List) -> lists:nth(rand:uniform(length(List)), List).

request(N, [_, _, Count] = Args) when N =< 5 ->
    {Count, py:call('__main__', work, Args, #{}, options(infinity))};
request(6, [_, _, Count] = Args) ->
    {Count, py:await(py:spawn_call('__main__', work, Args, #{}, options(infinity)))};
request(7, Args) ->
    Ref = py:spawn_call('__main__', work, Args, #{}, options(infinity)),
    spin(rand:uniform(40)),
    ok = py:cancel(Ref),
    receive {_, Ref, _} = Late -> exit({after_cancel, Late}) after 0 -> cancelled end;
request(8, [_, _, Count] = Args) ->
    {Count, py:call('__main__', work, Args, #{}, options(rand:uniform(2) - 1))};
request(9, Args) ->
    {Pid, Monitor} = spawn_monitor(fun() -> py:call('__main__', work, Args, #{}, options(infinity)) end),
    spin(rand:uniform(40)),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> cancelled end;
request(10, [Number, Microseconds, Count]) ->
    Refs = [
        {N, py:spawn_call('__main__', work, [N, Microseconds, Count], #{}, options(infinity))}
     || N <- [{Number, I} || I <- lists:seq(1, 5)]
    ],
    {Count, [{N, py:await(Ref)} || {N, Ref} <- Refs]}.

options(Timeout) ->
    #{pool => ?POOL, timeout => Timeout}.

spin(Microseconds) ->
    spin_until(erlang:monotonic_time(nanosecond) + Microseconds * 1000).

spin_until(End) ->
    case erlang:monotonic_time(nanosecond) < End of
        true -> spin_until(End);
        false -> ok
    end.

%% An answer is that of its own request, or a failure that this kind of storm may have.
outcome(_Kind, _Number, cancelled) -> cancelled;
outcome(Kind, _Number, {Count, Several}) when is_list(Several) ->
    Outcomes = [outcome(Kind, Number, {Count, Result}) || {Number, Result} <- Several],
    case lists:usort(Outcomes) of
        [right] -> right;
        _ -> worker_down
    end;
outcome(_Kind, Number, {0, {ok, Number}}) -> right;
outcome(_Kind, Number, {Count, {ok, Value}}) when length(Value) =:= Count ->
    case lists:all(fun(One) -> One =:= Number end, Value) of
        true -> right;
        false -> exit({wrong_answer, Number, Value})
    end;
outcome(_Kind, _Number, {_, {error, timeout}}) -> timeout;
outcome(dying, _Number, {_, {error, {worker_down, _}}}) -> worker_down;
outcome(_Kind, Number, Other) -> exit({wrong_answer, Number, Other}).
