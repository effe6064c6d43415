%% Made by `py_gen gen_fixture.typed --prefix fx` (1) from gen_fixture; not to be edited.
%% surface: 867d6efb33abeec4
%% body: cb0b8c162ca4b0d7
%% @doc Python module `gen_fixture.typed'.
%% <pre>
%% Has a stub beside it.
%% </pre>
%%
%% Source: `gen_fixture/typed.py'
-module(fx_gen_fixture_typed).

-compile(no_auto_import).
-export([formatted/1, formatted/3]).
-export([plain/1, plain/3]).
-export([twice/1, twice/3]).
-export_type([twice_kwargs/0]).

-type twice_kwargs() :: [
    {times, integer()}
].

%% @doc <pre>
%% formatted(format: str, /) -&gt; str
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
-spec formatted(binary() | {str, unicode:chardata()}) -> {ok, binary()} | {error, py:reason()}.
formatted(Format) ->
    formatted(Format, [], #{}).

-spec formatted(binary() | {str, unicode:chardata()}, [], py:options()) -> {ok, binary()} | {error, py:reason()}.
formatted(Format, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.typed">>, <<"formatted">>, [Format], Kwargs, [], Options).

%% @doc <pre>
%% plain(x: list[int] | None, y=None) -&gt; list[int] | None
%% </pre>
%% Source: `gen_fixture/typed.py:12'
-spec plain([integer()] | py:ref() | none) -> {ok, [integer()] | none} | {error, py:reason()}.
plain(X) ->
    plain(X, [], #{}).

-spec plain(
    [integer()] | py:ref() | none,
    py:kwargs(),
    py:options()
) -> {ok, [integer()] | none} | {error, py:reason()}.
plain(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.typed">>, <<"plain">>, [X], Kwargs, [y], Options).

%% @doc <pre>
%% twice(x: str, times: int = 2) -&gt; str
%% </pre>
%% Source: `gen_fixture/typed.py:8'
-spec twice(binary() | {str, unicode:chardata()}) -> {ok, binary()} | {error, py:reason()}.
twice(X) ->
    twice(X, [], #{}).

-spec twice(
    binary() | {str, unicode:chardata()},
    twice_kwargs(),
    py:options()
) -> {ok, binary()} | {error, py:reason()}.
twice(X, Kwargs, Options) ->
    py_wrapper:call(<<"gen_fixture.typed">>, <<"twice">>, [X], Kwargs, [times], Options).
