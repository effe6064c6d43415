%% What the order of things is promised to be: requests start as they were submitted, and what Python sent is there before its answer is.
%% PY_ORDER_ROUNDS sets how often each is tried (default 1000).
-module(py_order_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [sent_before_answer, sent_to_others_before_answer, sent_by_threads, sent_from_coroutines, sent_before_failure, sent_in_order, started_in_order].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 2}]),
    ok = py_test:define(<<"
        import asyncio, threading, time
        def tell(receiver, n, seconds, size):
            if seconds:
                time.sleep(seconds)
            erlang.send(receiver, n)
            return b'x' * size
        def tell_in_thread(receiver, n):
            thread = threading.Thread(target=erlang.send, args=(receiver, n))
            thread.start()
            thread.join()
            return n
        async def tell_in_task(receiver, n):
            erlang.send(receiver, n)
            await asyncio.sleep(0)
            erlang.send(receiver, n)
            return n
        def tell_and_fail(receiver, n):
            erlang.send(receiver, n)
            raise KeyError(n)
        def tell_many(receiver, sizes):
            for n, size in enumerate(sizes):
                erlang.send(receiver, (n, b'x' * size))
        order = []
        def note(n, data):
            order.append(n)
        async def co_note(n, data):
            order.append(n)
    ">>),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    py_test:settled().

rounds() ->
    list_to_integer(os:getenv("PY_ORDER_ROUNDS", "1000")).

%% Answers that are taken from the cell, that come as messages, in arenas and in segments of their own.
ways() ->
    [{Seconds, Size} || Seconds <- [0, 0.0002], Size <- [0, 1000, 20000, 2000000]].

way(N) ->
    lists:nth(1 + N rem length(ways()), ways()).

%% covers: guarantee:send_before_reply, erlang.send
sent_before_answer(_) ->
    [
        begin
            {Seconds, Size} = way(N),
            {ok, Answer} = py:call('__main__', tell, [self(), N, Seconds, Size]),
            Size = byte_size(Answer),
            receive N -> ok after 0 -> ct:fail({not_there, N, way(N)}) end,
            Ref = py:call_async('__main__', tell, [self(), {N}, Seconds, Size]),
            receive {py_response, Ref, {ok, _}} -> ok end,
            receive {N} -> ok after 0 -> ct:fail({not_there, {N}, way(N)}) end,
            {ok, none} = py:eval(<<"erlang.send(p, n)">>, #{p => self(), n => [N]}),
            receive [N] -> ok after 0 -> ct:fail({not_there, [N]}) end
        end
     || N <- lists:seq(1, rounds())
    ],
    ok.

%% Another process has its message by then, too, also where it is known by name.
%% covers: guarantee:send_before_reply
sent_to_others_before_answer(_) ->
    Receiver = spawn_link(fun Hold() -> receive stop -> ok end, Hold end),
    true = register(py_order_suite_receiver, Receiver),
    [
        begin
            {Seconds, Size} = way(N),
            To = case N rem 2 of 0 -> Receiver; 1 -> <<"py_order_suite_receiver">> end,
            {ok, _} = py:call('__main__', tell, [To, N, Seconds, Size]),
            {message_queue_len, N} = process_info(Receiver, message_queue_len)
        end
     || N <- lists:seq(1, rounds())
    ],
    {messages, Messages} = process_info(Receiver, messages),
    ?assertEqual(lists:seq(1, rounds()), Messages),
    unlink(Receiver),
    exit(Receiver, kill).

%% covers: guarantee:send_before_reply
sent_by_threads(_) ->
    [
        begin
            {ok, N} = py:call('__main__', tell_in_thread, [self(), N]),
            receive N -> ok after 0 -> ct:fail({not_there, N}) end
        end
     || N <- lists:seq(1, rounds())
    ],
    ok.

%% covers: guarantee:send_before_reply
sent_from_coroutines(_) ->
    [
        begin
            {ok, N} = py:call('__main__', tell_in_task, [self(), N]),
            [receive N -> ok after 0 -> ct:fail({not_there, N}) end || _ <- [first, second]]
        end
     || N <- lists:seq(1, rounds())
    ],
    ok.

%% covers: guarantee:send_before_reply
sent_before_failure(_) ->
    [
        begin
            {error, {'KeyError', _}} = py:call('__main__', tell_and_fail, [self(), N]),
            receive N -> ok after 0 -> ct:fail({not_there, N}) end
        end
     || N <- lists:seq(1, rounds())
    ],
    ok.

%% Small messages do not overtake large ones.
%% covers: guarantee:order
sent_in_order(_) ->
    Sizes = [element(1 + N rem 4, {1, 30000, 10, 2000000}) || N <- lists:seq(1, 200)],
    {ok, none} = py:call('__main__', tell_many, [self(), Sizes]),
    Expected = lists:zip(lists:seq(0, 199), Sizes),
    [
        receive {Got, Data} when is_binary(Data) -> ?assertEqual({N, Size}, {Got, byte_size(Data)}) after 0 -> ct:fail({not_there, N}) end
     || {N, Size} <- Expected
    ],
    ok.

%% One process, one worker: whatever the kind of call and the size of its arguments, it starts in its turn.
%% covers: py:spawn_call/5, guarantee:order
started_in_order(_) ->
    ok = py_pool:start_pool(in_order, #{num_workers => 1}),
    On = #{pool => in_order, timeout => infinity},
    ok = py:exec(<<"order = []\ndef note(n, data):\n    order.append(n)\n">>, #{pool => in_order}),
    Sizes = {0, 20000, 3000000, 10},
    Refs = [
        py:spawn_call('__main__', note, [N, {bytes, binary:copy(<<"x">>, element(1 + N rem 4, Sizes))}], #{}, On)
     || N <- lists:seq(1, rounds())
    ],
    [{ok, none} = py:await(Ref) || Ref <- Refs],
    {ok, Order} = py:eval(<<"order">>, #{}, #{pool => in_order}),
    ?assertEqual(lists:seq(1, rounds()), Order),
    ok = py_pool:stop_pool(in_order).
