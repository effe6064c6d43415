%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 4c6cc625d3a28ad6
%% body: fecc01d5ebcf42de
%% @doc Python class `gen_fixture.objects.Slotted': `new' gives a handle, which the other functions take.
%%
%% Source: `gen_fixture/objects.py:121'
-module(fx_gen_fixture_objects_slotted).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([x/1, x/2]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Slotted(x)
%% </pre>
%% Source: `gen_fixture/objects.py:121'
-spec new(term()) -> {ok, t()} | {error, py:reason()}.
new(X) ->
    new(X, [], #{}).

-spec new(term(), [], py:options()) -> {ok, t()} | {error, py:reason()}.
new(X, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Slotted">>, [X], Kwargs, [], Options).

%% @doc Source: `gen_fixture.objects'
-spec x(t()) -> py:result().
x(Self) ->
    x(Self, #{}).

-spec x(t(), py:options()) -> py:result().
x(Self, Options) ->
    py_wrapper:get(Self, <<"x">>, Options).
