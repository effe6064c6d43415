%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 745f5d7828d6711d
%% body: 5e7337d82c48cc86
%% @doc Python class `gen_fixture.objects.Color', an enumeration: each member is a function that gives its handle.
%% <pre>
%% Of paint.
%% </pre>
%%
%% Source: `gen_fixture/objects.py:145'
-module(fx_gen_fixture_objects_color).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([red/0, red/1]).
-export([green/0, green/1]).
-export([name/1, name/2]).
-export([value/1, value/2]).
-export([lower/1, lower/3]).
-export_type([t/0]).

-type t() :: py:ref().

%% @doc <pre>
%% Color(value, /)
%% </pre>
%% Source: `gen_fixture/objects.py:145'
-spec new(term()) -> {ok, t()} | {error, py:reason()}.
new(Value) ->
    new(Value, [], #{}).

-spec new(term(), [], py:options()) -> {ok, t()} | {error, py:reason()}.
new(Value, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Color">>, [Value], Kwargs, [], Options).

-spec red() -> {ok, t()} | {error, py:reason()}.
red() ->
    red(#{}).

-spec red(py:options()) -> {ok, t()} | {error, py:reason()}.
red(Options) ->
    py_wrapper:member(<<"gen_fixture.objects">>, <<"Color.RED">>, Options).

-spec green() -> {ok, t()} | {error, py:reason()}.
green() ->
    green(#{}).

-spec green(py:options()) -> {ok, t()} | {error, py:reason()}.
green(Options) ->
    py_wrapper:member(<<"gen_fixture.objects">>, <<"Color.green">>, Options).

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

%% @doc <pre>
%% lower() -&gt; str
%% </pre>
%% Source: `gen_fixture/objects.py:151'
-spec lower(t()) -> {ok, binary()} | {error, py:reason()}.
lower(Self) ->
    lower(Self, [], #{}).

-spec lower(t(), [], py:options()) -> {ok, binary()} | {error, py:reason()}.
lower(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"lower">>, [], Kwargs, [], Options).
