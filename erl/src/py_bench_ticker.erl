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
                ours => rounds(Load),
                idle => rounds([]),
                computing => rounds([fun compute/0 || _ <- Load])
            },
            rate := false, by := p99, sides := [ours, idle, computing]
        }
     || {Name, Load} <- loads()
    ].

loads() ->
    [
        {lists:flatten(io_lib:format("calls of ~b callers", [?CALLERS])), lists:duplicate(?CALLERS, fun calls/0)},
        {"echoes of 100 MB", [fun echo/0]},
        {"100 MB mapped and unmapped", [fun remap/0]}
    ].

calls() ->
    _ = [{ok, 4.0} = py:call(math, sqrt, [16.0]) || _ <- lists:seq(1, 100)],
    ok.

%% A term that keeps shared memory mapped is let go by each turn.
echo() ->
    {ok, Large} = py:call(builtins, bytes, [{bytes, binary:copy(<<7>>, ?LARGE)}]),
    ?LARGE = byte_size(Large),
    true = garbage_collect(),
    ok.

%% With the worker go its segments.
remap() ->
    ok = py_pool:start_pool(?POOL, #{num_workers => 1, max_workers => 1}),
    {ok, ?LARGE} = py:call(builtins, len, [{buffer, binary:copy(<<7>>, ?LARGE)}], [], #{pool => ?POOL}),
    ok = py_pool:stop_pool(?POOL).

compute() ->
    _ = lists:foldl(fun(N, Sum) -> N * N + Sum end, 0, lists:seq(1, 1000)),
    ok.

rounds(Load) ->
    fun(WarmUp, Duration) ->
        Running = [spawn_opt(fun() -> repeat(Work) end, [link, monitor]) || Work <- Load],
        _ = delays(erlang:system_info(schedulers_online), WarmUp),
        Delays = delays(erlang:system_info(schedulers_online), Duration),
        _ = [Pid ! stop || {Pid, _} <- Running],
        _ = [receive {'DOWN', Monitor, process, _, normal} -> ok end || {_, Monitor} <- Running],
        py_bench_measure:from_times(Delays, 1)
    end.

repeat(Work) ->
    ok = Work(),
    receive stop -> ok after 0 -> repeat(Work) end.

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

%% Each beat has its own time: after a late one the next come at once, and are as late as they are.
beat(At, End, Delays) ->
    _ = erlang:start_timer(At, self(), beat, [{abs, true}]),
    receive {timeout, _, beat} -> ok end,
    Late = max(1, erlang:monotonic_time(nanosecond) - At * 1000000),
    case At < End of
        true -> beat(At + 1, End, [Late | Delays]);
        false -> [Late | Delays]
    end.
