%% Python exceptions, and objects and terms that have no counterpart.
-module(py_errors_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 60}}].

all() ->
    [
        exceptions, messages, missing, syntax, base_exceptions, recursion, memory, broken_str, as_map, cause_and_notes, own_timeout_error,
        unsupported_terms, unsupported_objects, collisions, class_names, not_started
    ].

init_per_suite(Config) ->
    ok = py_test:start(),
    Config.

end_per_suite(_Config) ->
    py_test:stop().

init_per_testcase(_Case, Config) ->
    [{workers, py_test:os_pids(default)} | Config].

%% None of these costs a worker its life.
end_per_testcase(_Case, Config) ->
    ?assertEqual(proplists:get_value(workers, Config), py_test:os_pids(default)),
    py:unbind().

%% covers: error:exception
exceptions(_) ->
    {error, {'ValueError', "math domain error"}} = domain_error(py:call(math, sqrt, [-1])),
    {error, {'ZeroDivisionError', "division by zero"}} = py:eval(<<"1 / 0">>),
    {error, {'KeyError', "'k'"}} = py:eval(<<"{}['k']">>),
    {error, {'TypeError', _}} = py:call(math, sqrt, [<<"x">>]),
    {error, {'TypeError', _}} = py:call(math, sqrt, [1, 2]),
    {error, {'AssertionError', ""}} = py:exec(<<"assert False">>).

%% The text differs between versions of CPython.
domain_error({error, {'ValueError', Text}}) when is_list(Text) -> {error, {'ValueError', "math domain error"}}.

%% covers: error:exception
messages(_) ->
    {error, {'ValueError', [228, 8364, 128512]}} = py:exec(<<"raise ValueError('\\xe4\\u20ac\\U0001f600')">>),
    Long = lists:duplicate(100000, $x),
    {error, {'ValueError', Long}} = py:exec(<<"raise ValueError('x' * 100000)">>),
    ok.

%% covers: error:exception
missing(_) ->
    {error, {'ModuleNotFoundError', _}} = py:call(no_such_module, f, []),
    {error, {'AttributeError', _}} = py:call(math, no_such_function, []),
    {error, {'NameError', _}} = py:eval(<<"no_such_name">>),
    {error, {'TypeError', _}} = py:call(math, pi, []).

%% covers: error:syntax
syntax(_) ->
    {error, {'SyntaxError', Text}} = py:exec(<<"x = 1\ny = = 2\n">>),
    ?assertNotEqual(nomatch, string:find(Text, "<erlang>")),
    ?assertNotEqual(nomatch, string:find(Text, "2")),
    {error, {'SyntaxError', _}} = py:eval(<<"1 +">>),
    {error, {'SyntaxError', _}} = py:eval(<<"x = 1">>),
    {error, {'IndentationError', _}} = py:exec(<<"if True:\npass">>).

%% covers: error:exception
base_exceptions(_) ->
    {error, {'SystemExit', "3"}} = py:call(sys, exit, [3]),
    {error, {'KeyboardInterrupt', _}} = py:exec(<<"raise KeyboardInterrupt()">>),
    {error, {'GeneratorExit', _}} = py:exec(<<"raise GeneratorExit()">>),
    {error, {'BaseException', "own"}} = py:exec(<<"raise BaseException('own')">>).

%% covers: error:exception
recursion(_) ->
    {error, {'RecursionError', _}} = py:exec(<<"def f(): return f()\nf()">>),
    {ok, 1} = py:eval(<<"1">>).

%% covers: error:exception
memory(_) ->
    {error, {'OverflowError', _}} = py:eval(<<"'x' * (1 << 63)">>),
    {error, {'MemoryError', _}} = py:eval(<<"'x' * (1 << 60)">>).

%% covers: error:exception
broken_str(_) ->
    {error, {'Broken', _}} = py:exec(<<"
        class Broken(Exception):
            def __str__(self):
                raise ValueError('no text')
        raise Broken()
    ">>).

%% covers: option:error
as_map(_) ->
    Options = #{error => map},
    {error, #{type := 'ValueError', module := <<"builtins">>, message := <<"bad">>, traceback := Traceback, cause := _, notes := []}} =
        py:call(builtins, exec, [<<"raise ValueError('bad')">>, #{}], #{}, Options),
    Text = unicode:characters_to_list(Traceback),
    ?assertNotEqual(nomatch, string:find(Text, "Traceback (most recent call last)")),
    ?assertNotEqual(nomatch, string:find(Text, "ValueError: bad")).

%% covers: option:error
cause_and_notes(_) ->
    Code = <<"
        try:
            1 / 0
        except ZeroDivisionError as cause:
            error = ValueError('outer')
            if hasattr(error, 'add_note'):
                error.add_note('a note')
            raise error from cause
    ">>,
    {error, #{type := 'ValueError', cause := #{type := 'ZeroDivisionError'}, notes := Notes}} = py:exec(Code, #{error => map}),
    {ok, HasNotes} = py:eval(<<"hasattr(ValueError, 'add_note')">>),
    ?assertEqual(case HasNotes of true -> [<<"a note">>]; false -> [] end, Notes).

%% covers: error:timeout
own_timeout_error(_) ->
    {error, {'TimeoutError', "mine"}} = py:exec(<<"raise TimeoutError('mine')">>).

%% covers: error:unsupported_term, to_python:refused
unsupported_terms(_) ->
    {error, {unsupported_term, <<1:3>>}} = py:call(builtins, str, [<<1:3>>]),
    {error, {unsupported_term, [1 | 2]}} = py:call(builtins, str, [[1 | 2]]),
    {error, {unsupported_term, _}} = py:call(builtins, str, [#{[1] => 2}]).

%% covers: error:unsupported_object, to_erlang:refused
unsupported_objects(_) ->
    {error, {unsupported_object, _}} = py:eval(<<"object()">>, #{}, #{unknown => error}),
    {ok, Text} = py:eval(<<"3j">>),
    <<"3j">> = Text,
    ok = py:exec(<<"l = []\nl.append(l)">>),
    {error, {unsupported_object, _}} = py:eval(<<"l">>).

%% covers: error:duplicate_key, to_erlang:refused
collisions(_) ->
    {error, {unsupported_term, {duplicate_key, _}}} = py:call(builtins, len, [#{1 => a, 1.0 => b}]),
    {error, {unsupported_term, {duplicate_key, _}}} = py:call(builtins, len, [#{a => 1, <<"a">> => 2}]),
    {error, {unsupported_object, _}} = py:eval(<<"{'a': 1, b'a': 2}">>).

%% An exception class of any name is reported; the number of new atoms is bounded.
%% covers: error:exception
class_names(_) ->
    {error, {Type, "x"}} = py:exec(<<"class SomeErrorNobodyHasHeardOf(Exception): pass\nraise SomeErrorNobodyHasHeardOf('x')">>),
    ?assertEqual('SomeErrorNobodyHasHeardOf', Type),
    Before = erlang:system_info(atom_count),
    _ = [py:exec(io_lib:format("raise type('GeneratedError~b', (Exception,), {})()", [N])) || N <- lists:seq(1, 3000)],
    ?assert(erlang:system_info(atom_count) - Before < 2000),
    {error, {'PythonError', _}} = py:exec(<<"raise type('OneMoreGeneratedError', (Exception,), {})()">>).

%% covers: error:badarg
not_started(_) ->
    Pool = not_started,
    ok = py_pool:start_pool(Pool, #{num_workers => 1}),
    ok = py_pool:stop_pool(Pool),
    {error, {badarg, pool}} = py:call(math, sqrt, [1], #{}, #{pool => Pool}),
    {error, not_started} = py_pool:stop_pool(Pool).
