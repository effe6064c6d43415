%% Made by `py_gen gen_fixture.annotated --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: c827845c795e9b17
%% body: 36b557989f49c8c9
%% @doc Python class `gen_fixture.annotated.Pair': `new' gives a handle, which the other functions take.
%% <pre>
%% Two.
%% </pre>
%%
%% Source: `gen_fixture/annotated.py:28'
-module(fx_gen_fixture_annotated_pair).

-compile(no_auto_import).
-export([new/1, new/3]).
-export([left/1, left/2]).
-export([right/1, right/2]).
-export_type([t/0, value/0, new_kwargs/0]).

-type t() :: py:ref().

-type value() :: {integer(), float() | nan | infinity | neg_infinity}.

-type new_kwargs() :: [
    {right, number()}
].

%% @doc <pre>
%% Pair(left: int, right: float = 0.5)
%% </pre>
%% Source: `gen_fixture/annotated.py:28'
-spec new(integer()) -> {ok, t()} | {error, py:reason()}.
new(Left) ->
    new(Left, [], #{}).

-spec new(integer(), new_kwargs(), py:options()) -> {ok, t()} | {error, py:reason()}.
new(Left, Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.annotated">>, <<"Pair">>, [Left], Kwargs, [right], Options).

-spec left(t()) -> {ok, integer()} | {error, py:reason()}.
left(Self) ->
    left(Self, #{}).

-spec left(t(), py:options()) -> {ok, integer()} | {error, py:reason()}.
left(Self, Options) ->
    py_wrapper:get(Self, <<"left">>, Options).

-spec right(t()) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
right(Self) ->
    right(Self, #{}).

-spec right(t(), py:options()) -> {ok, float() | nan | infinity | neg_infinity} | {error, py:reason()}.
right(Self, Options) ->
    py_wrapper:get(Self, <<"right">>, Options).
