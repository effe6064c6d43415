%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: b479b6a53ca3ac4c
%% body: 1d3013efbe0875cc
%% @doc Python class `gen_fixture.objects.Point': `new' gives a handle, which the other functions take.
%% <pre>
%% A point.
%% </pre>
%%
%% Source: `gen_fixture/objects.py:128'
-module(fx_gen_fixture_objects_point).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([to_map/1, to_map/2]).
-export([norm/1, norm/3]).
-export([tags/1, tags/2]).
-export([set_tags/2, set_tags/3]).
-export([x/1, x/2]).
-export([set_x/2, set_x/3]).
-export([y/1, y/2]).
-export([set_y/2, set_y/3]).
-export_type([t/0, new_kwargs/0]).

-type t() :: py:ref().

-type new_kwargs() :: [
    {y, integer()}
    | {tags, [binary() | {str, unicode:chardata()}] | py:ref()}
].

%% @doc <pre>
%% Point(x: int, y: int = 0, tags: list[str] = &lt;factory&gt;)
%% </pre>
%% Source: `gen_fixture/objects.py:128'
-spec new(integer()) -> {ok, t()} | {error, py:reason()}.
new(X) ->
    new(X, [], #{}).

-spec new(integer(), new_kwargs(), py:options()) -> {ok, t()} | {error, py:reason()}.
new(X, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Point">>, [X], Kwargs, [y, tags], Options).

-spec to_map(t()) -> {ok, #{binary() => integer() | [binary()]}} | {error, py:reason()}.
to_map(Self) ->
    to_map(Self, #{}).

-spec to_map(t(), py:options()) -> {ok, #{binary() => integer() | [binary()]}} | {error, py:reason()}.
to_map(Self, Options) ->
    py_wrapper:as_map(Self, Options).

%% @doc <pre>
%% norm() -&gt; float
%% </pre>
%% Source: `gen_fixture/objects.py:136'
-spec norm(t()) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
norm(Self) ->
    norm(Self, [], #{}).

-spec norm(t(), [], py:options()) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
norm(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"norm">>, [], Kwargs, [], Options).

-spec tags(t()) -> {ok, [binary()]} | {error, py:reason()}.
tags(Self) ->
    tags(Self, #{}).

-spec tags(t(), py:options()) -> {ok, [binary()]} | {error, py:reason()}.
tags(Self, Options) ->
    py_wrapper:get(Self, <<"tags">>, Options).

-spec set_tags(t(), [binary() | {str, unicode:chardata()}] | py:ref()) -> ok | {error, py:reason()}.
set_tags(Self, Value) ->
    set_tags(Self, Value, #{}).

-spec set_tags(t(), [binary() | {str, unicode:chardata()}] | py:ref(), py:options()) -> ok | {error, py:reason()}.
set_tags(Self, Value, Options) ->
    py_wrapper:set(Self, <<"tags">>, Value, Options).

-spec x(t()) -> {ok, integer()} | {error, py:reason()}.
x(Self) ->
    x(Self, #{}).

-spec x(t(), py:options()) -> {ok, integer()} | {error, py:reason()}.
x(Self, Options) ->
    py_wrapper:get(Self, <<"x">>, Options).

-spec set_x(t(), integer()) -> ok | {error, py:reason()}.
set_x(Self, Value) ->
    set_x(Self, Value, #{}).

-spec set_x(t(), integer(), py:options()) -> ok | {error, py:reason()}.
set_x(Self, Value, Options) ->
    py_wrapper:set(Self, <<"x">>, Value, Options).

-spec y(t()) -> {ok, integer()} | {error, py:reason()}.
y(Self) ->
    y(Self, #{}).

-spec y(t(), py:options()) -> {ok, integer()} | {error, py:reason()}.
y(Self, Options) ->
    py_wrapper:get(Self, <<"y">>, Options).

-spec set_y(t(), integer()) -> ok | {error, py:reason()}.
set_y(Self, Value) ->
    set_y(Self, Value, #{}).

-spec set_y(t(), integer(), py:options()) -> ok | {error, py:reason()}.
set_y(Self, Value, Options) ->
    py_wrapper:set(Self, <<"y">>, Value, Options).
