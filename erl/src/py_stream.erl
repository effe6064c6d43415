%% @doc Streams: the items of a Python iterator, one message each.
%%
%% The native layer counts what the consumer has taken and grants the worker as much again, so that at most `credit' items
%% are ahead of it; without credit the generator stands still and holds no executor.
-module(py_stream).

-export([collect/2, start/2, next/1, credit/2]).

-export_type([options/0]).

-type credit() :: pos_integer() | infinity.
-type options() :: py_options:options() | #{credit => credit(), atom() => term()}.
%% Those of a call, and `credit'.

-define(CREDIT, 16).
%% Ahead of a process that collects all items anyway.
-define(COLLECT, 1024).
%% More than anybody can take.
-define(MAX_CREDIT, 1 bsl 62).
%% A reader thread decodes and sends an end in microseconds, unless its reason is large.
-define(DELIVERY_LOOK, 1).

%% @doc All items, as a list. The timeout bounds the whole.
-spec collect(py_nif:request(), py:options()) -> {ok, [term()]} | {error, py:reason()}.
collect(Request, Options) ->
    case py_options:parse(Options) of
        {ok, {Timeout, _, _} = Parsed} ->
            Deadline = py_deadline:at(Timeout),
            case py_route:stream(Request, ?COLLECT, Parsed) of
                {ok, Ref} -> collect(Ref, Deadline, 1, []);
                {error, _} = Error -> Error
            end;
        {error, _} = Error ->
            Error
    end.

-spec collect(reference(), py_deadline:moment(), pos_integer(), [term()]) -> {ok, [term()]} | {error, py:reason()}.
collect(Ref, Deadline, N, Items) ->
    receive
        {py_chunk, Ref, Item} ->
            _ = N rem (?COLLECT div 2) =:= 0 andalso py_nif:stream_credit(Ref, ?COLLECT div 2),
            collect(Ref, Deadline, N + 1, [Item | Items]);
        {py_end, Ref} ->
            {ok, lists:reverse(Items)};
        {py_error, Ref, Reason} ->
            {error, Reason}
    after py_deadline:left(Deadline) ->
        ok = py_request:cancel(Ref),
        {error, timeout}
    end.

%% @doc Starts a stream. Without a timeout among the options it has no deadline.
-spec start(py_nif:request(), options()) -> {ok, reference()} | {error, py:reason()}.
start(Request, Options) ->
    case options(Options) of
        {ok, Credit, {Timeout, _, _} = Parsed} ->
            Deadline = py_deadline:at(Timeout),
            case py_route:stream(Request, Credit, Parsed) of
                {ok, Ref} when is_integer(Deadline) ->
                    ok = py_deadline:set(Ref, py_deadline:left(Deadline)),
                    {ok, Ref};
                Result ->
                    Result
            end;
        {error, _} = Error ->
            Error
    end.

-spec options(options()) -> {ok, credit(), py_options:parsed()} | {error, py:reason()}.
options(#{credit := Credit}) when Credit =/= infinity, not (is_integer(Credit) andalso Credit > 0) ->
    {error, {bad_option, credit}};
options(Options) when is_map(Options) ->
    parsed(limited(maps:get(credit, Options, ?CREDIT)), maps:merge(#{timeout => infinity}, maps:remove(credit, Options)));
options(Timeout) ->
    parsed(?CREDIT, Timeout).

-spec limited(credit()) -> credit().
limited(infinity) -> infinity;
limited(Credit) -> min(Credit, ?MAX_CREDIT).

-spec parsed(credit(), py:options()) -> {ok, credit(), py_options:parsed()} | {error, py:reason()}.
parsed(Credit, Options) ->
    case py_options:parse(Options) of
        {ok, Parsed} -> {ok, Credit, Parsed};
        {error, _} = Error -> Error
    end.

%% @doc The next item of a stream of the calling process.
-spec next(reference()) -> {ok, term()} | done | {error, py:reason()}.
next(Ref) ->
    Rest = rest(Ref),
    receive
        {py_chunk, Ref, Item} ->
            _ = py_nif:stream_took(Ref),
            {ok, Item};
        {py_end, Ref} ->
            done;
        {py_error, Ref, Reason} ->
            {error, Reason}
    after case Rest of to_come -> infinity; being_sent -> ?DELIVERY_LOOK; nothing -> 0 end ->
        case Rest of
            being_sent -> next(Ref);
            nothing -> done
        end
    end.

%% What is still to come of a stream. What came before is in the mailbox.
-spec rest(reference()) -> to_come | being_sent | nothing.
rest(Ref) ->
    try
        py_nif:stream_rest(Ref)
    catch
        error:badarg -> nothing
    end.

%% @doc Grants credit to a stream; one that has ended is left alone.
-spec credit(reference(), credit()) -> ok | {error, {badarg, ref | credit}}.
credit(Ref, _Items) when not is_reference(Ref) ->
    {error, {badarg, ref}};
credit(Ref, Items) when Items =:= infinity; is_integer(Items), Items > 0 ->
    try py_nif:stream_credit(Ref, limited(Items)) of
        _ -> ok
    catch
        %% The reference of something else.
        error:badarg -> {error, {badarg, ref}}
    end;
credit(_Ref, _Items) ->
    {error, {badarg, credit}}.
