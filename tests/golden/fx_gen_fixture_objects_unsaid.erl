%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 36783d679d421167
%% body: 1f7c1601003b8956
%% @doc Python class `gen_fixture.objects.Unsaid': `new' gives a handle, which the other functions take.
%% <pre>
%% What it takes cannot be told.
%% </pre>
%%
%% Source: `gen_fixture/objects.py:164'
-module(fx_gen_fixture_objects_unsaid).

-compile(no_auto_import).
-export([new/0, new/2]).
-export([call/2, call/4]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Unsaid()
%% </pre>
%% Source: `gen_fixture/objects.py:164'
-spec new() -> {ok, t()} | {error, py:reason()}.
new() ->
    new([], #{}).

-spec new([], py:options()) -> {ok, t()} | {error, py:reason()}.
new(Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Unsaid">>, [], Kwargs, [], Options).

%% @doc <pre>
%% __call__(*args)
%% </pre>
%% Source: `gen_fixture/objects.py:171'
-spec call(t(), [term()]) -> py:result().
call(Self, Args) ->
    call(Self, Args, [], #{}).

-spec call(t(), [term()], [], py:options()) -> py:result().
call(Self, Args, Kwargs, Options) ->
    py_wrapper:method(Self, <<"__call__">>, Args, Kwargs, [], Options).
