%% @doc The benchmark of the library: prints a table and returns its rows.
%%
%% Every case warms up first. Latencies go into a histogram with buckets 1.1 % wide, so percentiles are that exact; the
%% maximum is exact. Throughput is what all callers together finished, divided by wall-clock time.
-module(py_unified_bench).

-export([run_all/0, run_all/1]).
-export([percentile/2, bucket/1, value/1]).

-export_type([options/0, row/0]).

-type options() :: #{
    quick => boolean(), duration => pos_integer(), warmup => pos_integer(), callers => [pos_integer()], workers => pos_integer()
}.
%% `quick' runs every case for a shorter time. `duration' and `warmup' are milliseconds per case, `callers' the numbers of
%% concurrent processes, `workers' the largest pool of the scaling case.
-type row() :: #{
    name := string(),
    ops := non_neg_integer(),
    ops_per_s := float(),
    p50 := float(),
    p90 := float(),
    p99 := float(),
    p999 := float(),
    max := float(),
    speedup => float()
}.
%% Latencies in microseconds.

%% Buckets per doubling, and doublings: up to 2^40 ns, 18 minutes.
-define(FINENESS, 64).
-define(BUCKETS, (40 * ?FINENESS)).

%% @doc The full run.
-spec run_all() -> [row()].
run_all() ->
    run_all(#{}).

%% @doc A run with options. Starts the application if it is not running.
-spec run_all(options()) -> [row()].
run_all(Options) ->
    {ok, _} = application:ensure_all_started(erlang_python),
    Quick = maps:get(quick, Options, false),
    Settings = maps:merge(
        #{
            duration => case Quick of true -> 1000; false -> 5000 end,
            warmup => case Quick of true -> 200; false -> 1000 end,
            callers => [10, 50, 100, 1000],
            workers => erlang:system_info(schedulers_online)
        },
        Options
    ),
    preamble(Settings),
    Sqrt = fun() -> {ok, 4.0} = py:call(math, sqrt, [16.0]) end,
    Calls = [callers(Count, Sqrt, Settings) || Count <- [1 | maps:get(callers, Settings)]],
    io:format("~n~-34s ~10s ~10s ~9s ~9s ~9s ~9s ~9s~n", ["py:parallel, CPU-bound", "tasks/s", "speed-up", "p50 ms", "p90", "p99", "p99.9", "max"]),
    Calls ++ scaling(Settings).

-spec preamble(#{atom() => term()}) -> ok.
preamble(#{duration := Duration, warmup := Warmup}) ->
    {ok, Version} = py:version(),
    #{pools := #{default := #{executable := Executable}}} = py:execution_info(),
    io:format("machine  ~ts, ~b cores online~n", [processor(), erlang:system_info(schedulers_online)]),
    io:format("runtime  OTP ~ts, erts ~ts~n", [erlang:system_info(otp_release), erlang:system_info(version)]),
    io:format("python   ~ts~n         ~ts~n", [Version, Executable]),
    io:format("workers  ~b in pool default~n", [py:num_executors()]),
    io:format("method   ~b ms of warm-up, then one run of ~b ms per case~n~n", [Warmup, Duration]),
    io:format("~-34s ~10s ~10s ~9s ~9s ~9s ~9s ~9s~n", ["py:call(math, sqrt, [16.0])", "calls/s", "calls", "p50 us", "p90", "p99", "p99.9", "max"]).

-spec processor() -> string().
processor() ->
    case file:read_file("/proc/cpuinfo") of
        {ok, Text} ->
            case re:run(Text, "model name\\s*:\\s*(.*)", [{capture, all_but_first, list}]) of
                {match, [Name]} -> Name;
                nomatch -> erlang:system_info(system_architecture)
            end;
        {error, _} ->
            erlang:system_info(system_architecture)
    end.

%% Many processes, each calling in a loop.

callers(Count, Fun, #{duration := Duration, warmup := Warmup}) ->
    _ = spread(Count, Fun, Warmup),
    {Histogram, Max, Nanoseconds} = spread(Count, Fun, Duration),
    Name =
        case Count of
            1 -> "1 process";
            _ -> integer_to_list(Count) ++ " processes"
        end,
    Row = row(Name, Histogram, Max, Nanoseconds),
    #{ops := Ops, ops_per_s := Rate, p50 := P50, p90 := P90, p99 := P99, p999 := P999, max := Most} = Row,
    io:format("~-34s ~10b ~10b ~9.1f ~9.1f ~9.1f ~9.1f ~9.1f~n", [Name, round(Rate), Ops, P50, P90, P99, P999, Most]),
    Row.

-spec spread(pos_integer(), fun(() -> term()), pos_integer()) -> {counters:counters_ref(), non_neg_integer(), pos_integer()}.
spread(Count, Fun, Duration) ->
    Histogram = counters:new(?BUCKETS, [write_concurrency]),
    Start = erlang:monotonic_time(nanosecond),
    End = Start + Duration * 1000000,
    Callers = [spawn_monitor(fun() -> exit({max, repeat(Fun, Histogram, End, 0)}) end) || _ <- lists:seq(1, Count)],
    Max = lists:max([
        receive {'DOWN', Monitor, process, Pid, {max, M}} -> M;
                {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
        end
     || {Pid, Monitor} <- Callers
    ]),
    {Histogram, Max, erlang:monotonic_time(nanosecond) - Start}.

-spec repeat(fun(() -> term()), counters:counters_ref(), integer(), non_neg_integer()) -> non_neg_integer().
repeat(Fun, Histogram, End, Max) ->
    Before = erlang:monotonic_time(nanosecond),
    _ = Fun(),
    After = erlang:monotonic_time(nanosecond),
    Took = After - Before,
    ok = counters:add(Histogram, bucket(Took), 1),
    case After < End of
        true -> repeat(Fun, Histogram, End, max(Took, Max));
        false -> max(Took, Max)
    end.

%% Equal CPU-bound tasks on 1 to N workers.

-spec scaling(#{atom() => term()}) -> [row()].
scaling(#{duration := Duration, workers := Most}) ->
    Task = task(Duration),
    Steps = [N || N <- lists:seq(1, Most), N =:= 1 orelse N =:= Most orelse N band (N - 1) =:= 0],
    {Rows, _} = lists:mapfoldl(fun(N, Base) -> scale(N, Most, Task, Duration, Base) end, none, Steps),
    Rows.

%% A task of about a twentieth of the duration, so that a case has some rounds.
-spec task(pos_integer()) -> py:call().
task(Duration) ->
    Probe = 200000,
    {Time, {ok, _}} = timer:tc(fun() -> call(sum_of(Probe)) end),
    {Time2, {ok, _}} = timer:tc(fun() -> call(sum_of(Probe)) end),
    sum_of(max(1, Probe * Duration * 1000 div 20 div max(1, min(Time, Time2)))).

call({Module, Function, Args}) ->
    py:call(Module, Function, Args).

-spec sum_of(pos_integer()) -> {builtins, eval, [binary() | map()]}.
sum_of(N) ->
    Code = io_lib:format("sum(i * i for i in range(~b))", [N]),
    {builtins, eval, [iolist_to_binary(Code), #{}]}.

-spec scale(pos_integer(), pos_integer(), py:call(), pos_integer(), none | float()) -> {row(), float()}.
scale(Workers, Most, Task, Duration, Base) ->
    Pool = py_unified_bench,
    ok = py_pool:start_pool(Pool, #{num_workers => Workers, max_workers => Workers}),
    try
        Batch = lists:duplicate(2 * Most, Task),
        Round = fun() -> {ok, Results} = py:parallel(Batch, #{pool => Pool, timeout => infinity}), [{ok, _} = R || R <- Results] end,
        _ = Round(),
        {Histogram, Max, Nanoseconds} = spread(1, Round, Duration),
        Name = io_lib:format("~b worker~ts, rounds of ~b tasks", [Workers, case Workers of 1 -> ""; _ -> "s" end, length(Batch)]),
        Row = row(lists:flatten(Name), Histogram, Max, Nanoseconds),
        Rate = length(Batch) * maps:get(ops_per_s, Row),
        Speedup = case Base of none -> 1.0; _ -> Rate / Base end,
        #{p50 := P50, p90 := P90, p99 := P99, p999 := P999, max := Longest} = Row,
        io:format("~-34s ~10.1f ~10.2f ~9.1f ~9.1f ~9.1f ~9.1f ~9.1f~n", [
            Name, Rate, Speedup, P50 / 1000, P90 / 1000, P99 / 1000, P999 / 1000, Longest / 1000
        ]),
        {Row#{ops_per_s := Rate, speedup => Speedup}, case Base of none -> Rate; _ -> Base end}
    after
        py_pool:stop_pool(Pool)
    end.

%% Histogram.

-spec row(string(), counters:counters_ref(), non_neg_integer(), pos_integer()) -> row().
row(Name, Histogram, Max, Nanoseconds) ->
    Counts = [{value(N), Count} || N <- lists:seq(1, ?BUCKETS), Count <- [counters:get(Histogram, N)], Count > 0],
    Ops = lists:sum([Count || {_, Count} <- Counts]),
    At = fun(Share) -> min(percentile(Share, Counts), float(Max)) / 1000 end,
    #{
        name => Name,
        ops => Ops,
        ops_per_s => Ops * 1.0e9 / Nanoseconds,
        p50 => At(0.5),
        p90 => At(0.9),
        p99 => At(0.99),
        p999 => At(0.999),
        max => Max / 1000
    }.

%% @private Bucket of a duration in nanoseconds, from 1.
-spec bucket(non_neg_integer()) -> pos_integer().
bucket(Nanoseconds) when Nanoseconds < 2 -> 1;
bucket(Nanoseconds) -> min(?BUCKETS, trunc(math:log2(Nanoseconds) * ?FINENESS) + 1).

%% @private Middle of a bucket, in nanoseconds.
-spec value(pos_integer()) -> float().
value(Bucket) ->
    math:pow(2, (Bucket - 0.5) / ?FINENESS).

%% @private Smallest value that is at least as large as this share of all; `Counts' is sorted by value.
-spec percentile(float(), [{float(), pos_integer()}]) -> float().
percentile(Share, Counts) ->
    Total = lists:sum([Count || {_, Count} <- Counts]),
    rank(max(1, ceil(Share * Total)), Counts).

-spec rank(pos_integer(), [{float(), pos_integer()}]) -> float().
rank(_Rank, [{Value, _}]) -> Value;
rank(Rank, [{Value, Count} | _]) when Rank =< Count -> Value;
rank(Rank, [{_, Count} | Rest]) -> rank(Rank - Count, Rest).
