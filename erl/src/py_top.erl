%% @doc A live view of pools, workers and the slowest requests, in a terminal.
%%
%% What is shown comes from tables, from the native layer and from `/proc': nobody is waited for, least of all a worker that is stuck.
-module(py_top).

-export([run/0, run/1, snapshot/0, snapshot/1, format/1, format/2]).

-export_type([options/0, snapshot/0, pool/0, worker/0, request/0]).

-type options() :: #{interval => pos_integer()}.
%% Milliseconds between two looks, at least 100; 1000 unless given.
-type snapshot() :: #{
    time_ms := integer(),
    permits := non_neg_integer(),
    max_permits := non_neg_integer(),
    waiting_for_permits := non_neg_integer(),
    pools := [pool()],
    workers := [worker()],
    requests := [request()]
}.
%% `time_ms' is Erlang's monotonic time; `requests' are those that wait for an answer by message, the oldest first, 1000 at most.
-type pool() :: #{name := atom(), workers := non_neg_integer(), ready := non_neg_integer(), pending := non_neg_integer(), times := py_latency:times(), atom() => term()}.
-type worker() :: #{id := non_neg_integer(), pool := atom(), state := atom(), queue := non_neg_integer(), times := py_latency:times(), atom() => term()}.
%% `queue': requests in it, the one that runs included. In both: `parked' and `waiting' as in {@link py_pool:get_stats/1}, `latency' of the
%% times since the last look or of all, and from the second look on `ops_s', requests per second; `cpu' is percent of one processor.
-type request() :: #{worker_id := non_neg_integer() | undefined, pool := atom(), caller := pid() | undefined, started := boolean(), function := binary(), age_ms := non_neg_integer(), atom() => term()}.

-define(INTERVAL, 1000).
-define(WIDTH, 120).
%% Requests in the table.
-define(SHOWN, 10).
-define(LISTED, 1000).
%% Ticks of processor time in a second, as /proc counts them on every Linux.
-define(USER_HZ, 100).

%% @private For {@link py:top/0}.
-spec run() -> ok | {error, not_started}.
run() ->
    run(#{}).

%% @private For {@link py:top/1}.
-spec run(options()) -> ok | {error, not_started | {badarg, options} | {bad_option, term()}}.
run(Options) when is_map(Options) ->
    case {maps:to_list(maps:remove(interval, Options)), maps:get(interval, Options, ?INTERVAL)} of
        {[{Key, _} | _], _} -> {error, {bad_option, Key}};
        {[], Interval} when is_integer(Interval), Interval >= 100, Interval =< 16#ffffffff -> show(py_pool:names(), Interval);
        {[], _} -> {error, {bad_option, interval}}
    end;
run(_Options) ->
    {error, {badarg, options}}.

-spec show([atom()], pos_integer()) -> ok | {error, not_started}.
show([], _Interval) ->
    {error, not_started};
show(_Pools, Interval) ->
    case io:columns() of
        {ok, _} -> live(Interval);
        %% No terminal: once is enough for a file.
        {error, _} -> io:put_chars(format(snapshot()))
    end.

%% The screen of the terminal is kept aside, so that all is as before in the end.
-spec live(pos_integer()) -> ok.
live(Interval) ->
    ok = io:put_chars("\e[?1049h\e[2J"),
    Key = make_ref(),
    Self = self(),
    %% A shell reads whole lines.
    {Reader, Monitor} = spawn_monitor(fun() -> _ = io:get_line(""), Self ! Key end),
    try
        frames(snapshot(), {Key, Monitor}, Interval)
    after
        true = erlang:demonitor(Monitor, [flush]),
        exit(Reader, kill),
        ok = io:put_chars("\e[?1049l")
    end.

-spec frames(snapshot(), {reference(), reference()}, pos_integer()) -> ok.
frames(Snapshot, {Key, Monitor} = End, Interval) ->
    ok = draw(Snapshot),
    receive
        Key -> ok;
        {'DOWN', Monitor, process, _, _} -> receive Key -> ok after 0 -> ok end
    after Interval ->
        frames(snapshot(Snapshot), End, Interval)
    end.

-spec draw(snapshot()) -> ok.
draw(Snapshot) ->
    Columns = case io:columns() of {ok, C} -> C; {error, _} -> ?WIDTH end,
    Rows = case io:rows() of {ok, R} -> R; {error, _} -> 24 end,
    %% A full last column or row would have some terminals scroll.
    Lines = string:split(format(Snapshot, max(20, Columns - 1)), "\n", all),
    Shown = lists:sublist(Lines, max(1, Rows - 2)),
    io:put_chars(["\e[H", [[Line, "\e[K\n"] || Line <- Shown], "\e[7m Enter ends \e[0m\e[K\e[J"]).

%% @doc What goes on at this moment, with the service times of all requests so far.
-spec snapshot() -> snapshot().
snapshot() ->
    Rows = lists:sort(py_pool:workers()),
    Pools = maps:from_list([{Id, Pool} || {Id, Pool, _, _, _} <- Rows]),
    Requests = [request(Request, Pools) || #{of_node := false} = Request <- py_nif:oldest_requests(0, infinity, ?LISTED)],
    #{waiting := Waiting} = py_nif:nif_info(),
    #{
        time_ms => erlang:monotonic_time(millisecond),
        permits => py_nif:permits(),
        max_permits => py_nif:max_permits(),
        waiting_for_permits => Waiting,
        pools => [pool(Name, Native, Rows) || Name <- lists:sort(py_pool:names()), Native <- [py_pool:native(Name)], Native =/= undefined],
        workers => [worker(Row) || Row <- Rows],
        requests => Requests
    }.

%% @doc As {@link snapshot/0}, with requests per second, processor time, and service times since an earlier one.
-spec snapshot(snapshot()) -> snapshot().
snapshot(Earlier) ->
    #{time_ms := Then, pools := Pools0, workers := Workers0} = Earlier,
    #{time_ms := Now, pools := Pools, workers := Workers} = Snapshot = snapshot(),
    Ms = max(1, Now - Then),
    Snapshot#{
        pools := [since(find(name, Pool, Pools0), Pool, Ms) || Pool <- Pools],
        %% Another process of a worker counts from the beginning.
        workers := [since(find(os_pid, Worker, Workers0), Worker, Ms) || Worker <- Workers]
    }.

-spec find(name | os_pid, map(), [map()]) -> map() | none.
find(Key, Later, Earlier) ->
    Value = maps:get(Key, Later),
    case [Map || #{Key := V} = Map <- Earlier, V =:= Value, Value =/= undefined] of
        [Found | _] -> Found;
        [] -> none
    end.

-spec since(map() | none, map(), pos_integer()) -> map().
since(none, Later, _Ms) ->
    Later;
since(#{times := Before} = Earlier, #{times := After} = Later, Ms) ->
    #{count := Count} = New = py_latency:since(Before, After),
    Rated = Later#{ops_s => Count * 1000 div Ms, latency := py_latency:summary(New)},
    case {Earlier, Later} of
        {#{ticks := T0}, #{ticks := T}} -> Rated#{cpu => max(0, T - T0) * 100 * 1000 div (?USER_HZ * Ms)};
        _ -> Rated
    end.

-spec pool(atom(), py_nif:pool(), [py_pool:worker_row()]) -> pool().
pool(Name, Native, Rows) ->
    Infos = [Info || {_, Pool, _, _, Info} <- Rows, Pool =:= Name],
    Times = py_latency:of_pool(Native),
    Load = maps:with([pending, parked, waiting], py_nif:pool_info(Native)),
    Load#{
        name => Name, workers => length(Infos), ready => length([ready || #{state := ready} <- Infos]),
        restarts => lists:sum([R || #{restarts := R} <- Infos]), times => Times, latency => py_latency:summary(Times)
    }.

-spec worker(py_pool:worker_row()) -> worker().
worker({Id, Pool, Worker, _, #{state := State, os_pid := OsPid, restarts := Restarts}}) ->
    Times = py_latency:of_worker(Worker),
    #{in_flight := Queue, bound := Bound} = case Worker of undefined -> #{in_flight => 0, bound => false}; _ -> py_nif:worker_info(Worker) end,
    #{
        id => Id, pool => Pool, state => State, os_pid => OsPid, restarts => Restarts, queue => Queue, bound => Bound,
        rss => py_proc:rss(OsPid), ticks => ticks(OsPid), times => Times, latency => py_latency:summary(Times)
    }.

-spec request(map(), #{non_neg_integer() => atom()}) -> request().
request(#{worker_id := Id} = Request, Pools) ->
    Known = maps:with([id, worker_id, caller, kind, started, parked, runs, function, age_ms], Request),
    maps:merge(#{caller => undefined, started => false, function => <<>>, age_ms => 0}, Known#{pool => maps:get(Id, Pools, undefined)}).

-spec ticks(undefined | pos_integer()) -> non_neg_integer().
ticks(undefined) ->
    0;
ticks(OsPid) ->
    case py_proc:stat(py_proc:dir(OsPid)) of
        {ok, #{ticks := Ticks}} -> Ticks;
        error -> 0
    end.

%% @doc Text for a file or a log, 120 characters wide.
-spec format(snapshot()) -> unicode:unicode_binary().
format(Snapshot) ->
    format(Snapshot, ?WIDTH).

%% @doc As {@link format/1}, so many characters wide: columns that matter less give way.
-spec format(snapshot(), pos_integer()) -> unicode:unicode_binary().
format(#{pools := Pools, workers := Workers, requests := Requests} = Snapshot, Width) ->
    Running = lists:foldr(fun(#{worker_id := Id} = Request, Seen) -> Seen#{Id => Request} end, #{}, [R || #{started := true} = R <- Requests]),
    Tables = [
        [head(Snapshot)],
        py_top_table:lines(pool_columns(), Pools, Width),
        py_top_table:lines(worker_columns(Running), Workers, Width)
        | [py_top_table:lines(request_columns(), lists:sublist(Requests, ?SHOWN), Width) || Requests =/= []]
    ],
    Lines = lists:append(lists:join([""], Tables)),
    unicode:characters_to_binary([[py_top_table:cut(Line, Width), "\n"] || Line <- Lines]).

head(#{permits := Permits, max_permits := Max, waiting_for_permits := Waiting, requests := Requests}) ->
    Count = case length(Requests) of ?LISTED -> io_lib:format("~b or more", [?LISTED]); N -> integer_to_list(N) end,
    io_lib:format("py:top ~ts, ~ts pending, permits ~b of ~b, ~b waiting", [node(), Count, Permits, Max, Waiting]).

pool_columns() ->
    [
        {"POOL", left, 0, fun(#{name := Name}) -> atom_to_list(Name) end},
        {"WORKERS", right, 1, fun(#{workers := All, ready := Ready}) -> [integer_to_list(Ready), "/", integer_to_list(All)] end},
        {"QUEUE", right, 0, number(pending)},
        {"PARKED", right, 4, number(parked)},
        {"WAITING", right, 3, number(waiting)}
        | times() ++ [{"RESTARTS", right, 2, number(restarts)}]
    ].

worker_columns(Running) ->
    [
        {"WORKER", right, 0, number(id)},
        {"POOL", left, 1, fun(#{pool := Pool}) -> atom_to_list(Pool) end},
        {"STATE", left, 0, fun(#{state := State, bound := Bound}) -> [atom_to_list(State), [" bound" || Bound]] end},
        {"PID", right, 5, fun(#{os_pid := OsPid}) -> case OsPid of undefined -> "-"; _ -> integer_to_list(OsPid) end end},
        {"CPU%", right, 2, fun(#{cpu := Cpu}) -> integer_to_list(Cpu); (_) -> "-" end},
        {"RSS", right, 3, fun(#{rss := Rss}) -> py_top_table:bytes(Rss) end},
        {"QUEUE", right, 0, number(queue)}
        | times() ++
            [
                {"RESTARTS", right, 4, number(restarts)},
                {"RUNS", left, 1, fun(#{id := Id}) -> case Running of #{Id := #{function := F, age_ms := Age}} -> [py_top_table:time(Age * 1000000), " ", F]; _ -> "" end end}
            ]
    ].

request_columns() ->
    [
        {"AGE", right, 0, fun(#{age_ms := Age}) -> py_top_table:time(Age * 1000000) end},
        {"POOL", left, 2, fun(#{pool := Pool}) -> atom_to_list(Pool) end},
        {"WORKER", right, 0, fun(#{worker_id := Id}) -> case Id of undefined -> "-"; _ -> integer_to_list(Id) end end},
        {"STATE", left, 1, fun(#{parked := true}) -> "parked"; (#{started := true}) -> "runs"; (_) -> "waits" end},
        {"CALLER", left, 0, fun(#{caller := Caller}) -> case Caller of undefined -> "-"; _ -> pid_to_list(Caller) end end},
        {"KIND", left, 3, fun(Request) -> [atom_to_list(maps:get(kind, Request, call)), " ", atom_to_list(maps:get(runs, Request, call))] end},
        {"FUNCTION", left, 0, fun(#{function := Function}) -> Function end}
    ].

times() ->
    [
        {"OPS/S", right, 0, fun(#{ops_s := Rate}) -> integer_to_list(Rate); (_) -> "-" end},
        {"P50", right, 1, time(p50_ns)},
        {"P99", right, 0, time(p99_ns)},
        {"MAX", right, 4, fun(#{times := #{max_ns := Max}}) -> py_top_table:time(Max) end},
        {"SERVED", right, 3, fun(#{times := #{count := Count}}) -> integer_to_list(Count) end}
    ].

number(Key) ->
    fun(#{Key := Number}) -> integer_to_list(Number) end.

time(Key) ->
    fun(#{latency := #{Key := Time}}) -> py_top_table:time(Time) end.
