%% @doc One request from submission to answer.
%%
%% The caller talks to the native layer itself: no process stands in the path of a request. A request
%% that cannot be published at once waits for `{py_go, Token}', in the order of arrival.
-module(py_request).

-export([sync/4, async/4, async/5, start/5, stream/5, refused/1, cast/3, await/2, cancel/1, interrupt/1, leave/1]).

-define(ASYNC_PATIENCE, 30000).
%% The longest that a receive waits.
-define(MAX_TIMEOUT, 16#ffffffff).
%% A reader thread decodes and sends an answer in microseconds, unless it is large.
-define(DELIVERY_LOOK, 1).

-type result() :: {ok, term()} | {error, term()}.
-type credit() :: pos_integer() | infinity.
-type submission() :: {py_nif:target(), py_nif:request(), py_nif:reply_to(), non_neg_integer()}.

%% @doc Runs a request and waits for its answer. Blocks the calling process for at most `Timeout' ms;
%% the work is cancelled then.
-spec sync(py_nif:target(), py_nif:request(), timeout(), non_neg_integer()) -> result().
sync(Target, Request, Timeout, Flags) ->
    Ref = make_ref(),
    case py_nif:submit(Target, Request, Ref, Flags, 0) of
        {ok, _} = Ok -> Ok;
        {error, _} = Error -> py_call_events:failed(Error, Target, Request);
        {pending, Handle} ->
            receive
                {Ref, Answer} -> told(result(Answer), Target, Request)
            after Timeout ->
                told(give_up(Ref, Handle), Target, Request)
            end;
        Other ->
            Deadline = py_deadline:at(Timeout),
            told(sync_later(Other, Ref, {Target, Request, Ref, Flags}, Deadline), Target, Request)
    end.

%% A failure is an event.
-spec told(result(), py_nif:target(), py_nif:request()) -> result().
told({ok, _} = Ok, _Target, _Request) -> Ok;
told({error, _} = Error, Target, Request) -> py_call_events:failed(Error, Target, Request).

-spec sync_later(py_nif:outcome(), reference(), submission(), py_deadline:moment()) -> result().
sync_later(Outcome, Ref, Submission, Deadline) ->
    case settle(Outcome, 0, Submission, Deadline) of
        {pending, Handle} ->
            receive
                {Ref, Answer} -> result(Answer)
            after py_deadline:left(Deadline) ->
                give_up(Ref, Handle)
            end;
        Result -> Result
    end.

%% A large answer is decoded here: a reader thread would copy it and keep the other answers of its worker waiting.
-spec result(result() | {py_undecoded, py_nif:reply()}) -> result().
result({py_undecoded, Reply}) -> py_nif:decode_reply(Reply);
result(Result) -> Result.

-spec give_up(reference(), py_nif:handle()) -> {error, timeout}.
give_up(Ref, Handle) ->
    case py_nif:cancel(Handle) of
        cancelled -> ok;
        sent -> drop(Ref, Handle)
    end,
    {error, timeout}.

%% The answer was first: it is in the mailbox or about to be.
-spec drop(reference(), py_nif:handle()) -> ok.
drop(Ref, Handle) ->
    Coming = py_nif:in_flight(Handle),
    receive
        {Ref, _} -> ok
    after case Coming of true -> ?DELIVERY_LOOK; false -> 0 end ->
        case Coming of
            true -> drop(Ref, Handle);
            false -> ok
        end
    end.

%% @doc Submits a request whose answer comes as `{py_response, Ref, {ok, V}}' or `{py_error, Ref, Reason}'.
%% A refused submission is answered with a message, too; the second element says what refused it.
-spec async(py_nif:target(), py_nif:request(), timeout(), non_neg_integer()) ->
    {reference(), submitted | {refused, term()}}.
async(Target, Request, Timeout, Flags) ->
    async(Target, Request, py_response, Timeout, Flags).

%% @doc As {@link async/4}; with `py_result' the answer comes as `{py_result, Ref, V}' or `{py_error, Ref, Reason}'.
-spec async(py_nif:target(), py_nif:request(), py_response | py_result, timeout(), non_neg_integer()) ->
    {reference(), submitted | {refused, term()}}.
async(Target, Request, ReplyTo, Timeout, Flags) ->
    Submission = {Target, Request, ReplyTo, Flags},
    Outcome = py_nif:submit(Target, Request, ReplyTo, Flags, 0),
    case settle(Outcome, 0, Submission, py_deadline:at(min(Timeout, ?ASYNC_PATIENCE))) of
        Handle when is_reference(Handle), is_integer(Timeout) ->
            ok = py_deadline:set(Handle, Timeout),
            {Handle, submitted};
        Handle when is_reference(Handle) ->
            {Handle, submitted};
        {ok, _} = Ok ->
            Ref = make_ref(),
            self() ! {py_response, Ref, Ok},
            {Ref, submitted};
        {error, Reason} ->
            {refused(Reason), {refused, Reason}}
    end.

%% @doc Submits a request whose answer comes as a message, and gives up after `Timeout' ms without one. What is
%% refused is not answered.
-spec start(py_nif:target(), py_nif:request(), py_response | py_result, non_neg_integer(), timeout()) ->
    {ok, reference()} | {error, term()}.
start(Target, Request, ReplyTo, Flags, Timeout) ->
    Submission = {Target, Request, ReplyTo, Flags},
    case settle(py_nif:submit(Target, Request, ReplyTo, Flags, 0), 0, Submission, py_deadline:at(Timeout)) of
        Handle when is_reference(Handle) -> {ok, Handle};
        {error, {overloaded, _, _}} -> {error, timeout};
        {error, _} = Error -> Error
    end.

%% @doc Submits a request whose items come as `{py_chunk, Ref, V}', and `{py_end, Ref}' or `{py_error, Ref, Reason}' at the end.
-spec stream(py_nif:target(), py_nif:request(), credit(), timeout(), non_neg_integer()) -> {ok, reference()} | {error, term()}.
stream(Target, Request, Credit, Timeout, Flags0) ->
    Flags = Flags0 bor py_options:no_permit(),
    ReplyTo = {py_stream, Credit},
    Outcome = py_nif:submit(Target, Request, ReplyTo, Flags, 0),
    case settle(Outcome, 0, {Target, Request, ReplyTo, Flags}, py_deadline:at(min(Timeout, ?ASYNC_PATIENCE))) of
        Handle when is_reference(Handle) -> {ok, Handle};
        {error, _} = Error -> Error
    end.

%% @private Answers a reference of its own with an error.
-spec refused(term()) -> reference().
refused(Reason) ->
    Ref = make_ref(),
    self() ! {py_error, Ref, Reason},
    Ref.

%% @doc Submits a request that nobody waits for.
-spec cast(py_nif:target(), py_nif:request(), non_neg_integer()) -> ok | {error, term()}.
cast(Target, Request, Flags0) ->
    Flags = Flags0 bor py_options:no_permit(),
    Outcome = py_nif:submit(Target, Request, cast, Flags, 0),
    case settle(Outcome, 0, {Target, Request, cast, Flags}, py_deadline:at(?ASYNC_PATIENCE)) of
        {error, _} = Error -> Error;
        _ -> ok
    end.

%% @doc Waits for the answer of an asynchronous request; cancels the work after `Timeout' ms.
-spec await(reference(), timeout()) -> result().
await(Ref, _Timeout) when not is_reference(Ref) ->
    {error, {badarg, ref}};
await(_Ref, Timeout) when Timeout =/= infinity, not (is_integer(Timeout) andalso Timeout >= 0 andalso Timeout =< ?MAX_TIMEOUT) ->
    {error, {badarg, timeout}};
await(Ref, Timeout) ->
    receive
        {py_response, Ref, Result} -> Result;
        {py_result, Ref, Value} -> {ok, Value};
        {py_error, Ref, Reason} -> py_call_events:failed({error, Reason})
    after 0 ->
        ok = attend(Ref),
        receive
            {py_response, Ref, Result} -> Result;
            {py_result, Ref, Value} -> {ok, Value};
            {py_error, Ref, Reason} -> py_call_events:failed({error, Reason})
        after Timeout ->
            ok = cancel(Ref),
            py_call_events:failed({error, timeout})
        end
    end.

%% A short wait needs no message from another thread, and no sleep.
-spec attend(reference()) -> ok.
attend(Ref) ->
    try
        py_nif:attend(Ref)
    catch
        %% The reference of a refused submission, or of a web stream.
        error:badarg -> ok
    end.

%% @doc Cancels an asynchronous request of the calling process; nothing of it arrives afterwards.
-spec cancel(reference()) -> ok.
cancel(Ref) ->
    %% The reference of a refused submission is a plain one, with its answer in the mailbox; so is that of a web stream.
    try py_nif:cancel(Ref) of
        cancelled -> ok;
        stream -> flush_items(Ref);
        sent -> flush(Ref, true)
    catch
        error:badarg ->
            ok = py_asgi_stream:cancel(Ref),
            flush(Ref, false)
    end.

%% @doc Raises `erlang.Interrupted' once in a request that runs, or in those that run on a context. A request that waits, or has ended, is left alone.
-spec interrupt(reference() | py_nif:lease()) -> ok | not_running.
interrupt(Ref) ->
    try
        py_nif:interrupt(Ref)
    catch
        error:badarg ->
            case py_nif:is_binding(Ref) of
                true -> py_nif:lease_interrupt(Ref);
                %% The reference of a refused submission.
                false -> not_running
            end
    end.

-spec flush(reference(), boolean()) -> ok.
flush(Ref, Submitted) ->
    Coming = Submitted andalso py_nif:in_flight(Ref),
    receive
        {py_response, Ref, _} -> ok;
        {py_result, Ref, _} -> ok;
        {py_error, Ref, _} -> ok;
        {py_end, Ref} -> ok;
        {py_chunk, Ref, _} -> flush(Ref, Submitted)
    after case Coming of true -> ?DELIVERY_LOOK; false -> 0 end ->
        case Coming of
            true -> flush(Ref, Submitted);
            false -> ok
        end
    end.

-spec flush_items(reference()) -> ok.
flush_items(Ref) ->
    receive
        {py_chunk, Ref, _} -> flush_items(Ref)
    after 0 ->
        ok
    end.

%% Submission until it is published, refused or out of time.

-spec settle(py_nif:outcome(), 0 | py_nif:token(), submission(), py_deadline:moment()) ->
    {ok, term()} | {error, term()} | {pending, py_nif:handle()} | py_nif:handle() | ok.
settle({wait, Token}, _, {Target, Request, ReplyTo, Flags} = Submission, Deadline) ->
    receive
        {py_go, Token} ->
            settle(py_nif:submit(Target, Request, ReplyTo, Flags, Token), Token, Submission, Deadline)
    after py_deadline:left(Deadline) ->
        ok = leave(Token),
        case py_nif:waits_for(Token) of
            permit -> {error, {overloaded, py_nif:permits(), py_nif:max_permits()}};
            room -> {error, timeout}
        end
    end;
settle(large, Token, {Target, Request, ReplyTo, Flags} = Submission, Deadline) ->
    settle(py_nif:submit_dirty(Target, Request, ReplyTo, Flags, Token), Token, Submission, Deadline);
settle(Outcome, _Token, _Submission, _Deadline) ->
    Outcome.

%% @private Gives up waiting; no `py_go' arrives afterwards.
-spec leave(py_nif:token()) -> ok.
leave(Token) ->
    case py_nif:unwait(Token) of
        %% It was sent, or is being sent by another thread.
        woken -> receive {py_go, Token} -> ok end;
        waiting -> ok
    end.
