%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: db774e5befd603d2
%% body: be838cdedc938c60
%% @doc Python class `gen_fixture.objects.Level', an enumeration: each member is a function that gives its handle.
%%
%% Source: `gen_fixture/objects.py:155'
-module(fx_gen_fixture_objects_level).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([low/0, low/1]).
-export([high/0, high/1]).
-export([name/1, name/2]).
-export([value/1, value/2]).
-export_type([t/0, value/0]).

-type t() :: py:ref().

-type value() :: integer().

%% @doc <pre>
%% Level(value, /)
%% </pre>
%% Source: `gen_fixture/objects.py:155'
-spec new(term()) -> {ok, t()} | {error, py:reason()}.
new(Value) ->
    new(Value, [], #{}).

-spec new(term(), [], py:options()) -> {ok, t()} | {error, py:reason()}.
new(Value, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Level">>, [Value], Kwargs, [], Options).

-spec low() -> {ok, t()} | {error, py:reason()}.
low() ->
    low(#{}).

-spec low(py:options()) -> {ok, t()} | {error, py:reason()}.
low(Options) ->
    py_wrapper:member(<<"gen_fixture.objects">>, <<"Level.LOW">>, Options).

-spec high() -> {ok, t()} | {error, py:reason()}.
high() ->
    high(#{}).

-spec high(py:options()) -> {ok, t()} | {error, py:reason()}.
high(Options) ->
    py_wrapper:member(<<"gen_fixture.objects">>, <<"Level.HIGH">>, Options).

-spec name(t()) -> py:result().
name(Self) ->
    name(Self, #{}).

-spec name(t(), py:options()) -> py:result().
name(Self, Options) ->
    py_wrapper:get(Self, <<"name">>, Options).

-spec value(t()) -> py:result().
value(Self) ->
    value(Self, #{}).

-spec value(t(), py:options()) -> py:result().
value(Self, Options) ->
    py_wrapper:get(Self, <<"value">>, Options).
