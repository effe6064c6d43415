%% @doc The end of a worker that is not needed any more: an idle one runs its exit handlers, a busy one is killed.
-module(py_worker_stop).

-export([stop/3, time/0]).

%% Milliseconds within which what was answered is counted out.
-define(LOOKS, 10).
-define(STOP_PATIENCE, 2000).
-define(KILL_PATIENCE, 1000).

%% @doc Milliseconds that {@link stop/3} may take.
-spec time() -> 3000.
time() ->
    ?STOP_PATIENCE + ?KILL_PATIENCE.

%% @doc Ends the worker and waits for that. `Ask' tells an idle one to end.
-spec stop(py_nif:worker(), non_neg_integer(), fun(() -> ok)) -> ok.
stop(Worker, Serial, Ask) ->
    _ = (is_idle(Worker, ?LOOKS) andalso Ask() =:= ok andalso await_down(Serial, ?STOP_PATIENCE)) orelse kill_and_wait(Worker, Serial),
    ok.

%% An answer reaches its caller a moment before it is counted out.
-spec is_idle(py_nif:worker(), non_neg_integer()) -> boolean().
is_idle(Worker, Looks) ->
    maps:get(in_flight, py_nif:worker_info(Worker)) =:= 0 orelse
        (Looks > 0 andalso receive after 1 -> is_idle(Worker, Looks - 1) end).

-spec kill_and_wait(py_nif:worker(), non_neg_integer()) -> boolean().
kill_and_wait(Worker, Serial) ->
    ok = py_nif:worker_kill(Worker, stopped),
    await_down(Serial, ?KILL_PATIENCE).

-spec await_down(non_neg_integer(), non_neg_integer()) -> boolean().
await_down(Serial, Timeout) ->
    receive {py_down, Serial, _, _} -> true after Timeout -> false end.
