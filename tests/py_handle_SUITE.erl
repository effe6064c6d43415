%% Python objects that stay in their worker and the terms that stand for them.
-module(py_handle_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

-define(REF, #{return => ref}).

suite() -> [{timetrap, {seconds, 90}}].

all() ->
    [
        round_trip, every_value, nested, unknown_objects, iterators, methods, attributes, to_term, is_ref, misuse, goes_to_its_worker,
        asynchronous, affinity_gives_way, other_workers, in_parallel, explicit_pool, collected, released, collected_with_process, sent_away,
        casts, timed_out, cancelled_large, failed_results, key_that_fails, death, death_unmaps, churn, million, full_ring, busy_worker,
        finalisers, endless_finaliser, several_executors, unsafe_ids
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    ok = py_test:define(<<"
        class Box:
            made = 0
            gone = 0
            def __init__(self, value=None):
                Box.made += 1
                self.value = value
            def __del__(self):
                Box.gone += 1
            def get(self, *args, **kwargs):
                return [self.value, list(args), kwargs]
            @property
            def inner(self):
                return Box(self)
            def raises(self):
                raise ValueError('from a method')
        def same(a, b):
            return a is b
        def pid():
            import os
            return os.getpid()
        def pid_of(*objects, **named):
            return pid()
    ">>),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    ok = py:unbind(),
    py_test:whole(default),
    Config.

end_per_testcase(_Case, _Config) ->
    py:unbind(),
    nothing_left().

%% Counts of the workers, by what they mean.

infos() ->
    [py_nif:worker_info(Worker) || {_, _, Worker, _, #{state := ready}} <- py_pool:workers()].

total(Key) ->
    lists:sum([maps:get(Key, Info) || Info <- infos()]).

%% Every object of a handle is let go once its term is collected.
nothing_left() ->
    py_test:until(fun() ->
        _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
        {total(handles), total(objects)} =:= {0, 0}
    end).

box() ->
    box(1).

box(Value) ->
    {ok, {py_object, _} = Ref} = py:call('__main__', 'Box', [Value], #{}, ?REF),
    Ref.

pool_box(Pool) ->
    {ok, {py_object, _} = Ref} = py:call(builtins, list, [], #{}, #{return => ref, pool => Pool}),
    Ref.

worker_of(Ref) ->
    {ok, Pid} = py:call('__main__', pid_of, [Ref]),
    Pid.

%% Boxes in two different workers.
two_workers() ->
    First = box(),
    Home = worker_of(First),
    [Other] = [W || {_, default, W, _, #{os_pid := Pid}} <- py_pool:workers(), Pid =/= Home],
    {ok, Second} = py_request:sync(Other, {call, '__main__', 'Box', [2], []}, 5000, 16#80),
    ?assertNotEqual(Home, worker_of(Second)),
    {First, Second, Other}.

%% Values.

%% covers: to_python:handle, option:return
round_trip(_) ->
    Ref = box(7),
    {ok, [7, [], #{}]} = py:call_method(Ref, get, []),
    {ok, true} = py:call('__main__', same, [Ref, Ref]),
    {ok, false} = py:eval(<<"a is a.inner">>, #{a => Ref}),
    {ok, <<"Box">>} = py:eval(<<"type(box).__name__">>, #{box => Ref}),
    {ok, {py_object, _} = Again} = py:eval(<<"box">>, #{box => Ref}, ?REF),
    {ok, true} = py:call('__main__', same, [Ref, Again]),
    ?assertNotEqual(Ref, Again).

%% `return => ref' gives a handle for every value there is.
%% covers: option:return
every_value(_) ->
    lists:foreach(
        fun({Code, Expected}) ->
            {ok, {py_object, _} = Ref} = py:eval(Code, #{}, ?REF),
            {ok, Expected} = py:to_term(Ref)
        end,
        [{<<"None">>, none}, {<<"1">>, 1}, {<<"'a'">>, <<"a">>}, {<<"[1, (2, 3)]">>, [1, {2, 3}]}, {<<"{'a': 1}">>, #{<<"a">> => 1}},
         {<<"b'x' * 100000">>, binary:copy(<<"x">>, 100000)}, {<<"2 ** 70">>, 1 bsl 70}]
    ),
    {error, {'ZeroDivisionError', _}} = py:eval(<<"1 / 0">>, #{}, ?REF),
    ok = py:exec(<<"x = 1">>, #{return => ref, pool => default}).

%% covers: to_python:handle
nested(_) ->
    Ref = box(),
    {ok, true} = py:eval(<<"a[0] is b['x'][0] and b['x'][1] is c">>, #{a => [Ref], b => #{x => {Ref, Ref}}, c => Ref}),
    {ok, [none, [1], #{<<"k">> := 1}]} = py:call_method(box(none), get, [1], #{k => 1}),
    {ok, Pid} = py:call('__main__', pid_of, [], #{named => Ref}),
    ?assertEqual(Pid, worker_of(Ref)),
    %% A tuple that only looks like one, and tuples where no tuple is special.
    {ok, {<<"py_object">>, 1}} = py:eval(<<"x">>, #{x => {py_object, 1}}),
    Plain = make_ref(),
    {ok, {<<"py_object">>, Plain}} = py:eval(<<"x">>, #{x => {py_object, Plain}}),
    {ok, <<"Ref">>} = py:eval(<<"type(x[1]).__name__">>, #{x => Ref}, #{tags => false}).

%% covers: option:unknown
unknown_objects(_) ->
    {ok, [1, {py_object, _} = Ref, #{<<"k">> := {py_object, _}}]} =
        py:eval(<<"[1, Box(3), {'k': Box(4)}]">>, #{}, #{unknown => ref}),
    {ok, [3, [], #{}]} = py:call_method(Ref, get, []),
    {ok, Map} = py:eval(<<"{Box(1): 'a', Box(1): 'b'}">>, #{}, #{unknown => ref}),
    [{py_object, _}, {py_object, _}] = maps:keys(Map),
    {ok, [1, <<"a">>]} = py:eval(<<"[1, 'a']">>, #{}, #{unknown => ref}),
    {ok, <<"1.5">>} = py:eval(<<"__import__('decimal').Decimal('1.5')">>),
    {error, {bad_option, return}} = py:eval(<<"1">>, #{}, #{return => handle}),
    {error, {bad_option, unknown}} = py:eval(<<"1">>, #{}, #{unknown => handle}).

%% covers: to_erlang:iterator
iterators(_) ->
    {ok, {generator, _} = Generator} = py:eval(<<"(x * x for x in range(4))">>),
    {ok, 0} = py:call_method(Generator, '__next__', []),
    {ok, [1, 4, 9]} = py:call(builtins, list, [Generator]),
    {error, {'StopIteration', _}} = py:call(builtins, next, [Generator]),
    {ok, {generator, _} = Map} = py:eval(<<"map(str, [1, 2])">>),
    {ok, [<<"1">>, <<"2">>]} = py:call(builtins, list, [Map]),
    {ok, {generator, _} = Again} = py:to_term(Map),
    {ok, true} = py:call('__main__', same, [Map, Again]),
    ok = py:exec(<<"async def letters():\n    yield 'a'\n">>),
    {ok, {generator, _} = Letters} = py:call('__main__', letters, []),
    {ok, <<"a">>} = py:call_method(Letters, '__anext__', []),
    {ok, {generator, _}} = py:eval(<<"iter([1])">>, #{}, #{unknown => error}),
    {ok, {py_object, _}} = py:eval(<<"iter([1])">>, #{}, ?REF),
    %% Inside a value an iterator is one object of many.
    {ok, [<<"<list_iterator", _/binary>>]} = py:eval(<<"[iter([1])]">>),
    {ok, [{py_object, _}]} = py:eval(<<"[iter([1])]">>, #{}, #{unknown => ref}),
    %% What a test case returns is kept.
    ok.

%% covers: py:call_method/3,4,5
methods(_) ->
    Ref = box(5),
    {ok, [5, [1, <<"a">>], #{}]} = py:call_method(Ref, get, [1, a]),
    {ok, [5, [1], #{<<"k">> := 2}]} = py:call_method(Ref, <<"get">>, [1], #{k => 2}),
    {ok, [5, [], #{<<"k">> := 2}]} = py:call_method(Ref, "get", [], [{k, 2}]),
    {ok, <<"1-2">>} = py:call_method(text(<<"-">>), join, [[<<"1">>, <<"2">>]]),
    {ok, [Ref2, [], #{}]} = py:call_method(Ref, 'inner.get', [], #{}, #{unknown => ref}),
    {ok, true} = py:call('__main__', same, [Ref, Ref2]),
    {ok, [5, [Other], #{}]} = py:call_method(Ref, get, [Ref], #{}, #{unknown => ref}),
    {ok, true} = py:call('__main__', same, [Ref, Other]),
    {ok, {py_object, _}} = py:call_method(Ref, get, [], #{}, ?REF),
    {error, {'ValueError', "from a method"}} = py:call_method(Ref, raises, []),
    {error, #{type := 'ValueError', traceback := Traceback}} = py:call_method(Ref, raises, [], #{}, #{error => map}),
    {match, _} = re:run(Traceback, "in raises"),
    {error, {'AttributeError', _}} = py:call_method(Ref, missing, []),
    {error, {'TypeError', _}} = py:call_method(Ref, get, [], #{self => 1}),
    Large = binary:copy(<<"x">>, 300000),
    {ok, [5, [Large], #{}]} = py:call_method(Ref, get, [Large]),
    {error, timeout} = py:call_method(module(time), sleep, [10], #{}, 50).

text(Binary) ->
    {ok, Ref} = py:eval(<<"x">>, #{x => Binary}, ?REF),
    Ref.

module(Name) ->
    {ok, Ref} = py:call(importlib, import_module, [Name], #{}, ?REF),
    Ref.

%% covers: py:getattr/2,3
attributes(_) ->
    Ref = box(6),
    {ok, 6} = py:getattr(Ref, value),
    {ok, 6} = py:getattr(Ref, <<"value">>),
    {ok, 6} = py:getattr(Ref, "value"),
    {ok, 6} = py:getattr(Ref, value, 1000),
    {ok, {py_object, _} = Inner} = py:getattr(Ref, inner, #{unknown => ref}),
    {ok, {py_object, _} = Ref2} = py:getattr(Inner, value, ?REF),
    {ok, true} = py:call('__main__', same, [Ref, Ref2]),
    {ok, 6} = py:getattr(Ref, value, #{tags => false, binary => bytes}),
    {error, {'AttributeError', _}} = py:getattr(Ref, missing),
    %% Names of atoms that are None or True elsewhere.
    {error, {'AttributeError', Message}} = py:getattr(Ref, none),
    {match, _} = re:run(Message, "'none'").

%% covers: py:to_term/1,2
to_term(_) ->
    {ok, Ref} = py:eval(<<"[1, Box(2)]">>, #{}, ?REF),
    {ok, [1, <<"<__main__.Box object", _/binary>>]} = py:to_term(Ref),
    {ok, [1, {py_object, _}]} = py:to_term(Ref, #{unknown => ref}),
    {ok, [1, {py_object, _}]} = py:to_term(Ref, #{unknown => ref, tags => false}),
    {error, {unsupported_object, 'Box'}} = py:to_term(Ref, #{unknown => error}),
    {error, {bad_option, nonsense}} = py:to_term(Ref, #{nonsense => 1}).

%% covers: py:is_ref/1
is_ref(_) ->
    {py_object, Handle} = Ref = box(),
    {ok, Generator} = py:eval(<<"iter([])">>),
    ?assert(py:is_ref(Ref)),
    ?assert(py:is_ref(Generator)),
    [?assertNot(py:is_ref(Term)) || Term <- [Handle, {py_object, make_ref()}, {py_object, 1}, {other, Handle}, {Handle}, ok, [], 1]],
    ok = py:release(Ref),
    ?assert(py:is_ref(Ref)).

%% covers: error:badarg
misuse(_) ->
    {py_object, Handle} = Ref = box(),
    lists:foreach(
        fun(Wrong) ->
            {error, {badarg, ref}} = py:call_method(Wrong, get, []),
            {error, {badarg, ref}} = py:getattr(Wrong, value),
            {error, {badarg, ref}} = py:to_term(Wrong),
            {error, {badarg, ref}} = py:release(Wrong)
        end,
        [none, Handle, {py_object, make_ref()}, {py_object, Handle, 1}, "text", #{}]
    ),
    {error, {badarg, f}} = py:call_method(Ref, 1, []),
    {error, {badarg, f}} = py:call_method(Ref, "", []),
    {error, {badarg, args}} = py:call_method(Ref, get, 1),
    {error, {badarg, args}} = py:call_method(Ref, get, [1 | 2]),
    {error, {badarg, kwargs}} = py:call_method(Ref, get, [], 1),
    {error, {badarg, name}} = py:getattr(Ref, 1),
    {error, {badarg, timeout}} = py:getattr(Ref, value, soon),
    {error, {badarg, timeout}} = py:call_method(Ref, get, [], #{}, soon),
    ?assertError(badarg, py_nif:release_handle(make_ref())),
    {ok, 1} = py:getattr(Ref, value).

%% Where work goes.

%% covers: to_python:handle
goes_to_its_worker(_) ->
    Boxes = [box(N) || N <- lists:seq(1, 20)],
    [
        begin
            Pid = worker_of(Box),
            [{ok, Pid} = py:call('__main__', pid_of, [Box, N], #{x => Box}) || N <- lists:seq(1, 20)],
            {ok, Pid} = py:await(py:call_async('__main__', pid_of, [Box]))
        end
     || Box <- Boxes
    ].

%% covers: option:return
asynchronous(_) ->
    Ref = box(3),
    Pid = worker_of(Ref),
    {ok, {py_object, _} = Made} = py:await(py:spawn_call('__main__', 'Box', [4], #{}, ?REF)),
    {ok, 4} = py:getattr(Made, value),
    %% The handle may be collected as soon as the call is submitted.
    Calls = [py:call_async('__main__', pid_of, [Ref]) || _ <- lists:seq(1, 100)],
    ok = py:release(Ref),
    [{ok, Pid} = py:await(Call) || Call <- Calls].

affinity_gives_way(_) ->
    {First, Second, _} = two_workers(),
    ok = py:exec(<<"pass">>),
    {ok, Here} = py:call('__main__', pid, []),
    [{ok, [_, [], #{}]} = py:call_method(Box, get, []) || Box <- [First, Second]],
    {ok, Here} = py:call('__main__', pid, []),
    [Elsewhere] = [Box || Box <- [First, Second], worker_of(Box) =/= Here],
    py_test:kill("KILL", worker_of(Elsewhere)),
    py_test:until(fun() -> element(1, py:getattr(Elsewhere, value)) =:= error end),
    {error, {worker_down, _}} = py:getattr(Elsewhere, value),
    {ok, Here} = py:call('__main__', pid, []).

%% covers: error:handle_of_other_worker
other_workers(_) ->
    {First, {py_object, Handle} = Second, Other} = two_workers(),
    Wrong = {error, {badarg, {handle_of_other_worker, Handle}}},
    Wrong = py:call('__main__', same, [First, Second]),
    Wrong = py:eval(<<"a">>, [{a, First}, {b, [Second]}]),
    Wrong = py:call_method(First, get, [Second]),
    Wrong = py:await(py:call_async('__main__', same, [First, Second])),
    {py_object, FirstHandle} = First,
    {error, {badarg, {handle_of_other_worker, FirstHandle}}} =
        py_request:sync(Other, {call, '__main__', pid_of, [First], []}, 5000, 0),
    {ok, _} = py_request:sync(Other, {call, '__main__', pid_of, [Second], []}, 5000, 0),
    {ok, true} = py:call('__main__', same, [First, First]).

%% covers: error:handle_of_other_worker
in_parallel(_) ->
    {py_object, Handle} = Ref = box(),
    {ok, [{ok, 2.0}, {error, {badarg, {handle_of_other_worker, Handle}}}, {ok, 3.0}]} =
        py:parallel([{math, sqrt, [4]}, {builtins, id, [Ref]}, {math, sqrt, [9]}]),
    {ok, [{error, {badarg, {handle_of_other_worker, Handle}}}]} = py:parallel([{builtins, id, [Ref]}], #{pool => default}),
    %% Results may be handles.
    {ok, Results} = py:parallel([{builtins, list, [[N]]} || N <- lists:seq(1, 10)], #{return => ref}),
    ?assertEqual([{ok, [N]} || N <- lists:seq(1, 10)], [py:to_term(Result) || {ok, Result} <- Results]),
    ok = py_pool:stop_pool(parallel).

%% covers: option:pool, error:handle_of_other_worker
explicit_pool(_) ->
    Pool = explicit_pool,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    {py_object, Handle} = Ref = box(),
    {error, {badarg, {handle_of_other_worker, Handle}}} = py:call(builtins, id, [Ref], #{}, #{pool => Pool}),
    {ok, _} = py:call(builtins, id, [Ref], #{}, #{pool => default}),
    There = pool_box(Pool),
    {ok, 0} = py:call(builtins, len, [There], #{}, #{pool => Pool}),
    %% Without a pool the handle decides.
    {ok, none} = py:call_method(There, append, [1]),
    {ok, [1]} = py:to_term(There),
    ok = py_pool:stop_pool(Pool),
    {error, {worker_down, _}} = py:to_term(There).

%% The end of handles.

%% covers: guarantee:handles
collected(_) ->
    Boxes = [box(N) || N <- lists:seq(1, 500)],
    ?assertEqual({500, 500}, {total(handles), total(objects)}),
    {ok, _} = py:getattr(hd(Boxes), value),
    Kept = lists:sublist(Boxes, 10),
    true = collected_but(Kept),
    nothing_left().

%% Once Boxes is out of scope, only these are held.
collected_but(Kept) ->
    py_test:until(fun() ->
        erlang:garbage_collect(),
        {total(handles), total(objects)} =:= {10, 10}
    end),
    [{ok, _} = py:getattr(Box, value) || Box <- Kept],
    true.

%% covers: py:release/1, error:released_handle
released(_) ->
    {py_object, Handle} = Ref = box(),
    ok = py:release(Ref),
    py_test:until(fun() -> total(objects) =:= 0 end),
    ?assertEqual(0, total(handles)),
    Gone = {error, {badarg, {released_handle, Handle}}},
    Gone = py:getattr(Ref, value),
    Gone = py:call_method(Ref, get, []),
    Gone = py:call('__main__', pid_of, [Ref]),
    ok = py:release(Ref),
    %% Its slot in the worker's table is used again; the old handle does not mean the new object.
    Next = [box() || _ <- lists:seq(1, 10)],
    Gone = py:getattr(Ref, value),
    [{ok, 1} = py:getattr(Box, value) || Box <- Next],
    [ok = py:release(Box) || Box <- Next],
    py_test:until(fun() -> total(objects) =:= 0 end).

%% covers: guarantee:handles
collected_with_process(_) ->
    {Pid, Monitor} = spawn_monitor(fun() ->
        Boxes = [box() || _ <- lists:seq(1, 100)],
        receive stop -> exit({boxes, length(Boxes)}) end
    end),
    py_test:until(fun() -> total(objects) =:= 100 end),
    Pid ! stop,
    receive {'DOWN', Monitor, process, Pid, {boxes, 100}} -> ok end,
    py_test:until(fun() -> {total(handles), total(objects)} =:= {0, 0} end).

%% A handle lives as long as any process, message or table has it.
%% covers: guarantee:handles
sent_away(_) ->
    Table = ets:new(table, [public]),
    Self = self(),
    spawn_link(fun() ->
        ets:insert(Table, {box, box(1)}),
        Self ! {box, box(2)}
    end),
    Mine = receive {box, Box} -> Box end,
    erlang:garbage_collect(),
    {ok, 2} = py:getattr(Mine, value),
    {ok, 1} = py:getattr(ets:lookup_element(Table, box, 2), value),
    true = ets:delete(Table),
    ok.

%% covers: py:cast/3
casts(_) ->
    Ref = box(),
    ok = py:cast('__main__', 'Box', [1]),
    ok = py:cast('__main__', setattr_of(), [Ref, <<"value">>, 8]),
    py_test:until(fun() -> py:getattr(Ref, value) =:= {ok, 8} end),
    ?assertEqual(1, total(objects)).

setattr_of() ->
    ok = py_test:define(<<"def set_it(box, name, value): setattr(box, name, value)">>),
    set_it.

%% Results that come too late are let go.
%% covers: guarantee:handles
timed_out(_) ->
    ok = py_test:define(<<"
        def late(make):
            import erlang, time
            try:
                time.sleep(30)
            except erlang.Interrupted:
                pass
            return eval(make)
    ">>),
    Made = total_of(<<"Box.made">>),
    [
        {error, timeout} = py:call('__main__', late, [<<"Box(1)">>], #{}, Options#{timeout => 20})
     || _ <- lists:seq(1, 5), Options <- [?REF, #{unknown => ref}]
    ],
    {error, timeout} = py:call('__main__', late, [<<"[Box(1), 2, Box(3)]">>], #{}, #{unknown => ref, timeout => 20}),
    {error, timeout} = py:call('__main__', late, [<<"iter([])">>], #{}, #{timeout => 20}),
    py_test:settled(),
    py_test:until(fun() -> total(objects) =:= 0 end),
    ?assertEqual(Made + 12, total_of(<<"Box.made">>)),
    ?assertEqual(Made + 12, total_of(<<"Box.gone">>)).

total_of(Code) ->
    lists:sum([
        begin
            {ok, Count} = py_request:sync(Worker, {eval, Code, []}, 5000, 0),
            Count
        end
     || {_, default, Worker, _, _} <- py_pool:workers()
    ]).

%% covers: guarantee:handles
cancelled_large(_) ->
    {error, timeout} = py:call(
        '__main__', late, [<<"[Box(n) for n in range(5000)] + [b'x' * 100000]">>], #{}, #{unknown => ref, timeout => 20}
    ),
    py_test:settled(),
    py_test:until(fun() -> {total(handles), total(objects)} =:= {0, 0} end),
    Boxes = py:eval(<<"[Box(n) for n in range(5000)] + [b'x' * 100000]">>, #{}, #{unknown => ref}),
    {ok, List} = Boxes,
    ?assertEqual({5001, 5000}, {length(List), total(objects)}).

%% A result that cannot become a term leaves no object behind.
%% covers: guarantee:handles, to_erlang:refused
failed_results(_) ->
    Ref = #{unknown => ref},
    {error, {unsupported_object, 'Atom'}} = py:eval(<<"[Box(1), erlang.atom('py_handle_no_such_' + 'atom'), Box(2)]">>, #{}, Ref),
    ok = py_test:define(<<"
        def cyclic():
            cycle = [Box(1)]
            cycle.append(cycle)
            return cycle
        def failing():
            def keys():
                yield Box(1), 1
                yield 'a', 1
                yield b'a', 1
            return dict(keys())
    ">>),
    {error, {unsupported_object, cycle}} = py:call('__main__', cyclic, [], #{}, Ref),
    {error, {unsupported_object, _}} = py:call('__main__', failing, [], #{}, Ref),
    py_test:until(fun() -> {total(handles), total(objects)} =:= {0, 0} end).

%% The key that the error shows is a handle of its own.
key_that_fails(_) ->
    {ok, Ref} = py:eval(<<"[1]">>, #{}, ?REF),
    {error, {unsupported_term, {py_object, _} = Shown}} = py:call('__main__', pid_of, [#{1 => 2, Ref => 1}, Ref]),
    ?assertNotEqual(Ref, Shown),
    {ok, true} = py:call('__main__', same, [Ref, Shown]),
    ok = py:release(Shown),
    py_test:until(fun() -> total(objects) =:= 1 end),
    {ok, [1]} = py:to_term(Ref).

%% covers: error:worker_down
death(_) ->
    {First, Second, _} = two_workers(),
    py_test:kill("KILL", worker_of(First)),
    py_test:until(fun() -> element(1, py:getattr(First, value)) =:= error end),
    lists:foreach(
        fun(Attempt) -> ?assertMatch({error, {worker_down, _}}, Attempt()) end,
        [
            fun() -> py:getattr(First, value) end,
            fun() -> py:to_term(First) end,
            fun() -> py:call_method(First, get, []) end,
            fun() -> py:call('__main__', pid_of, [First]) end,
            fun() -> py:eval(<<"x">>, #{x => First}) end,
            fun() -> py:await(py:call_async('__main__', pid_of, [First])) end
        ]
    ),
    {ok, 2} = py:getattr(Second, value),
    ?assert(py:is_ref(First)),
    ok = py:release(First),
    py_test:whole(default),
    %% The worker that took its place never sees the old handle.
    [{ok, 1} = py:getattr(box(), value) || _ <- lists:seq(1, 20)],
    {error, {badarg, {released_handle, _}}} = py:getattr(First, value).

%% Handles of dead workers keep no memory mapped.
death_unmaps(_) ->
    #{mappings := Before} = py_nif:nif_info(),
    Held = lists:append([
        begin
            Boxes = [box() || _ <- lists:seq(1, 20)],
            [py_test:kill("KILL", Pid) || Pid <- lists:usort([worker_of(Box) || Box <- Boxes])],
            py_test:until(fun() -> lists:all(fun(Box) -> element(1, py:getattr(Box, value)) =:= error end, Boxes) end),
            py_test:whole(default),
            Boxes
        end
     || _ <- lists:seq(1, 3)
    ]),
    py_test:until(fun() ->
        _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
        maps:get(mappings, py_nif:nif_info()) =:= Before
    end),
    [{error, {worker_down, _}} = py:getattr(Box, value) || Box <- Held],
    ok.

%% Nothing grows.

make_and_drop(0) ->
    ok;
make_and_drop(N) ->
    {ok, {py_object, _}} = py:eval(<<"[1]">>, #{}, ?REF),
    make_and_drop(N - 1).

tables() ->
    nothing_left(),
    py_test:settled(),
    {total(object_slots), maps:get(slab_in_use, py_nif:nif_info()), total(in_flight)}.

%% covers: guarantee:handles
churn(_) ->
    make_and_drop(100000),
    {Slots, 0, 0} = tables(),
    make_and_drop(100000),
    {Again, 0, 0} = tables(),
    %% Slots are as many as objects were ever kept at once: a few thousand wait for a collection of garbage.
    ?assert(Slots < 20000),
    ?assert(Again < 20000).

%% covers: guarantee:handles
million(_) ->
    Workers = [spawn_monitor(fun() -> make_and_drop(250000) end) || _ <- lists:seq(1, 4)],
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Workers],
    {Slots, 0, 0} = tables(),
    ct:pal("~b slots after a million handles", [Slots]),
    ?assert(Slots < 100000).

%% Ids wait in the node while the ring is full, and none is lost.
%% covers: guarantee:handles, config:ring_size
full_ring(Config) ->
    Pool = full_ring,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, ring_size => 65536}),
    Make = #{pool => Pool, unknown => ref},
    {ok, Objects} = py:eval(<<"[object() for _ in range(20000)]">>, #{}, Make),
    ?assertEqual(20000, total(objects)),
    {Blocker, Unblock} = block(Pool, Config),
    Sqrt = fun() -> {ok, 2.0} = py:call(math, sqrt, [4], #{}, #{pool => Pool, timeout => 60000}) end,
    Callers = [spawn_monitor(Sqrt) || _ <- lists:seq(1, 1500)],
    py_test:until(fun() -> maps:get(waiting_requests, py_pool:get_stats(Pool)) > 0 end),
    [ok = py:release(Object) || Object <- Objects],
    ?assertEqual(20000, total(objects)),
    ok = Unblock(),
    {ok, none} = py:await(Blocker),
    [receive {'DOWN', Monitor, process, Pid, Reason} -> {normal, _} = {Reason, Pid} end || {Pid, Monitor} <- Callers],
    py_test:until(fun() -> total(objects) =:= 0 end),
    ok = py_pool:stop_pool(Pool).

%% Keeps the only worker of a pool busy until told otherwise.
block(Pool, Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), Pool),
    Wait = <<"import os, time\ndef wait_for(path):\n    while not os.path.exists(path): time.sleep(0.01)">>,
    ok = py:exec(Wait, #{pool => Pool}),
    Blocker = py:spawn_call('__main__', wait_for, [list_to_binary(File)], #{}, #{pool => Pool, timeout => 60000}),
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(Pool)) =:= 1 end),
    {Blocker, fun() -> file:write_file(File, <<>>) end}.

%% While its worker is busy for long, a handle costs nothing but its id.
busy_worker(Config) ->
    Pool = busy_worker,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    {ok, Objects} = py:eval(<<"[object() for _ in range(10000)]">>, #{}, #{pool => Pool, unknown => ref}),
    {Blocker, Unblock} = block(Pool, Config),
    [ok = py:release(Object) || Object <- Objects],
    ?assert(maps:get(pending_requests, py_pool:get_stats(Pool)) =< 2),
    ?assertEqual(10000, total(objects)),
    ok = Unblock(),
    {ok, none} = py:await(Blocker),
    py_test:until(fun() -> total(objects) =:= 0 end),
    ok = py_pool:stop_pool(Pool).

finalisers(_) ->
    Pool = finalisers,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    On = #{pool => Pool},
    ok = py:exec(<<"
        log = []
        class Loud:
            def __init__(self, name): self.name = name
            def __del__(self):
                log.append(self.name)
                raise ValueError('not to be seen by the next request')
        def steps():
            try:
                yield 1
                yield 2
            finally:
                log.append('closed')
    ">>, On),
    {ok, First} = py:call('__main__', 'Loud', [first], #{}, On#{return => ref}),
    {ok, {generator, _} = Steps} = py:call('__main__', steps, [], #{}, On),
    {ok, 1} = py:call_method(Steps, '__next__', []),
    ok = py:release(First),
    ok = py:release(Steps),
    py_test:until(fun() -> py:eval(<<"log">>, #{}, On) =:= {ok, [<<"first">>, <<"closed">>]} end),
    ok = py_pool:stop_pool(Pool).

%% A finaliser that does not end is interrupted, or goes with its worker.
endless_finaliser(_) ->
    Pool = endless_finaliser,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, kill_grace => 1000}),
    On = #{pool => Pool},
    ok = py:exec(<<"
        import time
        class Endless:
            def __del__(self): time.sleep(1000)
        class Stubborn:
            def __del__(self):
                while True:
                    try: time.sleep(1000)
                    except BaseException: pass
    ">>, On),
    [Before] = py_test:os_pids(Pool),
    {ok, Endless} = py:call('__main__', 'Endless', [], #{}, On#{return => ref}),
    ok = py:release(Endless),
    ok = finalising(Pool),
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, On#{timeout => 30000}),
    [Before] = py_test:os_pids(Pool),
    {ok, Stubborn} = py:call('__main__', 'Stubborn', [], #{}, On#{return => ref}),
    ok = py:release(Stubborn),
    ok = finalising(Pool),
    {ok, 2.0} = py:call(math, sqrt, [4], #{}, On#{timeout => 30000}),
    ok = py_test:whole(Pool),
    [After] = py_test:os_pids(Pool),
    ?assertNotEqual(Before, After),
    ok = py_pool:stop_pool(Pool).

finalising(Pool) ->
    py_test:until(fun() -> maps:get(pending_requests, py_pool:get_stats(Pool)) =:= 1 end).

several_executors(_) ->
    Pool = several_executors,
    ok = py_pool:start_pool(Pool, #{num_workers => 1, num_executors => 3}),
    On = #{pool => Pool, timeout => 30000},
    {ok, Counter} = py:call(itertools, count, [], #{}, On#{return => ref}),
    Callers = [
        spawn_monitor(fun() ->
            [
                begin
                    {ok, {py_object, _} = List} = py:call(builtins, list, [[N]], #{}, On#{return => ref}),
                    {ok, Value} = py:call_method(Counter, '__next__', []),
                    {ok, none} = py:call_method(List, append, [Value]),
                    {ok, [N, Value]} = py:to_term(List)
                end
             || N <- lists:seq(1, 300)
            ]
        end)
     || _ <- lists:seq(1, 10)
    ],
    [receive {'DOWN', Monitor, process, Pid, Reason} -> normal = Reason end || {Pid, Monitor} <- Callers],
    {ok, 3000} = py:call_method(Counter, '__next__', []),
    ok = py:release(Counter),
    py_test:until(fun() -> total(objects) =:= 0 end),
    ok = py_pool:stop_pool(Pool).

%% Bytes that name an object make no handle where no worker sent them, and bytes cut short make nothing at all.
%% covers: guarantee:hostile
unsafe_ids(_) ->
    [
        {error, {corrupt, _}} = py_nif:decode(Bytes, Options)
     || Bytes <- [<<13, 1, 0:64>>, <<13, 2, -1:64>>, <<13, 3, 0:64>>, <<13>>, <<13, 1, 0:56>>, <<104, 1, 13, 1, 0:64>>, <<0, 13, 1, 0:64>>],
        Options <- [0, 1 bsl 15]
    ].
