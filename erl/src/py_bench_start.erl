%% @doc What a worker costs before it does anything: the time until it is ready, and its memory when it is idle, beside the same interpreter
%% started by a plain port.
-module(py_bench_start).

-export([starts/1, memory/1]).

-define(POOL, py_bench_start).
-define(PATIENCE, 60000).

%% Says that it runs, and waits for the end of its input.
-define(READY, "print(flush=True); input()").

%% @doc Start of a worker until a call may come, also of one that takes the place of a dead one, from its death on; of one until its
%% first coroutine has ended, and of a pool, which looks at its interpreter first.
-spec starts(#{python := file:filename_all(), _ => _}) -> [py_bench_workloads:workload()].
starts(#{python := Python}) ->
    Base = (py_bench_workloads:base("", none, fun is_integer/1))#{by := p50, sides := [ours, interpreter, interpreter_ready]},
    [
        Base#{
            name := "start of a worker; python -c pass",
            sides := [ours, replacement, interpreter, interpreter_ready],
            runs := #{
                ours => samples(fun() -> pool(fun(_) -> another() end) end),
                replacement => samples(fun() -> pool(fun(_) -> replacement() end) end),
                interpreter => samples(fun() -> ended(Python, "pass") end),
                interpreter_ready => samples(fun() -> ready(Python, ?READY, fun(_, Ns) -> Ns end) end)
            }
        },
        Base#{
            name := "start of a worker and its first coroutine; python -c 'import asyncio'",
            runs := #{
                ours => samples(fun() -> pool(fun(_) -> another() + py_bench_measure:nanoseconds(fun coroutine/0) end) end),
                interpreter => samples(fun() -> ended(Python, "import asyncio") end),
                interpreter_ready => samples(fun() -> ready(Python, "import asyncio; " ++ ?READY, fun(_, Ns) -> Ns end) end)
            }
        },
        Base#{
            name := "start of a pool with one worker; python -c pass",
            runs := #{ours => samples(fun() -> pool(fun(Ns) -> Ns end) end), interpreter => samples(fun() -> ended(Python, "pass") end)},
            sides := [ours, interpreter]
        }
    ].

%% @doc Memory of a worker after one call, in three counts.
-spec memory(#{python := file:filename_all(), _ => _}) -> [py_bench_workloads:workload()].
memory(#{python := Python}) ->
    [
        (py_bench_workloads:base("memory of an idle worker, " ++ Name, none, fun is_integer/1))#{
            runs := #{
                ours => samples(fun() -> pool(fun(_) -> after_a_call(Keys) end) end),
                interpreter_ready => samples(fun() -> ready(Python, ?READY, fun(Pid, _) -> memory_of(Pid, Keys) end) end)
            },
            unit := 'KiB', rate := false, by := p50, sides := [ours, interpreter_ready]
        }
     || {Name, Keys} <- [{"resident", ["Rss"]}, {"proportional", ["Pss"]}, {"private", ["Private_Clean", "Private_Dirty"]}]
    ].

samples(Sample) ->
    fun(WarmUp, Duration) ->
        _ = py_bench_measure:samples(Sample, WarmUp),
        py_bench_measure:samples(Sample, Duration)
    end.

%% What is seen of a pool with one worker that is there for this, and took so many nanoseconds to start.
pool(See) ->
    Ns = py_bench_measure:nanoseconds(fun() -> ok = py_pool:start_pool(?POOL, #{num_workers => 1, max_workers => 2}) end),
    try
        See(Ns)
    after
        py_pool:stop_pool(?POOL)
    end.

another() ->
    py_bench_measure:nanoseconds(fun() -> ok = py_pool:resize(?POOL, 2) end).

%% The worker ends itself by a signal, so that nothing else is part of the time.
replacement() ->
    [Victim] = os_pids(),
    py_bench_measure:nanoseconds(fun() ->
        {error, {worker_down, exited}} = py:call(os, kill, [Victim, 9], [], #{pool => ?POOL}),
        other_than(Victim)
    end).

other_than(Victim) ->
    case os_pids() of
        [Pid] when Pid =/= Victim -> ok;
        _ -> receive after 1 -> other_than(Victim) end
    end.

os_pids() ->
    [OsPid || #{pool := ?POOL, os_pid := OsPid, state := ready} <- py:workers()].

coroutine() ->
    {ok, none} = py:async_await(py:async_call(asyncio, sleep, [0], [], #{pool => ?POOL})).

after_a_call(Keys) ->
    {ok, 4.0} = py:call(math, sqrt, [16.0], [], #{pool => ?POOL}),
    [OsPid] = os_pids(),
    memory_of(OsPid, Keys).

%% So that a thousandth is KiB.
memory_of(OsPid, Keys) ->
    {ok, Text} = file:read_file("/proc/" ++ integer_to_list(OsPid) ++ "/smaps_rollup"),
    1000 * lists:sum([
        begin
            {match, [Number]} = re:run(Text, ["^", Key, ":\\s+(\\d+) kB$"], [multiline, {capture, all_but_first, binary}]),
            binary_to_integer(Number)
        end
     || Key <- Keys
    ]).

%% Python alone, from its start to its end.
ended(Python, Code) ->
    py_bench_measure:nanoseconds(fun() ->
        Port = python(Python, Code),
        receive {Port, {exit_status, 0}} -> ok after ?PATIENCE -> exit(python_silent) end
    end).

%% What is seen of a Python that has said that it runs.
ready(Python, Code, See) ->
    Before = erlang:monotonic_time(nanosecond),
    Port = python(Python, Code),
    receive {Port, {data, _}} -> ok after ?PATIENCE -> exit(python_silent) end,
    Ns = erlang:monotonic_time(nanosecond) - Before,
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    Seen = See(OsPid, Ns),
    true = port_command(Port, "\n"),
    receive {Port, {exit_status, 0}} -> Seen after ?PATIENCE -> exit(python_silent) end.

python(Python, Code) ->
    open_port({spawn_executable, Python}, [{args, ["-c", Code]}, binary, exit_status]).
