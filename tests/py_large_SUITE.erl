%% Arguments and answers that do not fit a record of the ring: who decodes them, and what memory they take.
-module(py_large_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [sizes, shapes, failures, decoded_by_its_caller, unwanted, twice, large_answer_at_once, memory_is_used_again].

init_per_suite(Config) ->
    ok = py_test:start([{num_workers, 1}]),
    ok = py_test:define(<<"
        import erlang
        class Box:
            pass
        def boxes(count):
            erlang.call('py_large_gate')
            return [Box() for _ in range(count)]
        def fail(size):
            raise ValueError('x' * size)
    ">>),
    ok = py:register_function(py_large_gate, fun(_) -> gate() end),
    Config.

end_per_suite(_Config) ->
    ok = py:unregister_function(py_large_gate),
    py_test:stop().

end_per_testcase(_Case, _Config) ->
    nothing_left().

nothing_left() ->
    py_test:settled(),
    py_test:until(fun() ->
        _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
        {total(handles), total(objects)} =:= {0, 0}
    end).

total(Key) ->
    lists:sum([maps:get(Key, py_nif:worker_info(Worker)) || {_, _, Worker, _, #{state := ready}} <- py_pool:workers()]).

%% Where boxes() waits until the test lets it go on.
gate() ->
    case whereis(py_large_test) of
        undefined -> ok;
        Test ->
            Monitor = monitor(process, Test),
            Test ! {at_the_gate, self()},
            receive go -> ok; {'DOWN', Monitor, process, _, _} -> ok end
    end.

%% Each size on both sides of every bound: cell, caller's scheduler, record, arena, dirty scheduler, memory of its own.
%% covers: to_erlang:list, to_erlang:bytes
sizes(_) ->
    Bounds = [200, 1000, 16 * 1024, 32 * 1024, 64 * 1024, 1 bsl 20],
    [
        begin
            Numbers = lists:seq(N, N + Bound div 5 + Off),
            {ok, Numbers} = py:call(builtins, list, [Numbers]),
            Ref = py:call_async(builtins, list, [Numbers]),
            {ok, Numbers} = py:await(Ref),
            Bytes = binary:copy(<<N:32>>, Bound div 4 + Off),
            {ok, Bytes} = py:call(builtins, bytes, [{bytes, Bytes}])
        end
     || Bound <- Bounds, {N, Off} <- lists:zip(lists:seq(1000, 1012), lists:seq(-6, 6))
    ],
    %% What a case returns is printed.
    ok.

%% covers: to_erlang:dict, to_erlang:tuple, to_erlang:str
shapes(_) ->
    Keys = lists:seq(1, 5000),
    Large = binary:copy(<<"large">>, 10000),
    [
        {ok, Value} = py:call(builtins, Type, [Value])
     || {Type, Value} <- [
            {dict, maps:from_list([{N, integer_to_binary(N)} || N <- lists:seq(1, Count)])}
         || Count <- [32, 33, 128, 129, 1000, 5000, 50000]
        ] ++ [
            {dict, maps:from_list([{{N, {N}}, #{N => N * 1.5}} || N <- Keys])},
            {list, [#{<<"id">> => N, <<"tags">> => [none, true, <<"tag">>]} || N <- Keys]},
            {list, lists:seq(-2500, 2500)},
            {list, [1 bsl N || N <- lists:seq(0, 300)]},
            {tuple, list_to_tuple(Keys)},
            {list, [Large | lists:seq(1, 1000)]},
            {dict, maps:from_list([{N, Large} || N <- lists:seq(1, 200)])},
            {str, binary:copy(<<"\303\251">>, 100000)}
        ]
    ],
    ok.

%% covers: error:exception
failures(_) ->
    [
        ?assertEqual({error, {'ValueError', lists:duplicate(Size, $x)}}, py:call('__main__', fail, [Size]))
     || Size <- [100, 2000, 40000, 200000]
    ],
    {error, {unsupported_object, object}} = py:eval(<<"[1] * 3000 + [object()]">>, #{}, #{unknown => error}).

%% A process that waits for such an answer.
caller(Count) ->
    true = register(py_large_test, self()),
    {Caller, Monitor} = spawn_monitor(fun() ->
        exit(py:call('__main__', boxes, [Count], #{}, #{unknown => ref, timeout => infinity}))
    end),
    Gate = receive {at_the_gate, Pid} -> Pid end,
    true = erlang:suspend_process(Caller),
    Gate ! go,
    py_test:until(fun() -> process_info(Caller, message_queue_len) =:= {message_queue_len, 1} end),
    true = unregister(py_large_test),
    {Caller, Monitor}.

%% The answer waits as bytes: no handle exists before its caller decodes it.
%% covers: option:unknown, guarantee:handles
decoded_by_its_caller(_) ->
    {Caller, Monitor} = caller(500),
    ?assertMatch({messages, [{_, {py_undecoded, _}}]}, process_info(Caller, messages)),
    ?assertEqual({0, 500}, {total(handles), total(objects)}),
    true = erlang:resume_process(Caller),
    receive {'DOWN', Monitor, process, Caller, {ok, Refs}} -> ?assertEqual(500, length(lists:usort(Refs))) end.

%% covers: guarantee:handles, guarantee:caller_death
unwanted(_) ->
    {Caller, Monitor} = caller(500),
    exit(Caller, kill),
    receive {'DOWN', Monitor, process, Caller, killed} -> ok end.

%% What was decoded is gone, and what is no answer is refused.
twice(_) ->
    {Caller, Monitor} = caller(500),
    {messages, [{_, {py_undecoded, Reply}}]} = process_info(Caller, messages),
    {ok, Refs} = py_nif:decode_reply(Reply),
    500 = length(Refs),
    ?assertError(badarg, py_nif:decode_reply(Reply)),
    ?assertError(badarg, py_nif:decode_reply(make_ref())),
    exit(Caller, kill),
    receive {'DOWN', Monitor, process, Caller, killed} -> ok end.

%% The caller watches for an answer that is too large for its scheduler: callables whose answers were short until then.
large_answer_at_once(_) ->
    [
        begin
            [{ok, <<>>} = py:call(builtins, bytes, [0]) || _ <- lists:seq(1, 20)],
            {ok, Zeros} = py:call(builtins, bytes, [Size]),
            ?assertEqual(Size, byte_size(Zeros))
        end
     || Size <- [250, 5000, 40000, 70000, 3000000], _ <- lists:seq(1, 20)
    ].

%% Fresh memory costs several times the copy, so segments, mappings and buffers are used again.
%% covers: config:segments
memory_is_used_again(_) ->
    [OsPid] = py_test:os_pids(default),
    Data = binary:copy(<<7>>, 8000000),
    Size = byte_size(Data),
    Pages = Size div 4096,
    Look = fun() -> {ok, Size} = py:call(builtins, len, [{buffer, Data}]) end,
    Look(),
    Maps = maps_of(OsPid),
    ?assertEqual(true, some_time(fun() -> faults(OsPid, Look) < Pages div 4 end, 10)),
    ?assertEqual(true, some_time(fun() -> faults("self", Look) < Pages div 4 end, 10)),
    ?assert(maps_of(OsPid) =< Maps + 2).

some_time(Good, Tries) ->
    lists:any(fun(_) -> Good() end, lists:seq(1, Tries)).

%% Page faults of a process while something is done five times, each.
faults(OsPid, Fun) ->
    Before = minor_faults(OsPid),
    [Fun() || _ <- lists:seq(1, 5)],
    (minor_faults(OsPid) - Before) div 5.

minor_faults(OsPid) ->
    {ok, Stat} = file:read_file(["/proc/", name(OsPid), "/stat"]),
    [_, Rest] = string:split(Stat, ") ", trailing),
    binary_to_integer(lists:nth(8, binary:split(Rest, <<" ">>, [global]))).

maps_of(OsPid) ->
    {ok, Maps} = file:read_file(["/proc/", name(OsPid), "/maps"]),
    length(binary:matches(Maps, <<"memfd:">>)).

name(OsPid) when is_integer(OsPid) -> integer_to_list(OsPid);
name(Name) -> Name.
