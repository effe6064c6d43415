%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: b11ff9f6c15b7f53
%% body: 7ba4865a93b63a15
%% @doc Python class `gen_fixture.objects.Frozen': `new' gives a handle, which the other functions take.
%%
%% Source: `gen_fixture/objects.py:140'
-module(fx_gen_fixture_objects_frozen).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([to_map/1, to_map/2]).
-export([name/1, name/2]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Frozen(name: str)
%% </pre>
%% Source: `gen_fixture/objects.py:140'
-spec new(binary() | {str, unicode:chardata()}) -> {ok, t()} | {error, py:reason()}.
new(Name) ->
    new(Name, [], #{}).

-spec new(binary() | {str, unicode:chardata()}, [], py:options()) -> {ok, t()} | {error, py:reason()}.
new(Name, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Frozen">>, [Name], Kwargs, [], Options).

-spec to_map(t()) -> {ok, #{binary() => binary()}} | {error, py:reason()}.
to_map(Self) ->
    to_map(Self, #{}).

-spec to_map(t(), py:options()) -> {ok, #{binary() => binary()}} | {error, py:reason()}.
to_map(Self, Options) ->
    py_wrapper:as_map(Self, Options).

-spec name(t()) -> {ok, binary()} | {error, py:reason()}.
name(Self) ->
    name(Self, #{}).

-spec name(t(), py:options()) -> {ok, binary()} | {error, py:reason()}.
name(Self, Options) ->
    py_wrapper:get(Self, <<"name">>, Options).
