%% @doc Measuring for {@link py_unified_bench}: many processes that run something in a loop, and the distribution of their times.
%%
%% Times go into a histogram with buckets 1.1 % wide, so percentiles are that exact; the longest is exact. Throughput is what all
%% callers together finished, divided by wall-clock time.
-module(py_bench_measure).

-export([run/3, samples/2, nanoseconds/1, from_times/2, row/1]).
-export([bucket/1, value/1, percentile/2]).

-export_type([work/0, round/0, row/0]).

-type work() :: #{callers := pos_integer(), burst := pos_integer(), per := pos_integer(), _ => _}.
%% `burst': of so many turns the first is timed, so that the clock does not weigh on short calls; `per': operations of one turn.
-type round() :: #{ops := non_neg_integer(), ns := pos_integer(), max := number(), counts := [{pos_integer(), pos_integer()}]}.
%% `counts' are pairs of bucket and number of times; `max' and the times are nanoseconds per operation.
-type row() :: #{
    ops := non_neg_integer(), ops_per_s := float(), p50 := float(), p90 := float(), p99 := float(), p999 := float(), max := float(),
    p50_rounds := [float()], histogram := [{float(), pos_integer()}]
}.
%% Times in microseconds, thousandths of what was sampled; `p50_rounds' has the median of each round, `histogram' the number of times by their size, in steps of a sixteenth
%% of a doubling.

%% Buckets per doubling, and doublings: up to 2^40 ns, 18 minutes.
-define(FINENESS, 64).
-define(BUCKETS, (40 * ?FINENESS)).

%% @doc Runs `Fun' for about so many milliseconds, at least once per caller. A single caller is the calling process itself.
-spec run(fun(() -> term()), work(), non_neg_integer()) -> round().
run(Fun, #{callers := Callers, burst := Burst, per := Per}, Milliseconds) ->
    Histogram = counters:new(?BUCKETS, [write_concurrency]),
    Start = erlang:monotonic_time(nanosecond),
    End = Start + Milliseconds * 1000000,
    Ends =
        case Callers of
            1 -> [loop(Fun, Burst, Per, Histogram, End, 0, 0)];
            _ -> many(Callers, fun() -> loop(Fun, Burst, Per, Histogram, End, 0, 0) end)
        end,
    Ns = erlang:monotonic_time(nanosecond) - Start,
    {Turns, Longest} = lists:unzip(Ends),
    Counts = [{N, Count} || N <- lists:seq(1, ?BUCKETS), Count <- [counters:get(Histogram, N)], Count > 0],
    #{ops => lists:sum(Turns) * Per, ns => Ns, max => lists:max(Longest), counts => Counts}.

-spec many(pos_integer(), fun(() -> Result)) -> [Result].
many(Callers, Loop) ->
    Started = [spawn_monitor(fun() -> exit({finished, Loop()}) end) || _ <- lists:seq(1, Callers)],
    [
        receive
            {'DOWN', Monitor, process, Pid, {finished, Result}} -> Result;
            {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
        end
     || {Pid, Monitor} <- Started
    ].

loop(Fun, Burst, Per, Histogram, End, Turns, Longest) ->
    Before = erlang:monotonic_time(nanosecond),
    _ = Fun(),
    After = erlang:monotonic_time(nanosecond),
    Took = (After - Before) / Per,
    ok = counters:add(Histogram, bucket(Took), 1),
    untimed(Fun, Burst - 1),
    case After < End of
        true -> loop(Fun, Burst, Per, Histogram, End, Turns + Burst, max(Took, Longest));
        false -> {Turns + Burst, max(Took, Longest)}
    end.

untimed(_Fun, 0) ->
    ok;
untimed(Fun, Turns) ->
    _ = Fun(),
    untimed(Fun, Turns - 1).

%% @doc A round of what `Fun' returns, which is asked for so many milliseconds, at least once: nanoseconds of a part of what it does, or
%% something else that has a distribution.
-spec samples(fun(() -> number()), non_neg_integer()) -> round().
samples(Fun, Milliseconds) ->
    from_times(sampled(Fun, erlang:monotonic_time(millisecond) + Milliseconds), 1).

sampled(Fun, End) ->
    Sample = Fun(),
    case erlang:monotonic_time(millisecond) < End of
        true -> [Sample | sampled(Fun, End)];
        false -> [Sample]
    end.

%% @doc What `Fun' takes.
-spec nanoseconds(fun(() -> term())) -> pos_integer().
nanoseconds(Fun) ->
    Before = erlang:monotonic_time(nanosecond),
    _ = Fun(),
    max(1, erlang:monotonic_time(nanosecond) - Before).

%% @doc A round from times in nanoseconds, each the mean of `Number' operations.
-spec from_times([number(), ...], pos_integer()) -> round().
from_times(Times, Number) ->
    Counts = lists:foldl(fun(Time, Acc) -> maps:update_with(bucket(Time), fun(N) -> N + 1 end, 1, Acc) end, #{}, Times),
    #{
        ops => length(Times) * Number,
        ns => max(1, round(lists:sum(Times) * Number)),
        max => lists:max(Times),
        counts => lists:sort(maps:to_list(Counts))
    }.

%% @doc What all rounds of one case say together.
-spec row([round(), ...]) -> row().
row(Rounds) ->
    Sum = fun(Key) -> lists:sum([maps:get(Key, Round) || Round <- Rounds]) end,
    Max = lists:max([maps:get(max, Round) || Round <- Rounds]),
    All = merge([Counts || #{counts := Counts} <- Rounds]),
    #{
        ops => Sum(ops),
        ops_per_s => Sum(ops) * 1.0e9 / Sum(ns),
        p50 => microseconds(0.5, All, Max),
        p90 => microseconds(0.9, All, Max),
        p99 => microseconds(0.99, All, Max),
        p999 => microseconds(0.999, All, Max),
        max => Max / 1000,
        histogram => coarse(Rounds),
        p50_rounds => [microseconds(0.5, merge([Counts]), Longest) || #{counts := Counts, max := Longest} <- Rounds]
    }.

microseconds(Share, Counts, Max) ->
    min(percentile(Share, Counts), float(Max)) / 1000.

%% Values instead of buckets, sorted.
-spec merge([[{pos_integer(), pos_integer()}]]) -> [{float(), pos_integer()}].
merge(Histograms) ->
    Add = fun({Bucket, Count}, Acc) -> maps:update_with(Bucket, fun(N) -> N + Count end, Count, Acc) end,
    Sum = lists:foldl(Add, #{}, lists:append(Histograms)),
    [{value(Bucket), Count} || {Bucket, Count} <- lists:sort(maps:to_list(Sum))].

-define(COARSENESS, 4).

%% Fewer buckets, for pictures.
-spec coarse([round(), ...]) -> [{float(), pos_integer()}].
coarse(Rounds) ->
    Add = fun({Bucket, Count}, Acc) -> maps:update_with((Bucket - 1) div ?COARSENESS, fun(N) -> N + Count end, Count, Acc) end,
    Sum = lists:foldl(Add, #{}, lists:append([Counts || #{counts := Counts} <- Rounds])),
    [{math:pow(2, (Bucket + 0.5) * ?COARSENESS / ?FINENESS) / 1000, Count} || {Bucket, Count} <- lists:sort(maps:to_list(Sum))].

%% @doc Bucket of a duration in nanoseconds, from 1.
-spec bucket(number()) -> pos_integer().
bucket(Nanoseconds) when Nanoseconds < 2 -> 1;
bucket(Nanoseconds) -> min(?BUCKETS, trunc(math:log2(Nanoseconds) * ?FINENESS) + 1).

%% @doc Middle of a bucket, in nanoseconds.
-spec value(pos_integer()) -> float().
value(Bucket) ->
    math:pow(2, (Bucket - 0.5) / ?FINENESS).

%% @doc Smallest value that is at least as large as this share of all; `Counts' is sorted by value.
-spec percentile(float(), [{float(), pos_integer()}, ...]) -> float().
percentile(Share, Counts) ->
    Total = lists:sum([Count || {_, Count} <- Counts]),
    rank(max(1, ceil(Share * Total)), Counts).

-spec rank(pos_integer(), [{float(), pos_integer()}, ...]) -> float().
rank(_Rank, [{Value, _}]) -> Value;
rank(Rank, [{Value, Count} | _]) when Rank =< Count -> Value;
rank(Rank, [{_, Count} | Rest]) -> rank(Rank - Count, Rest).
