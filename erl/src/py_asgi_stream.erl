%% @doc One streamed ASGI request: the process between the application and the consumer of its response.
%%
%% The application's events come here by `erlang.send' and go on to the consumer, so that the end of the request, which comes as the
%% answer of the call, cannot overtake them, and nothing arrives after {@link cancel/1}. What the consumer says (pieces of
%% the request body, credit) is handed to the worker one request at a time, in order. The process ends with its
%% request; the request is cancelled when the process or the consumer ends.
-module(py_asgi_stream).

-export([create_table/0, start/3, feed/3, credit/2, cancel/1]).

-export_type([request/0]).

-type request() :: fun((pid()) -> py_nif:request()).

-define(TABLE, py_asgi_streams).

-record(stream, {
    ref :: reference(),
    consumer :: pid(),
    monitor :: reference(),
    worker :: py_nif:target(),
    %% The worker is left with the request, unless the consumer keeps to it.
    leave :: boolean(),
    handle :: py_nif:handle() | reference(),
    %% What the worker has not been told yet.
    pieces = [] :: [binary()],
    more = true :: true | false | told,
    credit = 0 :: non_neg_integer(),
    posting = not_ready :: not_ready | none | py_nif:handle() | reference()
}).

%% @doc Makes the table of running streams, owned by the calling process.
-spec create_table() -> ok.
create_table() ->
    _ = ets:new(?TABLE, [named_table, public, set, {read_concurrency, true}]),
    ok.

%% @doc Starts a request in a worker; the calling process gets its events.
-spec start(py_nif:target(), request(), {timeout(), non_neg_integer()}) -> reference().
start(Worker, Request, Limits) ->
    {Ref, Consumer, Leave} = {make_ref(), self(), not py_route:is_own(Worker)},
    Callers = case get('$callers') of L when is_list(L) -> L; _ -> [] end,
    {Pid, Monitor} = spawn_monitor(fun() ->
        _ = put('$callers', [Consumer | Callers]),
        %% Not by the consumer, which may be killed at any moment and leave what nobody takes away.
        true = ets:insert(?TABLE, {Ref, self()}),
        run(Ref, Consumer, {Worker, Leave}, Request, Limits)
    end),
    %% Who starts many waits for permits here, and not a process for each.
    receive
        {Ref, submitted} -> true = demonitor(Monitor, [flush]);
        {'DOWN', Monitor, process, Pid, _} -> true
    end,
    Ref.

%% @doc Hands a piece of the request body to the application.
-spec feed(reference(), binary(), more | last) -> ok.
feed(Ref, Piece, More) ->
    tell(Ref, {feed, Piece, More =:= more}).

%% @doc The consumer can take so many more body events.
-spec credit(reference(), pos_integer()) -> ok.
credit(Ref, Credit) ->
    tell(Ref, {credit, Credit}).

tell(Ref, What) ->
    case pid(Ref) of
        undefined -> ok;
        Pid -> Pid ! What, ok
    end.

%% @doc Cancels the request; nothing of it arrives at the calling process afterwards.
-spec cancel(reference()) -> ok.
cancel(Ref) ->
    case pid(Ref) of
        undefined ->
            ok;
        Pid ->
            Monitor = monitor(process, Pid),
            Pid ! cancel,
            receive {'DOWN', Monitor, process, Pid, _} -> ok end
    end,
    flush(Ref).

-spec flush(reference()) -> ok.
flush(Ref) ->
    receive
        {py_asgi, Ref, _} -> flush(Ref)
    after 0 ->
        ok
    end.

-spec pid(reference()) -> pid() | undefined.
pid(Ref) ->
    try ets:lookup(?TABLE, Ref) of
        [{_, Pid}] -> Pid;
        [] -> undefined
    catch
        %% The application does not run.
        error:badarg -> undefined
    end.

%% The process.

-spec run(reference(), pid(), {py_nif:target(), boolean()}, request(), {timeout(), non_neg_integer()}) -> ok.
run(Ref, Consumer, {Worker, Leave}, Request, {Timeout, Flags}) ->
    Monitor = monitor(process, Consumer),
    {Handle, _} = py_request:async(Worker, Request(self()), Timeout, Flags),
    Consumer ! {Ref, submitted},
    loop(#stream{ref = Ref, consumer = Consumer, monitor = Monitor, worker = Worker, leave = Leave, handle = Handle}).

-spec loop(#stream{}) -> ok.
loop(#stream{handle = Handle, monitor = Monitor, posting = Posting} = Stream) ->
    receive
        {<<"py_asgi">>, <<"ready">>} ->
            loop(post(Stream#stream{posting = none}));
        {<<"py_asgi">>, <<"start">>, Status, Headers} ->
            loop(event({start, Status, Headers}, Stream));
        {<<"py_asgi">>, <<"body">>, Body} ->
            loop(event({body, Body}, Stream));
        {<<"py_asgi">>, <<"body_wanted">>} ->
            loop(event(body_wanted, Stream));
        {feed, Piece, More} ->
            loop(post(fed(Piece, More, Stream)));
        {credit, Credit} ->
            loop(post(Stream#stream{credit = Stream#stream.credit + Credit}));
        {py_response, Handle, {ok, _}} ->
            finish(done, Stream);
        {py_error, Handle, Reason} ->
            finish({error, Reason}, Stream);
        {py_response, Posting, {ok, _}} ->
            loop(post(Stream#stream{posting = none}));
        {py_error, Posting, Reason} ->
            %% The application would wait for what was not delivered.
            ok = py_request:cancel(Handle),
            finish({error, Reason}, Stream);
        cancel ->
            ok = py_request:cancel(Handle),
            ended(Stream);
        {'DOWN', Monitor, process, _, _} ->
            ok = py_request:cancel(Handle),
            ended(Stream);
        _ ->
            loop(Stream)
    end.

event(Event, #stream{consumer = Consumer, ref = Ref} = Stream) ->
    Consumer ! {py_asgi, Ref, Event},
    Stream.

-spec finish(done | {error, term()}, #stream{}) -> ok.
finish(Event, Stream) ->
    ended(event(Event, Stream)).

-spec ended(#stream{}) -> ok.
ended(#stream{ref = Ref, worker = Worker, leave = Leave}) ->
    _ = [ok = py_nif:untie(Worker) || Leave],
    try ets:delete(?TABLE, Ref) of
        true -> ok
    catch
        error:badarg -> ok
    end.

-spec fed(binary(), boolean(), #stream{}) -> #stream{}.
fed(_Piece, _More, #stream{more = Ended} = Stream) when Ended =/= true -> Stream;
fed(<<>>, More, Stream) -> Stream#stream{more = More};
fed(Piece, More, #stream{pieces = Pieces} = Stream) -> Stream#stream{pieces = [Piece | Pieces], more = More}.

%% Tells the worker what there is, unless it is being told something.
-spec post(#stream{}) -> #stream{}.
post(#stream{posting = Posting} = Stream) when Posting =/= none ->
    Stream;
post(#stream{pieces = [], more = More, credit = 0} = Stream) when More =/= false ->
    Stream;
post(#stream{worker = Worker, pieces = Pieces, more = More, credit = Credit} = Stream) ->
    Args = [self(), [{bytes, P} || P <- lists:reverse(Pieces)], More =/= false, Credit],
    {Handle, _} = py_request:async(Worker, {call, <<"erlang._asgi">>, post, Args, []}, infinity, py_options:no_permit() bor py_options:async()),
    Told = case More of true -> true; _ -> told end,
    Stream#stream{pieces = [], more = Told, credit = 0, posting = Handle}.
