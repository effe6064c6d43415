%% Everything at once, for as long as one likes: the checked load of the chaos suite, deaths of workers, and restarts of pools. Nothing may
%% grow. Leaves a plot and its figures.
%% `make soak MINUTES=30' sets PY_SOAK_MINUTES (default: a tenth) and says where the plot is; PY_SOAK_OUT is its directory.
-module(py_soak_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").
-include_lib("common_test/include/ct.hrl").

-define(POOLS, [default, async, parallel, load_threads]).
%% Length of a round of the load in seconds: at its end every answer has been checked, and nothing may be held.
-define(ROUND, 20).
-define(POINTS, 600).

suite() -> [{timetrap, {seconds, 180 + round(minutes() * 66)}}].

all() -> [soak].

minutes() ->
    case os:getenv("PY_SOAK_MINUTES") of
        false -> 0.1;
        Text -> list_to_integer(Text)
    end.

init_per_suite(Config) ->
    _ = py_load:prepare(?config(priv_dir, Config)),
    ok = py_test:start(py_load:pool_options()),
    ok = logger:set_module_level(py_worker, error),
    Config.

end_per_suite(_Config) ->
    ok = logger:unset_module_level(py_worker),
    py_test:stop().

%% covers: guarantee:nothing_left, guarantee:one_answer
soak(_) ->
    Seconds = round(minutes() * 60),
    Done = counters:new(1, []),
    Sampler = spawn_link(fun() -> sampler(max(200, Seconds * 1000 div ?POINTS), Done) end),
    End = erlang:monotonic_time(second) + Seconds,
    Deaths = rounds(End, 1, Sampler),
    Sampler ! {stop, self()},
    Samples = receive {samples, List} -> List end,
    Out = os:getenv("PY_SOAK_OUT", filename:join([code:priv_dir(erlang_python), "..", "bench", "results"])),
    ok = filelib:ensure_dir(filename:join(Out, "x")),
    ok = file:write_file(filename:join(Out, "soak.svg"), py_soak_plot:svg(Samples)),
    ok = file:write_file(filename:join(Out, "soak.csv"), py_soak_plot:csv(Samples)),
    #{done := Pieces} = lists:last(Samples),
    ct:pal("~b s, ~b pieces of work, ~b deaths; the plot is ~ts", [Seconds, Pieces, Deaths, filename:join(Out, "soak.svg")]),
    ct:pal("~ts", [[io_lib:format("~ts: median of the second fifth ~p, of the last ~p~n", [Key, A, B]) || {Key, A, B, _} <- growth(Samples)]]),
    %% A short run shows how the memory of new workers fills.
    ?assertEqual([], [Grown || Seconds >= 60, {_, _, _, true} = Grown <- growth(Samples)]).

rounds(End, Number, Sampler) ->
    case End - erlang:monotonic_time(second) of
        Left when Left =< 0 ->
            0;
        Left ->
            Load = py_load:start(#{clients => 16, seed => Number}),
            Sampler ! {load, Load},
            Over = min(erlang:monotonic_time(second) + ?ROUND, End),
            Before = py_faults:restarts(),
            _ = py_faults:run(#{
                over => fun() -> erlang:monotonic_time(second) >= Over end,
                seed => Number + Left, places => 1, pools => ?POOLS, pause => 3000
            }),
            Deaths = py_faults:restarts() - Before,
            _ = py_load:stop(Load),
            %% A pool of its own comes and goes, one that has grown shrinks.
            ok = py_pool:start_pool(soaked, #{num_workers => 1}),
            {ok, 4.0} = py:call(math, sqrt, [16], #{}, #{pool => soaked}),
            ok = py_pool:stop_pool(soaked),
            ok = py_pool:resize(default, 6),
            Deaths + rounds(End, Number + 1, Sampler)
    end.

%% Samples.

sampler(Interval, Done) ->
    receive {load, Load} -> sampler(#{interval => Interval, done => Done, start => now_ms(), load => Load, pieces => 0, before => none}, [], now_ms()) end.

sampler(#{interval := Interval, start := Start} = State, Samples, Last) ->
    receive
        {stop, To} ->
            To ! {samples, lists:reverse(Samples)};
        {load, Load} ->
            Pieces = maps:get(pieces, State) + py_load:done(maps:get(load, State)),
            sampler(State#{load := Load, pieces := Pieces, before := none}, Samples, Last)
    after Interval ->
        Now = now_ms(),
        {Sample, Before} = sample(State, Now - Last),
        sampler(State#{before := Before}, [Sample#{time => (Now - Start) / 1000} | Samples], Now)
    end.

sample(#{load := Load, pieces := Pieces, before := Before}, Passed) ->
    Histogram = py_load:latencies(Load),
    Done = py_load:done(Load),
    {Earlier, EarlierDone} = case Before of none -> {[{T, 0} || {T, _} <- Histogram], 0}; _ -> Before end,
    Fresh = [{T, N - M} || {{T, N}, {_, M}} <- lists:zip(Histogram, Earlier)],
    Resident = [py_health:resident(integer_to_list(P)) || #{os_pid := P, state := ready} <- py:workers(), is_integer(P)],
    {
        #{
            done => Pieces + Done,
            rate => (Done - EarlierDone) * 1000 / Passed,
            p50 => quantile(0.5, Fresh), p99 => quantile(0.99, Fresh), p999 => quantile(0.999, Fresh),
            node_rss => py_health:resident("self") / 1024,
            erlang => erlang:memory(total) / 1048576,
            worker_rss => lists:sum(Resident) / max(1, length(Resident)) / 1024,
            largest_worker => lists:max([0 | Resident]) / 1024,
            workers => length(Resident),
            descriptors => length(element(2, file:list_dir("/proc/self/fd"))),
            threads => length(element(2, file:list_dir("/proc/self/task"))),
            processes => erlang:system_info(process_count),
            atoms => erlang:system_info(atom_count),
            restarts => py_faults:restarts()
        },
        {Histogram, Done}
    }.

%% Milliseconds; `none' where nothing was counted.
quantile(Fraction, Histogram) ->
    case lists:sum([N || {_, N} <- Histogram]) of
        0 -> none;
        All -> quantile_at(Fraction * All, Histogram)
    end.

quantile_at(Rank, [{_, Count} | Rest]) when Rank > Count, Rest =/= [] -> quantile_at(Rank - Count, Rest);
quantile_at(_, [{Time, _} | _]) -> Time / 1000.

now_ms() -> erlang:monotonic_time(millisecond).

%% Whether a figure is larger at the end than after the beginning, by more than what comes and goes.
growth(Samples) ->
    Fifth = max(1, length(Samples) div 5),
    Early = lists:sublist(Samples, Fifth + 1, Fifth),
    Late = lists:nthtail(length(Samples) - Fifth, Samples),
    [
        {Key, A, B, B > A * 1.1 + Slack}
     || {Key, Slack} <- [{node_rss, 40}, {erlang, 20}, {worker_rss, 10}, {descriptors, 60}, {threads, 8}, {processes, 60}, {atoms, 300}],
        A <- [median_of(Key, Early)],
        B <- [median_of(Key, Late)]
    ].

median_of(Key, Samples) ->
    Sorted = lists:sort([Value || #{Key := Value} <- Samples]),
    lists:nth((length(Sorted) + 1) div 2, Sorted).
