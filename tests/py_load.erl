%% A mixed load whose every answer is checked.
%%
%% Clients do one piece of work after another, of every kind that the API has. An answer is the right one, or says that the worker
%% went; anything else ends the client, and with it whoever started the load. Each piece has a number, which Python notes in a
%% journal when it starts: nothing may start twice, and what was answered with a result has started.
-module(py_load).

-export([prepare/1, pool_options/0, start/1, stop/1, done/1, latencies/1]).

-define(JOURNAL, "PY_LOAD_JOURNAL").
-define(POOL, load_threads).
-define(LIMIT, 120000).
-define(BUCKETS, 256).

-record(client, {
    numbers :: atomics:atomics_ref(),
    times :: counters:counters_ref(),
    tally = #{} :: #{term() => pos_integer()},
    %% What was answered with a result.
    done = [] :: [pos_integer()]
}).

%% To be called before the application starts: workers inherit the place of the journal.
prepare(Dir) ->
    File = filename:join(Dir, "load_journal"),
    true = os:putenv(?JOURNAL, File),
    File.

%% Options of the application under which the load runs: pools of every kind.
pool_options() ->
    [
        {num_workers, 6}, {max_workers, 10}, {num_async_workers, 3}, {num_subinterp_workers, 3}, {paths, [py_test:apps()]},
        {pools, #{?POOL => #{num_workers => 3, num_executors => 3}}}
    ].

%% Starts clients, linked to the caller.
start(#{clients := Count, seed := Seed}) ->
    File = os:getenv(?JOURNAL),
    %% Workers append to it, so it may be made empty under them.
    ok = file:write_file(File, <<>>),
    load_notes = ets:new(load_notes, [named_table, public, {write_concurrency, true}]),
    ok = py:register_function(load_note, fun([Number, Turn]) -> ets:update_counter(load_notes, {Number, Turn}, 1, {none, 0}) end),
    ok = py:register_function(load_nest, fun nest/1),
    Numbers = numbers(),
    Times = counters:new(?BUCKETS, [write_concurrency]),
    Self = self(),
    Clients = [
        spawn_link(fun() ->
            _ = rand:seed(exsss, {Seed, N, 1}),
            client(Self, #client{numbers = Numbers, times = Times})
        end)
     || N <- lists:seq(1, Count)
    ],
    #{clients => Clients, journal => File, times => Times}.

%% Numbers are never used twice in one journal.
numbers() ->
    case persistent_term:get(load_numbers, none) of
        none ->
            Numbers = atomics:new(1, []),
            persistent_term:put(load_numbers, Numbers),
            Numbers;
        Numbers ->
            Numbers
    end.

nest([0]) -> 0;
nest([Depth]) ->
    case py:call(mixed_load, nest, [0, Depth], #{}, ?LIMIT) of
        {ok, Value} -> Value;
        {error, {worker_down, _}} -> none
    end.

%% Pieces of work that have ended, and the histogram of the times of single calls: pairs of a bound in microseconds and a count.
done(#{times := Times}) ->
    counters:get(Times, 1).

latencies(#{times := Times}) ->
    [{math:pow(2, (Bucket - 2) / 8), counters:get(Times, Bucket)} || Bucket <- lists:seq(2, ?BUCKETS)].

%% Ends the load: what was begun is finished, nothing is left of it, and the journal is right. How often each kind of work
%% ended in which way.
stop(#{clients := Clients, journal := File}) ->
    [Client ! stop || Client <- Clients],
    Tallies = [receive {stopped, Client, Tally, Done} -> {Tally, Done} end || Client <- Clients],
    py_health:nothing_held(),
    [Client ! {leave, self()} || Client <- Clients],
    [receive {left, Client} -> ok end || Client <- Clients],
    Twice = [Note || {_, Count} = Note <- ets:tab2list(load_notes), Count =/= 1],
    true = ets:delete(load_notes),
    [] = Twice,
    ok = py:unregister_function(load_note),
    ok = py:unregister_function(load_nest),
    check_journal(File, lists:append([Done || {_, Done} <- Tallies])),
    lists:foldl(fun({Tally, _}, All) -> maps:fold(fun add_up/3, All, Tally) end, #{}, Tallies).

add_up(Key, Count, Tally) ->
    maps:update_with(Key, fun(N) -> N + Count end, Count, Tally).

check_journal(File, Done) ->
    {ok, Journal} = file:read_file(File),
    %% Number 0 is for what stands for itself.
    Started = lists:sort([N || <<N:64/little>> <= Journal, N =/= 0]),
    case Started -- lists:usort(Started) of
        [] -> ok;
        Twice -> error({started_twice, Twice})
    end,
    case ordsets:subtract(lists:sort(Done), Started) of
        [] -> ok;
        Never -> error({answered_and_never_started, Never})
    end.

%% One client.

client(Owner, #client{tally = Tally, done = Done} = Client) ->
    receive
        stop ->
            Owner ! {stopped, self(), Tally, Done},
            receive {leave, Owner} -> ok end,
            %% Whatever arrived beside the answers.
            [] = py_test:mailbox(),
            Owner ! {left, self()}
    after 0 ->
        client(Owner, work(Client))
    end.

work(#client{numbers = Numbers, times = Times} = Client) ->
    Number = atomics:add_get(Numbers, 1, 100),
    Kind = pick(kinds()),
    {Time, Result} = timer:tc(fun() -> checked(Kind, Number) end),
    ok = counters:add(Times, 1, 1),
    _ = [ok = counters:add(Times, bucket(Time), 1) || Kind =:= add],
    note(Kind, Result, Number, Client).

%% Which kind of work had a wrong answer.
checked(Kind, Number) ->
    try
        work(Kind, Number)
    catch
        error:{wrong_answer, Expected, Answer}:Stack -> erlang:raise(error, {wrong_answer, Kind, Expected, Answer}, Stack)
    end.

bucket(Time) ->
    min(?BUCKETS, 2 + max(0, ceil(8 * math:log2(max(1, Time))))).

note(Kind, ok, Number, #client{done = Done} = Client) ->
    tallied({Kind, ok}, Client#client{done = [Number | Done]});
note(Kind, {ok, Numbers, Down}, _, #client{done = Done} = Client) ->
    lists:foldl(fun(Key, C) -> tallied(Key, C) end, Client#client{done = Numbers ++ Done}, [{Kind, ok} | lists:duplicate(Down, {Kind, {worker_down, in_part}})]);
note(Kind, Outcome, _, Client) ->
    tallied({Kind, Outcome}, Client).

tallied(Key, #client{tally = Tally} = Client) ->
    Client#client{tally = add_up(Key, 1, Tally)}.

kinds() ->
    [
        add, add, add, threads, threads, limited, batch, coroutines, loop_batch, gather, parallel, stream, stream_left, async_stream, large, made, callbacks,
        nested, async_callback, told, context, bound, tied, handle, cast, deadline, cancelled, interrupted, killed_caller, mistake
    ].

pick(List) ->
    lists:nth(rand:uniform(length(List)), List).

%% Each kind of work returns `ok' for the right answer (the numbers of right answers and how many had none, where it is several pieces) or how else it ended, which must be a
%% way in which such work may end.

work(add, N) ->
    answer(N + 1, py:call(mixed_load, add, [N, 1], #{}, ?LIMIT));
work(threads, N) ->
    answer(N, py:call(mixed_load, nap, [N, rand:uniform() / 500], #{}, in_threads()));
work(limited, N) ->
    answer(N, py:call(mixed_load, nap, [N, 0.002], #{}, ?LIMIT));
work(batch, N) ->
    Numbers = lists:seq(N, N + rand:uniform(30)),
    several(Numbers, [{py:call_async(mixed_load, add, [M, 1]), M + 1} || M <- Numbers]);
work(loop_batch, N) ->
    Numbers = lists:seq(N, N + rand:uniform(30)),
    several(Numbers, [{py:async_call(mixed_load, later, [M, rand:uniform() / 300]), M} || M <- Numbers]);
work(coroutines, N) ->
    answer(N, py:call(mixed_load, later, [N, 0.001], #{}, ?LIMIT));
work(gather, N) ->
    Numbers = lists:seq(N, N + rand:uniform(20)),
    case py:async_gather([{mixed_load, later, [M, 0.001]} || M <- Numbers], ?LIMIT) of
        {ok, Numbers} -> {ok, Numbers, 0};
        {error, _} = Error -> answer(none, Error)
    end;
work(parallel, N) ->
    Numbers = lists:seq(N, N + rand:uniform(20)),
    {ok, Results} = py:parallel([{mixed_load, add, [M, 0]} || M <- Numbers], ?LIMIT),
    Right = [Number || {Number, Result} <- lists:zip(Numbers, Results), answer(Number, Result) =:= ok],
    {ok, Right, length(Numbers) - length(Right)};
work(stream, N) ->
    Count = rand:uniform(30),
    Size = pick([1, 1000, 100000]),
    {ok, Ref} = py:stream_start(mixed_load, items, [N, Count, Size], #{}, #{credit => rand:uniform(8)}),
    taken(Ref, 0, Count, Size);
work(stream_left, N) ->
    {ok, Ref} = py:stream_start(mixed_load, items, [N, 1000, 10], #{}, #{credit => rand:uniform(8)}),
    case rand:uniform(2) of
        1 -> _ = py:stream_next(Ref);
        2 -> ok
    end,
    ok = py:stream_cancel(Ref),
    left;
work(async_stream, N) ->
    case py:async_stream(mixed_load, items_later, [N, 20], #{}, ?LIMIT) of
        {ok, Items} -> Items = lists:seq(0, 19), ok;
        Error -> answer(none, Error)
    end;
work(large, N) ->
    Data = bytes(pick([20000, 300000, 3000000])),
    answer({erlang:crc32(Data), Data}, py:call(mixed_load, check, [N, {pick([bytes, buffer]), Data}], #{}, ?LIMIT));
work(made, N) ->
    case py:call(mixed_load, make, [N, pick([20000, 300000, 3000000])], #{}, ?LIMIT) of
        {ok, {Sum, Data}} -> Sum = erlang:crc32(Data), ok;
        Error -> answer(none, Error)
    end;
work(callbacks, N) ->
    Times = rand:uniform(5),
    answer(lists:duplicate(Times, 1), py:call(mixed_load, ask, [N, Times], #{}, pick([?LIMIT, in_threads()])));
work(nested, N) ->
    case py:call(mixed_load, nest, [N, 3], #{}, ?LIMIT) of
        {ok, none} -> inner_worker_down;
        Result -> answer(3, Result)
    end;
work(async_callback, N) ->
    several([N], [{py:async_call(mixed_load, ask_later, [N]), 1}]);
work(told, N) ->
    Result = answer(N, py:call(mixed_load, tell, [N, self()], #{}, ?LIMIT)),
    Told = receive {<<"told">>, N} -> true after 0 -> false end,
    true = Told orelse Result =/= ok,
    Result;
work(context, N) ->
    case py:bind(new) of
        {ok, Context} ->
            Result =
                case py:ctx_exec(Context, ["mine = ", integer_to_list(N)], ?LIMIT) of
                    ok -> answer(N, py:ctx_eval(Context, <<"mine">>, #{}, ?LIMIT));
                    Error -> answer(none, Error)
                end,
            ok = py:unbind(Context),
            stands_for_itself(Result);
        Error ->
            refused(Error)
    end;
work(bound, N) ->
    case py:bind() of
        ok ->
            Result = answer(N + 1, py:call(mixed_load, add, [N, 1], #{}, ?LIMIT)),
            ok = py:unbind(),
            Result;
        Error ->
            refused(Error)
    end;
work(tied, N) ->
    Name = ["mine_", integer_to_list(N)],
    Result =
        case py:exec([Name, " = ", integer_to_list(N)], ?LIMIT) of
            ok -> answer(N, py:eval(["globals().pop('", Name, "')"], #{}, ?LIMIT));
            Error -> answer(none, Error)
        end,
    ok = py:unbind(),
    stands_for_itself(Result);
work(handle, N) ->
    case py:call(mixed_load, 'Box', [N], #{}, #{return => ref, timeout => ?LIMIT}) of
        {ok, {py_object, _} = Box} ->
            Result = answer(N + 1, py:call_method(Box, add, [1], #{}, ?LIMIT)),
            _ = [ok = py:release(Box) || rand:uniform(2) =:= 1],
            Result;
        Error ->
            answer(none, Error)
    end;
work(cast, N) ->
    case py:cast(mixed_load, add, [N, 1]) of
        ok -> cast;
        Error -> answer(none, Error)
    end;
work(deadline, N) ->
    case py:call(mixed_load, nap, [N, 0.3], #{}, rand:uniform(20)) of
        {error, timeout} -> timeout;
        Other -> answer(none, Other)
    end;
work(cancelled, N) ->
    Refs = [py:call_async(mixed_load, nap, [M, 0.01]) || M <- lists:seq(N, N + 3)],
    _ = [ok = py:cancel(Ref) || Ref <- Refs],
    cancelled;
work(interrupted, N) ->
    Ref = py:call_async(mixed_load, nap, [N, 0.02]),
    _ = py:interrupt(Ref),
    case py:await(Ref, ?LIMIT) of
        {error, interrupted} -> interrupted;
        Other -> answer(N, Other)
    end;
work(killed_caller, N) ->
    Kind = pick([threads, batch, loop_batch, gather, stream, large, callbacks, nested, context, bound, handle]),
    {Caller, Monitor} = spawn_monitor(fun() -> work(Kind, N) end),
    receive after rand:uniform(10) - 1 -> exit(Caller, kill) end,
    receive {'DOWN', Monitor, process, Caller, Reason} -> true = lists:member(Reason, [normal, killed, noproc]) end,
    killed_caller;
work(mistake, _) ->
    case py:call(mixed_load, absurd, [], #{}, ?LIMIT) of
        {error, {'MemoryError', _}} -> memory_error;
        Error -> answer(none, Error)
    end.

in_threads() ->
    #{pool => ?POOL, timeout => ?LIMIT}.

bytes(Size) ->
    Piece = rand:bytes(1000),
    binary:copy(Piece, Size div 1000).

%% The answer of one request.
answer(Value, {ok, Value}) -> ok;
answer(_, {error, {worker_down, Reason}}) -> {worker_down, Reason};
%% In a worker that is being ended by want of memory.
answer(_, {error, {'MemoryError', _}}) -> no_memory;
answer(_, {error, {'RuntimeError', "can't start new thread"}}) -> no_memory;
answer(Expected, Other) -> error({wrong_answer, Expected, Other}).

refused({error, no_workers_available}) -> no_workers_available;
refused(Error) -> answer(none, Error).

%% Work that is not in the journal.
stands_for_itself(ok) -> {ok, [], 0};
stands_for_itself(Other) -> Other.

%% Messages of requests: one for each, by its reference.
several(Numbers, Expected) ->
    Refs = maps:from_list(Expected),
    true = map_size(Refs) =:= length(Numbers),
    Order = maps:from_list(lists:zip([Ref || {Ref, _} <- Expected], Numbers)),
    Right = [maps:get(Ref, Order) || Ref <- collect(Refs)],
    {ok, Right, length(Numbers) - length(Right)}.

collect(Refs) when map_size(Refs) =:= 0 ->
    [];
collect(Refs) ->
    receive
        {py_response, Ref, Result} when is_map_key(Ref, Refs) -> collected(Ref, Result, Refs);
        {py_result, Ref, Value} when is_map_key(Ref, Refs) -> collected(Ref, {ok, Value}, Refs);
        {py_error, Ref, Reason} when is_map_key(Ref, Refs) -> collected(Ref, {error, Reason}, Refs)
    end.

collected(Ref, Result, Refs) ->
    case answer(maps:get(Ref, Refs), Result) of
        ok -> [Ref | collect(maps:remove(Ref, Refs))];
        _ -> collect(maps:remove(Ref, Refs))
    end.

taken(Ref, At, Count, Size) ->
    case py:stream_next(Ref) of
        {ok, {At, Data}} when At < Count ->
            Data = binary:copy(<<At>>, Size),
            taken(Ref, At + 1, Count, Size);
        done when At =:= Count ->
            ok;
        Error ->
            answer({item, At, Count}, Error)
    end.
