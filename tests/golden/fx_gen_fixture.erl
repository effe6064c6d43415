%% Made by `py_gen gen_fixture --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 462ede58daac6db2
%% body: ad757540d28542e7
%% @doc Python module `gen_fixture'.
%% <pre>
%% Every shape of function that wrappers are made of.
%%
%% Text that is awkward elsewhere: &#96;back&#96; quotes, "quotes", \n, #{no}, &lt;tag&gt; &amp; @doc.
%% </pre>
%% Exceptions: FixtureError.
%%
%% Source: `gen_fixture/__init__.py'
-module(fx_gen_fixture).

-compile(no_auto_import).
-export([letters/0, letters/1]).
-export([limit/0, limit/1]).
-export([shout/1, shout/3]).
-export([acount/1, acount/3]).
-export([anything/0, anything/2]).
-export([cached/0, cached/2]).
-export([count/1, count/3]).
-export([defaults/1, defaults/3]).
-export([endless/0, endless/2]).
-export([everything/4]).
-export([fails/0, fails/2]).
-export([formatted/1, formatted/3]).
-export([hidden/4]).
-export([keyword_only/2]).
-export([later/1, later/3]).
-export([lazy/0, lazy/1]).
-export([managed/1, managed/3]).
-export([names/5, names/7]).
-export([positional/1, positional/3]).
-export([quoted/0, quoted/2]).
-export([required/2, required/4]).
-export([star/2, star/4]).
-export([star_after_default/2, star_after_default/4]).

-spec letters() -> {ok, tuple()} | {error, py:reason()}.
letters() ->
    letters(#{}).

-spec letters(py:options()) -> {ok, tuple()} | {error, py:reason()}.
letters(Options) ->
    py_wrapper:value(<<"gen_fixture">>, <<"LETTERS">>, Options).

-spec limit() -> {ok, integer()} | {error, py:reason()}.
limit() ->
    limit(#{}).

-spec limit(py:options()) -> {ok, integer()} | {error, py:reason()}.
limit(Options) ->
    py_wrapper:value(<<"gen_fixture">>, <<"LIMIT">>, Options).

%% @doc <pre>
%% Shout(text)
%% </pre>
%% Source: `gen_fixture/__init__.py:78'
-spec shout(term()) -> py:result().
shout(Text) ->
    shout(Text, [], #{}).

-spec shout(term(), [], py:options()) -> py:result().
shout(Text, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"Shout">>, [Text], Kwargs, [], Options).

%% @doc <pre>
%% acount(n)
%%
%% An asynchronous generator.
%% </pre>
%% Source: `gen_fixture/__init__.py:118'
-spec acount(term()) -> {ok, [term()]} | {error, py:reason()}.
acount(N) ->
    acount(N, [], #{}).

-spec acount(term(), [], py:options()) -> {ok, [term()]} | {error, py:reason()}.
acount(N, Kwargs, Options) ->
    py_wrapper:stream(<<"gen_fixture">>, <<"acount">>, [N], Kwargs, [], Options).

%% @doc <pre>
%% anything(**options)
%% </pre>
%% Source: `gen_fixture/__init__.py:60'
-spec anything() -> py:result().
anything() ->
    anything([], #{}).

-spec anything(py:kwargs(), py:options()) -> py:result().
anything(Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"anything">>, [], Kwargs, any, Options).

%% @doc <pre>
%% cached(x=1)
%% </pre>
%% Source: `gen_fixture/__init__.py:82'
-spec cached() -> py:result().
cached() ->
    cached([], #{}).

-spec cached(py:kwargs(), py:options()) -> py:result().
cached(Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"cached">>, [], Kwargs, [x], Options).

%% @doc <pre>
%% count(n, *, step=1)
%%
%% A generator.
%% </pre>
%% Source: `gen_fixture/__init__.py:105'
-spec count(term()) -> {ok, [term()]} | {error, py:reason()}.
count(N) ->
    count(N, [], #{}).

-spec count(term(), py:kwargs(), py:options()) -> {ok, [term()]} | {error, py:reason()}.
count(N, Kwargs, Options) ->
    py_wrapper:stream(<<"gen_fixture">>, <<"count">>, [N], Kwargs, [step], Options).

%% @doc <pre>
%% defaults(a, b=2, *, c=3)
%% </pre>
%% Source: `gen_fixture/__init__.py:38'
-spec defaults(term()) -> py:result().
defaults(A) ->
    defaults(A, [], #{}).

-spec defaults(term(), py:kwargs(), py:options()) -> py:result().
defaults(A, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"defaults">>, [A], Kwargs, [b, c], Options).

%% @doc <pre>
%% endless()
%% </pre>
%% Source: `gen_fixture/__init__.py:111'
-spec endless() -> {ok, [term()]} | {error, py:reason()}.
endless() ->
    endless([], #{}).

-spec endless([], py:options()) -> {ok, [term()]} | {error, py:reason()}.
endless(Kwargs, Options) ->
    py_wrapper:stream(<<"gen_fixture">>, <<"endless">>, [], Kwargs, [], Options).

%% @doc <pre>
%% everything(a, b=1, *args, c, d=4, **more)
%% </pre>
%% Source: `gen_fixture/__init__.py:64'
-spec everything(term(), [term()], py:kwargs(), py:options()) -> py:result().
everything(A, Args, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"everything">>, [A], Kwargs, #{names => [b, c, d], open => true, needed => [c], by_position => [b], rest => Args}, Options).

%% @doc <pre>
%% fails(text='no')
%% </pre>
%% Source: `gen_fixture/__init__.py:93'
-spec fails() -> py:result().
fails() ->
    fails([], #{}).

-spec fails(py:kwargs(), py:options()) -> py:result().
fails(Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"fails">>, [], Kwargs, [text], Options).

%% @doc <pre>
%% formatted(*args, **kwargs)
%%
%% strftime(format[, tuple]) -&gt; string
%%
%% Convert a time tuple to a string according to a format specification.
%% See the library reference manual for formatting codes. When the time tuple
%% is not present, current time as returned by localtime() is used.
%%
%% Commonly used format codes:
%%
%% %Y  Year with century as a decimal number.
%% %m  Month as a decimal number [01,12].
%% %d  Day of the month as a decimal number [01,31].
%% %H  Hour (24-hour clock) as a decimal number [00,23].
%% %M  Minute as a decimal number [00,59].
%% %S  Second as a decimal number [00,61].
%% %z  Time zone offset from UTC.
%% %a  Locale's abbreviated weekday name.
%% %A  Locale's full weekday name.
%% %b  Locale's abbreviated month name.
%% %B  Locale's full month name.
%% %c  Locale's appropriate date and time representation.
%% %I  Hour (12-hour clock) as a decimal number [01,12].
%% %p  Locale's equivalent of either AM or PM.
%%
%% Other codes may be available on your platform.  See documentation for
%% the C library strftime function.
%% </pre>
%% Source: `time'
-spec formatted([term()]) -> py:result().
formatted(Args) ->
    formatted(Args, [], #{}).

-spec formatted([term()], py:kwargs(), py:options()) -> py:result().
formatted(Args, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"formatted">>, Args, Kwargs, any, Options).

%% @doc <pre>
%% hidden(a, _b=1, *rest, _c, _d=4)
%%
%% Private parameters, without some of which others cannot be given.
%% </pre>
%% Source: `gen_fixture/__init__.py:124'
-spec hidden(term(), [term()], py:kwargs(), py:options()) -> py:result().
hidden(A, Rest, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"hidden">>, [A], Kwargs, #{names => ['_b', '_c'], needed => ['_c'], by_position => ['_b'], rest => Rest}, Options).

%% @doc <pre>
%% keyword_only(*, key, other=None)
%% </pre>
%% Source: `gen_fixture/__init__.py:47'
-spec keyword_only(py:kwargs(), py:options()) -> py:result().
keyword_only(Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"keyword_only">>, [], Kwargs, #{names => [key, other], needed => [key]}, Options).

%% @doc <pre>
%% later(x, *, add=0)
%%
%% Awaited.
%% </pre>
%% Source: `gen_fixture/__init__.py:97'
-spec later(term()) -> py:result().
later(X) ->
    later(X, [], #{}).

-spec later(term(), py:kwargs(), py:options()) -> py:result().
later(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"later">>, [X], Kwargs, [add], Options).

-spec lazy() -> {ok, py:ref()} | {error, py:reason()}.
lazy() ->
    lazy(#{}).

-spec lazy(py:options()) -> {ok, py:ref()} | {error, py:reason()}.
lazy(Options) ->
    py_wrapper:value(<<"gen_fixture">>, <<"lazy">>, Options).

%% @doc <pre>
%% managed(value)
%%
%% Is no generator for those who call it.
%% </pre>
%% Source: `gen_fixture/__init__.py:87'
-spec managed(term()) -> py:result().
managed(Value) ->
    managed(Value, [], #{}).

-spec managed(term(), [], py:options()) -> py:result().
managed(Value, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"managed">>, [Value], Kwargs, [], Options).

%% @doc <pre>
%% names(fn, N, opts, self, _end, *, when=None)
%%
%% Parameters whose names mean something elsewhere.
%% </pre>
%% Source: `gen_fixture/__init__.py:68'
-spec names(term(), term(), term(), term(), term()) -> py:result().
names(Fn, N, Opts, Self_, End) ->
    names(Fn, N, Opts, Self_, End, [], #{}).

-spec names(term(), term(), term(), term(), term(), py:kwargs(), py:options()) -> py:result().
names(Fn, N, Opts, Self_, End, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"names">>, [Fn, N, Opts, Self_, End], Kwargs, ['when'], Options).

%% @doc <pre>
%% positional(a, b=2, c=3, /)
%%
%% All by position.
%% </pre>
%% Source: `gen_fixture/__init__.py:42'
-spec positional(term()) -> py:result().
positional(A) ->
    positional(A, [], #{}).

-spec positional(term(), py:kwargs(), py:options()) -> py:result().
positional(A, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"positional">>, [A], Kwargs, #{names => [b, c], by_position => [b, c], only => [b, c]}, Options).

%% @doc <pre>
%% quoted()
%%
%% Has """quotes""" and a \ backslash, #{not} interpolated.
%% </pre>
%% Source: `gen_fixture/__init__.py:73'
-spec quoted() -> py:result().
quoted() ->
    quoted([], #{}).

-spec quoted([], py:options()) -> py:result().
quoted(Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"quoted">>, [], Kwargs, [], Options).

%% @doc <pre>
%% required(a, b)
%%
%% Both are needed.
%% </pre>
%% Source: `gen_fixture/__init__.py:33'
-spec required(term(), term()) -> py:result().
required(A, B) ->
    required(A, B, [], #{}).

-spec required(term(), term(), [], py:options()) -> py:result().
required(A, B, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"required">>, [A, B], Kwargs, [], Options).

%% @doc <pre>
%% star(first, *rest, sep='-')
%%
%% Joins.
%% </pre>
%% Source: `gen_fixture/__init__.py:51'
-spec star(term(), [term()]) -> py:result().
star(First, Rest) ->
    star(First, Rest, [], #{}).

-spec star(term(), [term()], py:kwargs(), py:options()) -> py:result().
star(First, Rest, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"star">>, [First | Rest], Kwargs, [sep], Options).

%% @doc <pre>
%% star_after_default(a, b=1, *rest)
%% </pre>
%% Source: `gen_fixture/__init__.py:56'
-spec star_after_default(term(), [term()]) -> py:result().
star_after_default(A, Rest) ->
    star_after_default(A, Rest, [], #{}).

-spec star_after_default(term(), [term()], py:kwargs(), py:options()) -> py:result().
star_after_default(A, Rest, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture">>, <<"star_after_default">>, [A], Kwargs, #{names => [b], by_position => [b], rest => Rest}, Options).
