%% Made by `py_gen gen_fixture.objects --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: ca65cb8b4eb78ed0
%% body: 6f3e3d41e1f4a53a
%% @doc Python class `gen_fixture.objects.Fine': `new' gives a handle, which the other functions take.
%% <pre>
%% Has a nested class in place of that of its base.
%% </pre>
%%
%% Source: `gen_fixture/objects.py:114'
-module(fx_gen_fixture_objects_fine).

-compile(no_auto_import).
-export([new/0, new/2]).
-export([call/2, call/4]).
-export([contains/2, contains/3]).
-export([getitem/2, getitem/3]).
-export([iter/1, iter/2]).
-export([len/1, len/2]).
-export([add/1, add/3]).
-export([another/1, another/3]).
-export([aupto/2, aupto/4]).
-export([fallback/1, fallback/2]).
-export([favourite/1, favourite/2]).
-export([fixed/1, fixed/2]).
-export([from_text/1, from_text/3]).
-export([increment/1, increment/3]).
-export([inherited/1, inherited/3]).
-export([kind/1, kind/2]).
-export([later/1, later/3]).
-export([limit/1, limit/2]).
-export([set_limit/2, set_limit/3]).
-export([made_by/1, made_by/2]).
-export([set_made_by/2, set_made_by/3]).
-export([overridden/1, overridden/3]).
-export([total/2, total/4]).
-export([upto/2, upto/4]).
-export([value/1, value/2]).
-export([set_value/2, set_value/3]).
-export_type([t/0, new_kwargs/0, add_kwargs/0, from_text_kwargs/0, increment_kwargs/0]).

-type t() :: py:ref().

-type new_kwargs() :: [
    {start, integer()}
    | {step, integer()}
].

-type add_kwargs() :: [
    {b, integer()}
].

-type from_text_kwargs() :: [
    {step, integer()}
].

-type increment_kwargs() :: [
    {times, integer()}
].

%% @doc <pre>
%% Fine(start: int = 0, *, step: int = 1)
%% </pre>
%% Source: `gen_fixture/objects.py:114'
-spec new() -> {ok, t()} | {error, py:reason()}.
new() ->
    new([], #{}).

-spec new(new_kwargs(), py:options()) -> {ok, t()} | {error, py:reason()}.
new(Kwargs, Options) ->
    py_wrapper:new(<<"gen_fixture.objects">>, <<"Fine">>, [], Kwargs, [start, step], Options).

%% @doc <pre>
%% __call__(x)
%% </pre>
%% Source: `gen_fixture/objects.py:93'
-spec call(t(), term()) -> py:result().
call(Self, X) ->
    call(Self, X, [], #{}).

-spec call(t(), term(), [], py:options()) -> py:result().
call(Self, X, Kwargs, Options) ->
    py_wrapper:method(Self, <<"__call__">>, [X], Kwargs, [], Options).

%% @doc <pre>
%% __contains__(x)
%% </pre>
%% Source: `gen_fixture/objects.py:102'
-spec contains(t(), term()) -> py:result().
contains(Self, X) ->
    contains(Self, X, #{}).

-spec contains(t(), term(), py:options()) -> py:result().
contains(Self, X, Options) ->
    py_wrapper:method(Self, <<"__contains__">>, [X], [], [], Options).

%% @doc <pre>
%% __getitem__(index)
%% </pre>
%% Source: `gen_fixture/objects.py:99'
-spec getitem(t(), term()) -> py:result().
getitem(Self, Index) ->
    getitem(Self, Index, #{}).

-spec getitem(t(), term(), py:options()) -> py:result().
getitem(Self, Index, Options) ->
    py_wrapper:method(Self, <<"__getitem__">>, [Index], [], [], Options).

%% @doc <pre>
%% __iter__()
%% </pre>
%% Source: `gen_fixture/objects.py:105'
-spec iter(t()) -> {ok, [term()]} | {error, py:reason()}.
iter(Self) ->
    iter(Self, #{}).

-spec iter(t(), py:options()) -> {ok, [term()]} | {error, py:reason()}.
iter(Self, Options) ->
    py_wrapper:method_stream(Self, <<"__iter__">>, [], [], [], Options).

%% @doc <pre>
%% __len__()
%% </pre>
%% Source: `gen_fixture/objects.py:96'
-spec len(t()) -> py:result().
len(Self) ->
    len(Self, #{}).

-spec len(t(), py:options()) -> py:result().
len(Self, Options) ->
    py_wrapper:method(Self, <<"__len__">>, [], [], [], Options).

%% @doc <pre>
%% add(a: int, b: int = 1) -&gt; int
%% </pre>
%% Source: `gen_fixture/objects.py:74'
-spec add(integer()) -> {ok, integer()} | {error, py:reason()}.
add(A) ->
    add(A, [], #{}).

-spec add(integer(), add_kwargs(), py:options()) -> {ok, integer()} | {error, py:reason()}.
add(A, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"Fine.add">>, [A], Kwargs, [b], Options).

%% @doc <pre>
%% another() -&gt; Counter
%% </pre>
%% Source: `gen_fixture/objects.py:53'
-spec another(t()) -> {ok, fx_gen_fixture_objects_counter:t()} | {error, py:reason()}.
another(Self) ->
    another(Self, [], #{}).

-spec another(t(), [], py:options()) -> {ok, fx_gen_fixture_objects_counter:t()} | {error, py:reason()}.
another(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"another">>, [], Kwargs, [], Options).

%% @doc <pre>
%% aupto(n)
%% </pre>
%% Source: `gen_fixture/objects.py:86'
-spec aupto(t(), term()) -> {ok, [term()]} | {error, py:reason()}.
aupto(Self, N) ->
    aupto(Self, N, [], #{}).

-spec aupto(t(), term(), [], py:options()) -> {ok, [term()]} | {error, py:reason()}.
aupto(Self, N, Kwargs, Options) ->
    py_wrapper:method_stream(Self, <<"aupto">>, [N], Kwargs, [], Options).

-spec fallback(t()) -> {ok, py:ref()} | {error, py:reason()}.
fallback(Self) ->
    fallback(Self, #{}).

-spec fallback(t(), py:options()) -> {ok, py:ref()} | {error, py:reason()}.
fallback(Self, Options) ->
    py_wrapper:get(Self, <<"fallback">>, Options).

-spec favourite(t()) -> {ok, py:ref()} | {error, py:reason()}.
favourite(Self) ->
    favourite(Self, #{}).

-spec favourite(t(), py:options()) -> {ok, py:ref()} | {error, py:reason()}.
favourite(Self, Options) ->
    py_wrapper:get(Self, <<"favourite">>, Options).

%% @doc Source: `gen_fixture/objects.py:65'
-spec fixed(t()) -> py:result().
fixed(Self) ->
    fixed(Self, #{}).

-spec fixed(t(), py:options()) -> py:result().
fixed(Self, Options) ->
    py_wrapper:get(Self, <<"fixed">>, Options).

%% @doc <pre>
%% from_text(text: str, *, step: int = 1) -&gt; Counter
%%
%% Another way to make one.
%% </pre>
%% Source: `gen_fixture/objects.py:69'
-spec from_text(
    binary() | {str, unicode:chardata()}
) -> {ok, fx_gen_fixture_objects_counter:t()} | {error, py:reason()}.
from_text(Text) ->
    from_text(Text, [], #{}).

-spec from_text(
    binary() | {str, unicode:chardata()},
    from_text_kwargs(),
    py:options()
) -> {ok, fx_gen_fixture_objects_counter:t()} | {error, py:reason()}.
from_text(Text, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.objects">>, <<"Fine.from_text">>, [Text], Kwargs, [step], Options).

%% @doc <pre>
%% increment(times: int = 1) -&gt; int
%%
%% Adds.
%% </pre>
%% Source: `gen_fixture/objects.py:45'
-spec increment(t()) -> {ok, integer()} | {error, py:reason()}.
increment(Self) ->
    increment(Self, [], #{}).

-spec increment(t(), increment_kwargs(), py:options()) -> {ok, integer()} | {error, py:reason()}.
increment(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"increment">>, [], Kwargs, [times], Options).

%% @doc <pre>
%% inherited()
%% </pre>
%% Source: `gen_fixture/objects.py:16'
-spec inherited(t()) -> py:result().
inherited(Self) ->
    inherited(Self, [], #{}).

-spec inherited(t(), [], py:options()) -> py:result().
inherited(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"inherited">>, [], Kwargs, [], Options).

-spec kind(t()) -> {ok, binary()} | {error, py:reason()}.
kind(Self) ->
    kind(Self, #{}).

-spec kind(t(), py:options()) -> {ok, binary()} | {error, py:reason()}.
kind(Self, Options) ->
    py_wrapper:get(Self, <<"kind">>, Options).

%% @doc <pre>
%% later(add=0) -&gt; int
%% </pre>
%% Source: `gen_fixture/objects.py:78'
-spec later(t()) -> {ok, integer()} | {error, py:reason()}.
later(Self) ->
    later(Self, [], #{}).

-spec later(t(), py:kwargs(), py:options()) -> {ok, integer()} | {error, py:reason()}.
later(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"later">>, [], Kwargs, [add], Options).

-spec limit(t()) -> {ok, integer()} | {error, py:reason()}.
limit(Self) ->
    limit(Self, #{}).

-spec limit(t(), py:options()) -> {ok, integer()} | {error, py:reason()}.
limit(Self, Options) ->
    py_wrapper:get(Self, <<"limit">>, Options).

-spec set_limit(t(), integer()) -> ok | {error, py:reason()}.
set_limit(Self, Value) ->
    set_limit(Self, Value, #{}).

-spec set_limit(t(), integer(), py:options()) -> ok | {error, py:reason()}.
set_limit(Self, Value, Options) ->
    py_wrapper:set(Self, <<"limit">>, Value, Options).

-spec made_by(t()) -> {ok, binary() | none} | {error, py:reason()}.
made_by(Self) ->
    made_by(Self, #{}).

-spec made_by(t(), py:options()) -> {ok, binary() | none} | {error, py:reason()}.
made_by(Self, Options) ->
    py_wrapper:get(Self, <<"made_by">>, Options).

-spec set_made_by(t(), binary() | {str, unicode:chardata()} | none) -> ok | {error, py:reason()}.
set_made_by(Self, Value) ->
    set_made_by(Self, Value, #{}).

-spec set_made_by(t(), binary() | {str, unicode:chardata()} | none, py:options()) -> ok | {error, py:reason()}.
set_made_by(Self, Value, Options) ->
    py_wrapper:set(Self, <<"made_by">>, Value, Options).

%% @doc <pre>
%% overridden()
%% </pre>
%% Source: `gen_fixture/objects.py:50'
-spec overridden(t()) -> py:result().
overridden(Self) ->
    overridden(Self, [], #{}).

-spec overridden(t(), [], py:options()) -> py:result().
overridden(Self, Kwargs, Options) ->
    py_wrapper:method(Self, <<"overridden">>, [], Kwargs, [], Options).

%% @doc <pre>
%% total(*numbers, start=0)
%% </pre>
%% Source: `gen_fixture/objects.py:90'
-spec total(t(), [term()]) -> py:result().
total(Self, Numbers) ->
    total(Self, Numbers, [], #{}).

-spec total(t(), [term()], py:kwargs(), py:options()) -> py:result().
total(Self, Numbers, Kwargs, Options) ->
    py_wrapper:method(Self, <<"total">>, Numbers, Kwargs, [start], Options).

%% @doc <pre>
%% upto(n, *, step=1)
%%
%% A generator.
%% </pre>
%% Source: `gen_fixture/objects.py:82'
-spec upto(t(), term()) -> {ok, [term()]} | {error, py:reason()}.
upto(Self, N) ->
    upto(Self, N, [], #{}).

-spec upto(t(), term(), py:kwargs(), py:options()) -> {ok, [term()]} | {error, py:reason()}.
upto(Self, N, Kwargs, Options) ->
    py_wrapper:method_stream(Self, <<"upto">>, [N], Kwargs, [step], Options).

%% @doc <pre>
%% The count.
%% </pre>
%% Source: `gen_fixture/objects.py:56'
-spec value(t()) -> {ok, integer()} | {error, py:reason()}.
value(Self) ->
    value(Self, #{}).

-spec value(t(), py:options()) -> {ok, integer()} | {error, py:reason()}.
value(Self, Options) ->
    py_wrapper:get(Self, <<"value">>, Options).

-spec set_value(t(), integer()) -> ok | {error, py:reason()}.
set_value(Self, Value) ->
    set_value(Self, Value, #{}).

-spec set_value(t(), integer(), py:options()) -> ok | {error, py:reason()}.
set_value(Self, Value, Options) ->
    py_wrapper:set(Self, <<"value">>, Value, Options).
