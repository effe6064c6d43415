%% @doc What the library does, to watch: `make run'.
-module(py_demo).

-export([main/0]).

-define(LIMIT, 1200000).
-define(PIECES, 8).

%% @doc Shows the workers, computes serially and in parallel, lets a worker crash, and measures. Ends the node
%% with status 1 if any of that fails.
-spec main() -> ok.
main() ->
    case application:ensure_all_started(erlang_python) of
        {ok, _} ->
            try
                show_workers(),
                first_calls(),
                compute(),
                crash(),
                measure()
            catch
                Class:Reason:Stack ->
                    io:format("~nFAILED: ~tp:~tp~n~tp~n", [Class, Reason, Stack]),
                    halt(1)
            end,
            ok = application:stop(erlang_python);
        {error, {erlang_python, {{_, Text}, _}}} when is_list(Text) ->
            io:format("could not start: ~ts~n", [Text]),
            halt(1);
        {error, Reason} ->
            io:format("could not start: ~tp~n", [Reason]),
            halt(1)
    end.

-spec title(string()) -> ok.
title(Text) ->
    io:format("~n== ~ts~n", [Text]).

-spec show_workers() -> ok.
show_workers() ->
    {ok, Version} = py:version(),
    title("Workers: operating-system processes, each with a CPython of its own"),
    io:format("   node ~ts, os pid ~ts~n   Python ~ts~n", [node(), os:getpid(), Version]),
    list_workers().

-spec list_workers() -> ok.
list_workers() ->
    lists:foreach(
        fun(#{id := Id, pool := Pool, os_pid := OsPid, state := State, rss := Rss}) ->
            io:format("   worker ~b of pool ~ts: os pid ~p, ~ts, ~b MB~n", [Id, Pool, OsPid, State, Rss div 1048576])
        end,
        py:workers()
    ).

-spec first_calls() -> ok.
first_calls() ->
    title("First calls"),
    show("py:call(math, sqrt, [16])", py:call(math, sqrt, [16])),
    show("py:eval(<<\"{n: n ** n for n in names}\">>, #{names => [1, 10, 30]})", py:eval(<<"{n: n ** n for n in names}">>, #{names => [1, 10, 30]})),
    show("py:call(json, loads, [<<\"nonsense\">>])", py:call(json, loads, [<<"nonsense">>])),
    show("py:call(time, sleep, [60], #{}, 100)", py:call(time, sleep, [60], #{}, 100)).

show(Call, Result) ->
    io:format("   ~ts~n      ~0tp~n", [Call, printable(Result)]).

printable({error, {Type, Message}}) when is_list(Message) -> {error, {Type, lists:flatten(Message)}};
printable(Result) -> Result.

%% Counts primes by trial division, a piece of the range per call.
-spec compute() -> ok.
compute() ->
    title(lists:flatten(io_lib:format("CPU-bound work: the primes below ~b, in ~b pieces", [?LIMIT, ?PIECES]))),
    ok = py:exec_all(
        "def count_primes(low, high):\n"
        "    count = 0\n"
        "    for n in range(max(low, 2), high):\n"
        "        d = 2\n"
        "        while d * d <= n and n % d:\n"
        "            d += 1\n"
        "        count += d * d > n\n"
        "    return count\n"
    ),
    %% Later pieces are harder; cut so that they take equal time (the work grows as n^1.5 at most).
    Cuts = [round(?LIMIT * math:pow(K / ?PIECES, 1 / 1.4)) || K <- lists:seq(0, ?PIECES)],
    Pieces = [{'__main__', count_primes, [Low, High]} || {Low, High} <- lists:zip(lists:droplast(Cuts), tl(Cuts))],
    {ok, _} = py:parallel([{math, sqrt, [1]}]),
    io:format("   one after another "),
    {Serial, SerialCounts} = timer:tc(fun() -> [piece(Piece) || Piece <- Pieces] end),
    io:format(" ~.2f s~n", [Serial / 1.0e6]),
    io:format("   py:parallel, ~b workers ...", [workers_of(parallel)]),
    {Parallel, ParallelCounts} = timer:tc(fun() ->
        {ok, Results} = py:parallel(Pieces, #{timeout => infinity}),
        [Count || {ok, Count} <- Results]
    end),
    io:format(" ~.2f s~n", [Parallel / 1.0e6]),
    SerialCounts = ParallelCounts,
    io:format("   ~b primes both times; speed-up ~.2f~n", [lists:sum(ParallelCounts), Serial / Parallel]).

-spec piece({atom(), atom(), [integer()]}) -> integer().
piece({Module, Function, Args}) ->
    {ok, Count} = py:call(Module, Function, Args, #{}, infinity),
    io:format("."),
    Count.

workers_of(Pool) ->
    length([Id || #{id := Id, pool := P} <- py:workers(), P =:= Pool]).

-spec crash() -> ok.
crash() ->
    title("A worker that segfaults"),
    Before = os_pids(),
    Victim = py:eval(<<"__import__('os').kill(__import__('os').getpid(), __import__('signal').SIGSEGV)">>),
    Start = erlang:monotonic_time(millisecond),
    {error, {worker_down, _}} = Victim,
    show("os.kill(os.getpid(), SIGSEGV)", Victim),
    show("the next call: py:call(math, factorial, [20])", py:call(math, factorial, [20])),
    ok = whole(Before, Start + 10000),
    io:format("   the pool is whole again after ~b ms: os pids ~w, before ~w~n", [
        erlang:monotonic_time(millisecond) - Start, os_pids(), Before
    ]).

-spec whole([pos_integer() | undefined], integer()) -> ok.
whole(Before, Deadline) ->
    #{num_workers := Workers, ready_workers := Ready} = py_pool:get_stats(default),
    case Ready >= Workers andalso os_pids() =/= Before of
        true ->
            ok;
        false ->
            true = erlang:monotonic_time(millisecond) < Deadline,
            receive after 5 -> whole(Before, Deadline) end
    end.

-spec os_pids() -> [pos_integer() | undefined].
os_pids() ->
    [OsPid || #{pool := default, os_pid := OsPid} <- py:workers()].

-spec measure() -> ok.
measure() ->
    title("Benchmark, quick run (`make bench' for the full one)"),
    _ = py_unified_bench:run_all(#{quick => true}),
    ok.
