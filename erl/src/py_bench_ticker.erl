%% @doc The beat of the node: a process that wants to run every millisecond, and how late it does, while the library works and while it
%% does not. Native code that keeps a scheduler makes what runs there late by as much.
-module(py_bench_ticker).

-export([workloads/0, delays/2]).

-define(POOL, py_bench_ticker).
-define(CALLERS, 10).
-define(LARGE, 100000000).

%% @doc One workload for each kind of load.
-spec workloads() -> [py_bench_workloads:workload()].
workloads() ->
    [
        (py_bench_workloads:base("late for 1 ms, " ++ Name, none, fun is_integer/1))#{
            runs := #{
                ours => rounds(Work, Count, Places),
                idle => rounds(Work, 0, Places),
                computing => rounds(fun compute/1, Count, Places)
            },
            rate := false, by := p99, sides := [ours, idle, computing]
        }
     || {Name, Work, Count, Places} <- loads()
    ].

loads() ->
    [
        {"calls of 1 caller", fun calls/1, 1, [any]},
        {"calls of 1 caller, each scheduler", fun calls/1, 1, lists:seq(1, erlang:system_info(schedulers_online))},
        {lists:flatten(io_lib:format("calls of ~b callers", [?CALLERS])), fun calls/1, ?CALLERS, [any]},
        {"echoes of 100 MB", fun echo/1, 1, [any]},
        {"100 MB mapped and unmapped", fun remap/1, 1, [any]}
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

rounds(Work, Count, Places) ->
    fun(WarmUp, Duration) ->
        Data = binary:copy(<<7>>, ?LARGE),
        Running = [spawn_opt(fun() -> repeat(Work, Data) end, [link, monitor]) || _ <- lists:seq(1, Count)],
        _ = delays(Places, WarmUp),
        Delays = delays(Places, Duration),
        _ = [Pid ! stop || {Pid, _} <- Running],
        _ = [receive {'DOWN', Monitor, process, _, normal} -> ok end || {_, Monitor} <- Running],
        py_bench_measure:from_times(Delays, 1)
    end.

repeat(Work, Data) ->
    ok = Work(Data),
    receive stop -> ok after 0 -> repeat(Work, Data) end.

%% @doc How many nanoseconds late each beat was in so many milliseconds, of a process for each place: bound to a scheduler or to none.
-spec delays([any | pos_integer(), ...], non_neg_integer()) -> [pos_integer(), ...].
delays(Places, Milliseconds) ->
    Self = self(),
    Tickers = [spawn_opt(fun() -> Self ! {self(), begin_beat(Place, Milliseconds)} end, [link]) || Place <- Places],
    lists:append([receive {Ticker, Delays} -> Delays end || Ticker <- Tickers]).

begin_beat(Place, Milliseconds) ->
    ok = bind(Place),
    First = erlang:monotonic_time(millisecond) + 1,
    beat(First, First + Milliseconds, []).

%% The flag is not documented. Without it the beat may leave a scheduler that is blocked for another that is not.
bind(any) ->
    ok;
bind(Scheduler) ->
    _ = process_flag(binary_to_existing_atom(<<"scheduler">>), Scheduler),
    true = erlang:yield(),
    ok.

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
