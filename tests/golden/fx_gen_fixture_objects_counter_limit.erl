%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 76f1d863fe6dd8c6
%% body: 286fcb746fab44c5
%% @doc Python class `gen_fixture.objects.Counter.Limit': `new' gives a handle, which the other functions take.
%% <pre>
%% Nested.
%% </pre>
%%
%% Source: `gen_fixture/objects.py:30'
-module(fx_gen_fixture_objects_counter_limit).

-compile(no_auto_import).
-export([new/0, new/2]).
-export([get/1, get/3]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Counter.Limit(value=5)
%% </pre>
%% Source: `gen_fixture/objects.py:30'
-spec new() -> {ok, t()} | {error, py:reason()}.
new() ->
    new([], #{}).

-spec new(py:kwargs(), py:options()) -> {ok, t()} | {error, py:reason()}.
new(Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Counter.Limit">>, [], Kwargs, [value], Options).

%% @doc <pre>
%% get()
%% </pre>
%% Source: `gen_fixture/objects.py:36'
-spec get(t()) -> py:result().
get(Self) ->
    get(Self, [], #{}).

-spec get(t(), [], py:options()) -> py:result().
get(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"get">>, [], Kwargs, [], Options).
