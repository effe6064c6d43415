%% Streams: items in order, credit, and an end for every generator.
-module(py_stream_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        collect, collect_eval, single_values, options, errors, refused, collect_timeout,
        next, messages, credit_is_exact, window_of_one, handles, tied, ends_are_final,
        no_executor_while_parked, thousand_parked, infinite_credit_is_fair, two_consumers, ring_is_full,
        cancel_parked, cancel_running, cancel_queued, cancel_leaves_no_message, consumer_dies, deadline,
        finally_is_logged, finally_is_not_cut_off, finally_that_hangs, swallowed_interrupt, unsupported_item, close_of_iterators,
        large_items, million, sends_come_first, callback_in_generator, generator_runs_once_at_a_time,
        neighbours_are_not_hit, worker_dies, draining, nothing_is_left
    ].

init_per_suite(Config) ->
    ok = py_stream_code:start(),
    Config.

init_per_testcase(_Case, Config) ->
    ok = py:exec(<<"log.clear()">>, #{pool => watched}),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py:unbind(),
    py_test:settled(),
    streams(0).

start_pool(Name, Options) ->
    py_pool:start_pool(Name, Options#{preload => py_stream_code:python()}).

%% Waits until the workers have so many streams.
streams(N) ->
    py_test:until(fun() -> N =:= lists:sum([S || #{streams := S} <- py:workers()]) end).

seen(Name) ->
    {ok, Seen} = py:call('__main__', seen, [Name], #{}, #{pool => watched}),
    Seen.

until_seen(Name, What) ->
    py_test:until(fun() -> lists:member(What, seen(Name)) end).

%% Everything until the end.
rest(Ref) ->
    case py:stream_next(Ref) of
        {ok, Item} -> [Item | rest(Ref)];
        done -> [];
        {error, Reason} -> [{error, Reason}]
    end.

%% covers: py:stream/3, py:stream/4, py:stream/5
collect(_) ->
    {ok, [1, 2, 3]} = py:stream(builtins, iter, [[1, 2, 3]]),
    {ok, [0, 1, 2]} = py:stream('__main__', numbers, [3]),
    {ok, [0, 1]} = py:stream('__main__', numbers, [], #{n => 2}),
    {ok, []} = py:stream('__main__', numbers, [0]),
    {ok, Items} = py:stream('__main__', numbers, [5000], [], 60000),
    ?assertEqual(lists:seq(0, 4999), Items).

%% covers: py:stream_eval/1, py:stream_eval/2, py:stream_eval/3
collect_eval(_) ->
    {ok, [0, 1, 4]} = py:stream_eval(<<"(x * x for x in range(3))">>),
    {ok, [5, 6]} = py:stream_eval("(x + n for x in range(2))", #{n => 5}),
    {ok, [<<"a">>]} = py:stream_eval(<<"iter('a')">>, [], #{timeout => 5000}).

%% covers: py:stream/3, py:stream_eval/1
single_values(_) ->
    {ok, [4.0]} = py:stream(math, sqrt, [16]),
    {ok, [[1, 2]]} = py:stream(builtins, list, [[1, 2]]),
    {ok, [none]} = py:stream_eval(<<"None">>),
    %% An iterator among the items is one item.
    {ok, [<<"<list_iterator", _/binary>>, <<"<list_iterator", _/binary>>]} = py:stream_eval(<<"iter([iter([1]), iter([2])])">>).

%% covers: py:stream/4, py:stream_start/5
options(_) ->
    {ok, [nil, nil]} = py:stream(builtins, iter, [[none, none]], #{}, #{none => nil}),
    {ok, [{py_object, _} = A, _]} = py:stream_eval(<<"iter([[1], [2]])">>, #{}, #{return => ref}),
    {ok, [1]} = py:to_term(A),
    {error, {bad_option, colour}} = py:stream(builtins, iter, [[]], #{}, #{colour => red}),
    {error, {bad_option, credit}} = py:stream(builtins, iter, [[]], #{}, #{credit => 5}),
    [
        {error, {bad_option, credit}} = py:stream_start(builtins, iter, [[]], #{}, #{credit => Credit})
     || Credit <- [0, -1, 1.5, many]
    ],
    {error, {bad_option, colour}} = py:stream_start(builtins, iter, [[]], #{}, #{colour => red}),
    {error, {badarg, timeout}} = py:stream_start(builtins, iter, [[]], #{}, soon),
    {error, #{type := 'ValueError', traceback := _}} = py:stream('__main__', failing, [1], #{}, #{error => map}).

errors(_) ->
    {error, {'ValueError', "no more"}} = py:stream('__main__', failing, [3]),
    {error, {'ZeroDivisionError', _}} = py:stream_eval(<<"1 / 0">>),
    {error, {'ModuleNotFoundError', _}} = py:stream(no_such_module, f, []),
    {ok, Ref} = py:stream_start('__main__', failing, [2]),
    [0, 1, {error, {'ValueError', "no more"}}] = [first(py:stream_next(Ref)) || _ <- lists:seq(1, 3)],
    done = py:stream_next(Ref).

first({ok, Item}) -> Item;
first(Other) -> Other.

refused(_) ->
    {error, {badarg, _}} = py:stream(builtins, iter, nonsense),
    {error, {badarg, _}} = py:stream_start(builtins, iter, nonsense),
    {error, {unsupported_term, _}} = py:stream(builtins, iter, [<<1:3>>]),
    {error, {badarg, ref}} = py:stream_next(nonsense),
    {error, {badarg, ref}} = py:stream_cancel(nonsense),
    {error, {badarg, ref}} = py:stream_credit(nonsense, 1),
    {error, {badarg, ref}} = py:stream_credit(make_ref(), 1),
    {ok, Ref} = py:stream_start(builtins, iter, [[1, 2]], #{}, #{credit => 1 bsl 70}),
    [{error, {badarg, credit}} = py:stream_credit(Ref, Credit) || Credit <- [0, -1, many]],
    ok = py:stream_credit(Ref, 1 bsl 100),
    [1, 2] = rest(Ref).

collect_timeout(_) ->
    {error, timeout} = py:stream('__main__', sleeping, [collect_timeout], #{}, #{timeout => 200, pool => watched}),
    until_seen(collect_timeout, <<"end">>).

%% covers: py:stream_start/3, py:stream_start/4, py:stream_next/1
next(_) ->
    {ok, Ref} = py:stream_start('__main__', numbers, [40]),
    ?assert(is_reference(Ref)),
    ?assertEqual(lists:seq(0, 39), rest(Ref)),
    done = py:stream_next(Ref),
    done = py:stream_next(make_ref()),
    {ok, Second} = py:stream_start('__main__', numbers, [], #{n => 2}),
    [0, 1] = rest(Second).

%% covers: py:stream_start/5, py:stream_eval_start/2, py:stream_credit/2, message:py_chunk, message:py_end
messages(_) ->
    {ok, Ref} = py:stream_start(builtins, iter, [[a, b, c]], #{}, #{credit => 2}),
    receive {py_chunk, Ref, <<"a">>} -> ok end,
    receive {py_chunk, Ref, <<"b">>} -> ok end,
    ok = py:stream_credit(Ref, 1),
    receive {py_chunk, Ref, <<"c">>} -> ok end,
    ok = py:stream_credit(Ref, infinity),
    receive {py_end, Ref} -> ok end,
    ok = py:stream_credit(Ref, 1),
    {ok, Eval} = py:stream_eval_start(<<"(x + n for x in range(2))">>, #{n => 1}),
    receive {py_chunk, Eval, 1} -> ok end,
    receive {py_chunk, Eval, 2} -> ok end,
    receive {py_end, Eval} -> ok end,
    {ok, Failing} = py:stream_start('__main__', failing, [0]),
    receive {py_error, Failing, {'ValueError', "no more"}} -> ok end.

%% The generator is never more than the credit ahead, and gets there.
credit_is_exact(_) ->
    {ok, Ref} = py:stream_start('__main__', numbers, [50, exact], #{}, #{credit => 4, pool => watched}),
    ahead(Ref, 4, 0),
    ok = py:stream_cancel(Ref).

ahead(_Ref, _Credit, 30) ->
    ok;
ahead(Ref, Credit, Taken) ->
    %% Credit goes back by halves, so it gets to at least half of it ahead.
    py_test:until(fun() -> length(seen(exact)) >= Taken + Credit div 2 end),
    ?assert(length(seen(exact)) =< Taken + Credit),
    {ok, Taken} = py:stream_next(Ref),
    ahead(Ref, Credit, Taken + 1).

window_of_one(_) ->
    {ok, Ref} = py:stream_start('__main__', numbers, [300], #{}, #{credit => 1}),
    ?assertEqual(lists:seq(0, 299), rest(Ref)).

%% A generator that came as a handle is streamed in its worker, from wherever it stands.
handles(_) ->
    {ok, {generator, _} = Generator} = py:call('__main__', numbers, [4]),
    {ok, 0} = py:call(builtins, next, [Generator]),
    {ok, Ref} = py:stream_start(builtins, iter, [Generator]),
    [1, 2, 3] = rest(Ref).

%% A process that is tied to a worker streams there.
tied(_) ->
    ok = py:exec(<<"mine = [1, 2]">>),
    [{ok, [1, 2]} = py:stream_eval(<<"iter(mine)">>) || _ <- lists:seq(1, 10)],
    ok = py:exec(<<"del mine">>).

ends_are_final(_) ->
    {ok, Ref} = py:stream_start('__main__', numbers, [1]),
    receive {py_chunk, Ref, 0} -> ok end,
    receive {py_end, Ref} -> ok end,
    ok = py:stream_cancel(Ref),
    ok = py:cancel(Ref),
    done = py:stream_next(Ref),
    {ok, Ended} = py:stream_start('__main__', numbers, [3]),
    py_test:until(fun() -> length(py_test:mailbox()) =:= 4 end),
    ok = py:stream_cancel(Ended),
    [] = py_test:mailbox().

%% covers: py:stream_start/5
no_executor_while_parked(_) ->
    {ok, Ref} = py:stream_start('__main__', numbers, [100], #{}, #{credit => 1, pool => single}),
    Opts = #{pool => single},
    [{ok, 3} = py:eval(<<"1 + 2">>, #{}, Opts) || _ <- lists:seq(1, 100)],
    {ok, 0} = py:stream_next(Ref),
    [{ok, [1]} = py:stream_eval(<<"1">>, #{}, Opts) || _ <- lists:seq(1, 10)],
    ?assertEqual(lists:seq(1, 99), rest(Ref)).

thousand_parked(_) ->
    Refs = [
        begin
            {ok, Ref} = py:stream_start('__main__', numbers, [3], #{}, #{credit => 1, pool => single}),
            Ref
        end
     || _ <- lists:seq(1, 1000)
    ],
    streams(1000),
    {ok, 3} = py:eval(<<"1 + 2">>, #{}, #{pool => single}),
    [{ok, 0} = py:stream_next(Ref) || Ref <- Refs],
    {Ended, Cancelled} = lists:split(500, Refs),
    [[1, 2] = rest(Ref) || Ref <- Ended],
    [ok = py:stream_cancel(Ref) || Ref <- Cancelled],
    streams(0).

%% A stream that never waits takes turns with everybody else.
infinite_credit_is_fair(_) ->
    {Pid, Monitor} = spawn_monitor(fun() ->
        {ok, Ref} = py:stream_eval_start(<<"iter(int, 1)">>, #{}, #{credit => infinity, pool => single}),
        ok = take(Ref, infinity)
    end),
    streams(1),
    [{ok, 3} = py:eval(<<"1 + 2">>, #{}, #{pool => single}) || _ <- lists:seq(1, 50)],
    streams(1),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, killed} -> ok end.

take(_Ref, 0) -> ok;
take(Ref, N) ->
    receive
        {py_chunk, Ref, _} when N =:= infinity -> take(Ref, N);
        {py_chunk, Ref, _} -> take(Ref, N - 1)
    end.

two_consumers(_) ->
    Self = self(),
    Consumers = [
        spawn_monitor(fun() ->
            {ok, Ref} = py:stream_start('__main__', numbers, [5000], #{}, #{credit => Credit, pool => single}),
            Self ! {items, Credit, rest(Ref)}
        end)
     || Credit <- [3, 100]
    ],
    [receive {items, Credit, Items} -> ?assertEqual(lists:seq(0, 4999), Items) end || Credit <- [3, 100]],
    [receive {'DOWN', Monitor, process, _, normal} -> ok end || {_, Monitor} <- Consumers].

%% Credit and cancellation that find the ring of a busy worker full wait there, and no caller does.
ring_is_full(_) ->
    Pool = small_ring,
    ok = start_pool(Pool, #{num_workers => 1, ring_size => 64 * 1024}),
    Refs = [
        begin
            {ok, Ref} = py:stream_start(builtins, iter, [[1, 2, 3]], #{}, #{credit => 1, pool => Pool}),
            Ref
        end
     || _ <- lists:seq(1, 3000)
    ],
    [receive {py_chunk, Ref, 1} -> ok end || Ref <- Refs],
    py_test:until(fun() -> [3000] =:= [S || #{pool := P, streams := S} <- py:workers(), P =:= Pool] end),
    %% The worker is busy until all that follows is in its ring or waits for room there.
    Busy = py:spawn_call(time, sleep, [3600], #{}, #{pool => Pool}),
    {Cancelled, Ended} = lists:split(1000, Refs),
    [ok = py:stream_credit(Ref, 5) || Ref <- Ended],
    [ok = py:stream_cancel(Ref) || Ref <- Cancelled],
    ok = py:cancel(Busy),
    [[receive {py_chunk, Ref, N} -> ok end || N <- [2, 3]] || Ref <- Ended],
    [receive {py_end, Ref} -> ok end || Ref <- Ended],
    py_test:until(fun() -> [0] =:= [S || #{pool := P, streams := S} <- py:workers(), P =:= Pool] end),
    ok = py_pool:stop_pool(Pool).

%% covers: py:stream_cancel/1
cancel_parked(_) ->
    {ok, Ref} = py:stream_start('__main__', numbers, [100, parked], #{}, #{credit => 1, pool => watched}),
    receive {py_chunk, Ref, 0} -> ok end,
    ok = py:stream_cancel(Ref),
    ok = py:stream_cancel(Ref),
    done = py:stream_next(Ref),
    until_seen(parked, <<"end">>).

cancel_running(_) ->
    {ok, Ref} = py:stream_start('__main__', sleeping, [running], #{}, #{pool => watched}),
    until_seen(running, <<"sleeps">>),
    ok = py:cancel(Ref),
    until_seen(running, <<"end">>).

%% A stream that has not started never runs.
cancel_queued(_) ->
    Opts = #{pool => single},
    Busy = py:spawn_call(time, sleep, [3600], #{}, Opts),
    {ok, Ref} = py:stream_start('__main__', numbers, [1, queued], #{}, Opts),
    ok = py:stream_cancel(Ref),
    ok = py:cancel(Busy),
    {ok, []} = py:call('__main__', seen, [queued], #{}, Opts).

cancel_leaves_no_message(_) ->
    lists:foreach(
        fun(N) ->
            {ok, Ref} = py:stream_start('__main__', numbers, [N rem 40], #{}, #{credit => 1 + N rem 30}),
            case N rem 4 of
                0 -> ok;
                1 -> erlang:yield();
                2 -> _ = py:stream_next(Ref);
                3 -> [_ = py:stream_next(Ref) || _ <- lists:seq(1, N rem 30)]
            end,
            ok = py:stream_cancel(Ref)
        end,
        lists:seq(1, 1000)
    ),
    py_test:settled(),
    [] = py_test:mailbox().

consumer_dies(_) ->
    Consumers = [consumer(sleeping, [dies]) | [consumer(numbers, [100, N]) || N <- lists:seq(1, 20)]],
    until_seen(dies, <<"sleeps">>),
    [
        begin
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, killed} -> ok end
        end
     || {Pid, Monitor} <- Consumers
    ],
    [until_seen(Name, <<"end">>) || Name <- [<<"dies">> | lists:seq(1, 20)]].

%% A process that has taken one item of a stream.
consumer(Function, Args) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        {ok, Ref} = py:stream_start('__main__', Function, Args, #{}, #{credit => 2, pool => watched}),
        {ok, _} = py:stream_next(Ref),
        Self ! {started, self()},
        receive never -> ok end
    end),
    receive {started, Pid} -> ok end,
    {Pid, Monitor}.

%% covers: py:stream_start/5
deadline(_) ->
    {ok, Ref} = py:stream_start('__main__', sleeping, [deadline], #{}, #{timeout => 200, pool => watched}),
    {ok, 1} = py:stream_next(Ref),
    {error, timeout} = py:stream_next(Ref),
    until_seen(deadline, <<"end">>),
    {ok, Parked} = py:stream_start('__main__', numbers, [9, parked_deadline], #{}, #{timeout => 200, credit => 1, pool => watched}),
    receive {py_chunk, Parked, 0} -> ok end,
    receive {py_error, Parked, timeout} -> ok end,
    until_seen(parked_deadline, <<"end">>).

finally_is_logged(_) ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self()}),
    [
        begin
            {ok, Ref} = py:stream_start('__main__', F, [], #{}, #{credit => 1, pool => watched}),
            {ok, 1} = py:stream_next(Ref),
            ok = py:stream_cancel(Ref),
            receive {logged, Text} -> ?assertNotEqual(nomatch, string:find(Text, Expected)) end
        end
     || {F, Expected} <- [{bad_end, "in finally"}, {no_end, "generator ignored GeneratorExit"}]
    ],
    ok = logger:remove_handler(?MODULE).

%% As a handler of logger.
log(#{msg := {Format, Args}}, #{config := Pid}) when is_list(Format) ->
    Text = lists:flatten(io_lib:format(Format, Args)),
    _ = [Pid ! {logged, Text} || string:find(Text, "stream") =/= nomatch],
    ok;
log(_, _) ->
    ok.

%% Whether the cancellation finds the generator at work, between two items or parked: the `finally' is not interrupted where it begins.
%% covers: py:stream_cancel/1
finally_is_not_cut_off(_) ->
    [
        begin
            ok = start_pool(telling, #{num_workers => 1, num_executors => Executors}),
            Keys = [<<"telling ", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 500)],
            [
                begin
                    {ok, Ref} = py:stream_start('__main__', telling, [Key], #{}, #{pool => telling}),
                    [{ok, Key} = py:stream_next(Ref) || _ <- lists:seq(0, erlang:phash2(Key, 24))],
                    ok = py:stream_cancel(Ref)
                end
             || Key <- Keys
            ],
            py_test:until(fun() -> [] =:= [Key || Key <- Keys, py:state_fetch(Key) =/= {ok, <<"end">>}] end),
            ok = py:state_clear(),
            ok = py_pool:stop_pool(telling)
        end
     || Executors <- [1, 3]
    ].

%% What runs in a `finally' is interrupted again and again; that of a generator which was interrupted while it ran at once.
finally_that_hangs(_) ->
    {ok, Ref} = py:stream_start('__main__', hanging, [hanging], #{}, #{pool => watched}),
    until_seen(hanging, <<"sleeps">>),
    ok = py:stream_cancel(Ref),
    until_seen(hanging, <<"finally">>),
    py_test:settled().

%% A generator that catches the interrupt and goes on is closed at its next item.
swallowed_interrupt(_) ->
    {ok, Ref} = py:stream_start('__main__', stubborn, [stubborn], #{}, #{credit => infinity, pool => watched}),
    until_seen(stubborn, <<"sleeps">>),
    ok = py:stream_cancel(Ref),
    until_seen(stubborn, <<"end">>).

unsupported_item(_) ->
    {ok, Ref} = py:stream_start('__main__', odd, [odd], #{}, #{unknown => error, pool => watched}),
    {ok, 1} = py:stream_next(Ref),
    {error, {unsupported_object, _}} = py:stream_next(Ref),
    [<<"end">>] = seen(odd),
    %% The node has no term for a dict whose keys become equal, or an atom that does not exist.
    {error, _} = py:stream_eval(<<"(erlang.atom('no_such_atom_' + str(i)) for i in [77])">>).

%% Iterators that are no generators are closed if they can be.
close_of_iterators(_) ->
    {ok, Ref} = py:stream_start('__main__', 'Closable', [closable], #{}, #{pool => watched}),
    {ok, 1} = py:stream_next(Ref),
    ok = py:stream_cancel(Ref),
    until_seen(closable, <<"closed">>).

%% covers: py:stream_eval_start/2
large_items(_) ->
    {ok, Items} = py:stream_eval(<<"(bytes([i]) * (1 << 20) for i in range(40))">>),
    [?assertEqual(binary:copy(<<N>>, 1 bsl 20), Item) || {N, Item} <- lists:zip(lists:seq(0, 39), Items)],
    {ok, Ref} = py:stream_eval_start(<<"(bytes(n) for n in [1, 30_000_000, 100_000, 3])">>, #{}),
    [1, 30000000, 100000, 3] = [byte_size(Item) || Item <- rest(Ref)],
    {ok, Long} = py:stream_eval(<<"(list(range(n)) for n in [100000, 2])">>),
    [100000, 2] = [length(Item) || Item <- Long].

%% covers: py:stream_eval_start/3
million(_) ->
    {ok, Ref} = py:stream_eval_start(<<"(x for x in range(1000000))">>, #{}, #{credit => 1000}),
    ?assertEqual(1000000 * 999999 div 2, sum(Ref, 0)).

sum(Ref, Sum) ->
    case py:stream_next(Ref) of
        {ok, Item} -> sum(Ref, Sum + Item);
        done -> Sum
    end.

%% What a generator sends before an item is there before it.
sends_come_first(_) ->
    {ok, Ref} = py:stream_start('__main__', sending, [self(), 200], #{}, #{credit => infinity}),
    Expected = lists:append([[{<<"sent">>, N}, {py_chunk, Ref, N}] || N <- lists:seq(0, 199)]),
    [receive Any -> ?assertEqual(Message, Any) end || Message <- Expected],
    receive {py_end, Ref} -> ok end.

callback_in_generator(_) ->
    ok = py:register_function(double, fun([N]) -> 2 * N end),
    ok = py:register_function(stream_it, fun([N]) -> {ok, Items} = py:stream('__main__', numbers, [N]), Items end),
    {ok, Ref} = py:stream_start('__main__', calling, [6], #{}, #{credit => 2}),
    ?assertEqual([{2 * N, lists:seq(0, N - 1)} || N <- lists:seq(0, 5)], rest(Ref)),
    %% All of it in one worker, whose only executor waits for the function.
    {ok, [[0, 1, 2]]} = py:stream_eval(<<"iter([erlang.call('stream_it', 3)])">>),
    ok = py:unregister_function(double),
    ok = py:unregister_function(stream_it).

%% Several executors take the credit records of one stream; a generator that ran twice at once would raise ValueError.
generator_runs_once_at_a_time(_) ->
    Pool = many_executors,
    ok = start_pool(Pool, #{num_workers => 1, num_executors => 4}),
    Code = <<"(__import__('time').sleep(0.0005) or x for x in range(n))">>,
    Refs = [
        begin
            {ok, Ref} = py:stream_eval_start(Code, #{n => 200}, #{pool => Pool, credit => Credit}),
            {Ref, Credit}
        end
     || Credit <- [1, 2, 3, 50, infinity]
    ],
    [?assertEqual({Credit, lists:seq(0, 199)}, {Credit, rest(Ref)}) || {Ref, Credit} <- Refs],
    ok = py_pool:stop_pool(Pool).

%% Thousands of streams are cancelled beside calls on the same executors, none of which notices.
neighbours_are_not_hit(_) ->
    Pool = neighbours,
    ok = start_pool(Pool, #{num_workers => 1, num_executors => 2}),
    Code = <<"sum(i * i for i in range(20000))">>,
    Expected = lists:sum([I * I || I <- lists:seq(0, 19999)]),
    {Pid, Monitor} = spawn_monitor(fun() ->
        [{ok, Expected} = py:eval(Code, #{}, #{pool => Pool}) || _ <- lists:seq(1, 500)]
    end),
    cancel_until_down(Monitor, Pid, Pool, 0),
    ok = py_pool:stop_pool(Pool).

cancel_until_down(Monitor, Pid, Pool, N) ->
    receive
        {'DOWN', Monitor, process, Pid, Reason} ->
            normal = Reason,
            ct:pal("~b streams were cancelled", [N])
    after 0 ->
        {ok, Ref} = py:stream_eval_start(<<"(x for x in iter(int, 1))">>, #{}, #{pool => Pool, credit => 1 + N rem 100}),
        _ = [py:stream_next(Ref) || _ <- lists:seq(1, N rem 5)],
        ok = py:stream_cancel(Ref),
        cancel_until_down(Monitor, Pid, Pool, N + 1)
    end.

worker_dies(_) ->
    {ok, Parked} = py:stream_start('__main__', numbers, [100], #{}, #{credit => 2, pool => single}),
    {ok, Running} = py:stream_start('__main__', sleeping, [dies], #{}, #{pool => single}),
    {ok, 0} = py:stream_next(Parked),
    {ok, 1} = py:stream_next(Running),
    [OsPid] = py_test:os_pids(single),
    py_test:kill("KILL", OsPid),
    [{error, {worker_down, _}} = drop_items(Ref) || Ref <- [Parked, Running]],
    ok = py:stream_credit(Parked, 5),
    py_test:until(fun() -> [OsPid] =/= py_test:os_pids(single) end),
    py_test:whole(single),
    {ok, [0, 1]} = py:stream('__main__', numbers, [2], #{}, #{pool => single}).

drop_items(Ref) ->
    case py:stream_next(Ref) of
        {ok, _} -> drop_items(Ref);
        Other -> Other
    end.

%% A worker that is to go waits for its streams.
draining(_) ->
    Pool = shrinking,
    ok = start_pool(Pool, #{num_workers => 2}),
    Refs = [
        begin
            {ok, Ref} = py:stream_start('__main__', numbers, [10], #{}, #{credit => 1, pool => Pool}),
            Ref
        end
     || _ <- lists:seq(1, 10)
    ],
    [{ok, 0} = py:stream_next(Ref) || Ref <- Refs],
    ok = py_pool:resize(Pool, 1),
    py_test:until(fun() -> lists:member(draining, [S || #{pool := P, state := S} <- py:workers(), P =:= Pool]) end),
    [?assertEqual(lists:seq(1, 9), rest(Ref)) || Ref <- Refs],
    py_test:until(fun() -> 1 =:= length([P || #{pool := P} <- py:workers(), P =:= Pool]) end),
    ok = py_pool:stop_pool(Pool).

%% Whatever becomes of streams, no entry, object or stream is left.
nothing_is_left(_) ->
    Consumers = [
        spawn_monitor(fun() ->
            {ok, Ref} = py:stream_eval_start(<<"([i] for i in range(100))">>, #{}, #{credit => 1 + N rem 7, return => ref}),
            _ = [py:stream_next(Ref) || _ <- lists:seq(1, N rem 120)],
            case N rem 3 of
                0 -> ok = py:stream_cancel(Ref);
                _ -> ok
            end
        end)
     || N <- lists:seq(1, 300)
    ],
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Consumers],
    py_test:settled(),
    streams(0),
    py_test:until(fun() ->
        _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
        lists:all(fun(Worker) -> #{objects := 0} = py_nif:worker_info(Worker), true end, natives())
    end).

natives() ->
    [Worker || {_, _, Worker, _, #{state := ready}} <- py_pool:workers()].
