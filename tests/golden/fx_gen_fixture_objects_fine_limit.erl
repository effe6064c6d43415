%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: d298da9be0dbd6dd
%% body: 5cd6662ed627f7fa
%% @doc Python class `gen_fixture.objects.Fine.Limit': `new' gives a handle, which the other functions take.
%%
%% Source: `gen_fixture/objects.py:117'
-module(fx_gen_fixture_objects_fine_limit).

-compile(no_auto_import).
-export([new/0, new/2]).
-export([get/1, get/3]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Fine.Limit(value=5)
%% </pre>
%% Source: `gen_fixture/objects.py:117'
-spec new() -> {ok, t()} | {error, py:reason()}.
new() ->
    new([], #{}).

-spec new(py:kwargs(), py:options()) -> {ok, t()} | {error, py:reason()}.
new(Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Fine.Limit">>, [], Kwargs, [value], Options).

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
