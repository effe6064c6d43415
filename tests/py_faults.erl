%% Faults: workers that are ended in every way that ends a process, at random moments.
-module(py_faults).

-export([run/1, restarts/0]).

%% A worker that dies sooner after its start than this is started again with a pause.
-define(SETTLED, 1050).
-define(SIGNALS, ["KILL", "SEGV", "ABRT", "TERM", "BUS", "ILL"]).
-define(WAYS, [<<"exit">>, <<"abort">>, <<"abort_in_c">>, <<"segfault">>, <<"out_of_memory">>, <<"kill">>]).

%% Ends workers of the pools until `over' says so, at most one at each of so many places at once, with random pauses of at most
%% `pause' ms. How often each fault was caused.
run(#{over := Over, seed := Seed, places := Places, pools := Pools, pause := Pause}) ->
    Killer = killer(),
    Seen = ets:new(seen, [public]),
    Causes = [
        spawn_monitor(fun() ->
            _ = rand:seed(exsss, {Seed, Place, 2}),
            exit({caused, cause(#{killer => Killer, seen => Seen, over => Over, pools => Pools, pause => Pause}, #{})})
        end)
     || Place <- lists:seq(1, Places)
    ],
    Caused = [receive {'DOWN', Monitor, process, _, Reason} -> Reason end || {_, Monitor} <- Causes],
    ets:delete(Seen),
    port_close(Killer),
    lists:foldl(fun({caused, Tally}, All) -> maps:merge_with(fun(_, A, B) -> A + B end, Tally, All) end, #{}, Caused).

%% Workers that were replaced since the pools started.
restarts() ->
    lists:sum([N || #{restarts := N} <- py:workers()]).

%% A shell that sends signals: many times cheaper than to start one for each.
killer() ->
    Script = "while read signal process; do kill -$signal $process 2>/dev/null; done",
    open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", Script]}, binary]).

send(Killer, Signal, OsPid) ->
    true = port_command(Killer, [Signal, " ", integer_to_list(OsPid), "\n"]),
    ok.

cause(#{over := Over, pause := Pause} = Run, Tally) ->
    case Over() of
        true ->
            Tally;
        false ->
            Tally1 =
                case victim(Run) of
                    none ->
                        Tally;
                    {Pool, OsPid, Faults} ->
                        Fault = fault(Faults),
                        inflict(Fault, Pool, OsPid, Run),
                        maps:update_with(Fault, fun(N) -> N + 1 end, 1, Tally)
                end,
            receive after rand:uniform(Pause) -> ok end,
            cause(Run, Tally1)
    end.

fault(Faults) ->
    case rand:uniform(10) of
        1 -> stopped;
        N when N =< 5, Faults =:= all -> {call, pick(?WAYS)};
        _ -> {signal, pick(?SIGNALS)}
    end.

%% One in thirty is taken however young it is, three of four times one that has something to do. A call ends whichever worker of the pool gets
%% it, so all of them must have settled.
victim(#{seen := Seen, pools := Pools}) ->
    Now = erlang:monotonic_time(millisecond),
    Ready = [{P, OsPid, N} || #{pool := P, os_pid := OsPid, state := ready, in_flight := N} <- py:workers(), lists:member(P, Pools)],
    _ = [ets:insert_new(Seen, {OsPid, Now, free}) || {_, OsPid, _} <- Ready],
    Settled = [W || {_, OsPid, _} = W <- Ready, [{_, Since, _}] <- [ets:lookup(Seen, OsPid)], Now - Since > ?SETTLED],
    Young = rand:uniform(30) =:= 1,
    Fit = [W || {_, OsPid, _} = W <- Ready, [{_, _, free}] <- [ets:lookup(Seen, OsPid)], Young orelse lists:member(W, Settled)],
    Busy = [W || {_, _, InFlight} = W <- Fit, InFlight > 0],
    case {rand:uniform(4), Fit, Busy} of
        {_, [], _} -> none;
        {N, _, [_ | _]} when N < 4 -> taken(pick(Busy), Ready -- Settled, Seen);
        _ -> taken(pick(Fit), Ready -- Settled, Seen)
    end.

%% Nobody else takes it.
taken({Pool, OsPid, _}, Unsettled, Seen) ->
    case ets:select_replace(Seen, [{{OsPid, '$1', free}, [], [{{OsPid, '$1', taken}}]}]) of
        1 -> {Pool, OsPid, case lists:keymember(Pool, 1, Unsettled) of true -> signals; false -> all end};
        0 -> none
    end.

inflict({signal, Signal}, _Pool, OsPid, #{killer := Killer}) ->
    ok = send(Killer, Signal, OsPid),
    py_test:until(fun() -> not py_test:alive(OsPid) end);
inflict({call, How}, Pool, OsPid, #{seen := Seen}) ->
    true = ets:update_element(Seen, OsPid, {3, free}),
    %% On whichever worker of the pool: perhaps one that is ended by somebody else before the call has begun.
    {error, {worker_down, _}} = py:call(mixed_load, 'end', [How, rand:uniform() / 50], #{}, #{pool => Pool, timeout => 120000});
inflict(stopped, _Pool, OsPid, #{killer := Killer, seen := Seen}) ->
    ok = send(Killer, "STOP", OsPid),
    receive after rand:uniform(200) -> ok end,
    ok = send(Killer, "CONT", OsPid),
    true = ets:update_element(Seen, OsPid, {3, free}).

pick(List) ->
    lists:nth(rand:uniform(length(List)), List).
