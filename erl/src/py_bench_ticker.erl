%% @doc The beat of the node: a process on each scheduler that wants to run every millisecond, and how late it does, while the library
%% works and while it does not. Native code that keeps a scheduler makes the beat of that scheduler late by as much.
-module(py_bench_ticker).

-export([workloads/0, delays/2]).

-define(POOL, py_bench_ticker).
-define(CALLERS, 10).
-define(LARGE, 100000000).

%% @doc One workload for each kind of load.
-spec workloads() -> [py_bench_workloads:workload()].
workloads() ->
    [
        (py_bench_workloads:base("1 ms beat of each scheduler, late by: " ++ Name, none, fun is_integer/1))#{
            runs := #{
                ours => rounds(Work, Count),
                idle => rounds(Work, 0),
                computing => rounds(fun compute/1, Count)
            },
            rate := false, by := p99, sides := [ours, idle, computing]
        }
     || {Name, Work, Count} <- loads()
    ].

loads() ->
    [
        {"calls of 1 caller", fun calls/1, 1},
        {lists:flatten(io_lib:format("calls of ~b callers", [?CALLERS])), fun calls/1, ?CALLERS},
        {"echoes of 100 MB", fun echo/1, 1},
        {"100 MB mapped and unmapped", fun remap/1, 1}
    ].

calls(_) ->
    _ = [{ok, 4.0} = py:call(math, sqrt, [16.0]) || _ <- lists:seq(1, 100)],
    ok.

%% A term that keeps shared memory mapped is let go by each turn.
echo(Data) ->
    {ok, Large} = py:call(builtins, bytes, [{bytes, Data}]),
    ?LARGE = byte_size(Large),
    true = garbage_collect(),
    ok.

%% With the worker go its segments.
remap(Data) ->
    ok = py_pool:start_pool(?POOL, #{num_workers => 1, max_workers => 1}),
    {ok, ?LARGE} = py:call(builtins, len, [{buffer, Data}], [], #{pool => ?POOL}),
    ok = py_pool:stop_pool(?POOL).

compute(_) ->
    _ = lists:foldl(fun(N, Sum) -> N * N + Sum end, 0, lists:seq(1, 1000)),
    ok.

rounds(Work, Count) ->
    fun(WarmUp, Duration) ->
        Data = binary:copy(<<7>>, ?LARGE),
        Running = [spawn_opt(fun() -> repeat(Work, Data) end, [link, monitor]) || _ <- lists:seq(1, Count)],
        _ = delays(erlang:system_info(schedulers_online), WarmUp),
        Delays = delays(erlang:system_info(schedulers_online), Duration),
        _ = [Pid ! stop || {Pid, _} <- Running],
        _ = [receive {'DOWN', Monitor, process, _, normal} -> ok end || {_, Monitor} <- Running],
        py_bench_measure:from_times(Delays, 1)
    end.

repeat(Work, Data) ->
    ok = Work(Data),
    receive stop -> ok after 0 -> repeat(Work, Data) end.

%% @doc How many nanoseconds late each beat was in so many milliseconds, on so many schedulers.
-spec delays(pos_integer(), non_neg_integer()) -> [pos_integer(), ...].
delays(Schedulers, Milliseconds) ->
    Self = self(),
    Tickers = [spawn_opt(fun() -> Self ! {self(), beat(Scheduler, Milliseconds)} end, [link]) || Scheduler <- lists:seq(1, Schedulers)],
    lists:append([receive {Ticker, Delays} -> Delays end || Ticker <- Tickers]).

beat(Scheduler, Milliseconds) ->
    %% The flag is not documented. Without it the beat would leave a scheduler that is blocked for another that is not.
    Flag = binary_to_existing_atom(<<"scheduler">>),
    _ = process_flag(Flag, Scheduler),
    true = erlang:yield(),
    First = erlang:monotonic_time(millisecond) + 1,
    beat(First, First + Milliseconds, []).

%% Each beat has its own time; those that it missed meanwhile are late, too.
beat(At, End, Delays) ->
    _ = erlang:start_timer(At, self(), beat, [{abs, true}]),
    receive {timeout, _, beat} -> ok end,
    Now = erlang:monotonic_time(nanosecond),
    %% Monotonic time may be negative: `div' would round up.
    Last = max(At, min(End, erlang:convert_time_unit(Now, nanosecond, millisecond))),
    Late = [max(1, Now - Missed * 1000000) || Missed <- lists:seq(At, Last)],
    case Last < End of
        true -> beat(Last + 1, End, Late ++ Delays);
        false -> Late ++ Delays
    end.
