%% @doc Stacks of one worker process: who has asked for them, and what the worker has said of them so far.
%%
%% The worker is asked once at a time, whoever asks; what it says is bounded and is no more than bytes. Nothing that it was not asked
%% for is taken, but for its last words, of which {@link crash/1} has the first 8 KiB.
-module(py_worker_stacks).

-export([new/0, ask/2, take/2, take_crash/2, give_up/2, crash/1]).

-export_type([stacks/0]).

-opaque stacks() :: #{
    callers := [gen_statem:from()], asked := boolean(), text := [binary()], left := non_neg_integer(), crash := binary()
}.
%% `left': bytes that the answer may still have; a worker that was asked may answer when nobody waits any more.

-define(LONGEST, 262144).
-define(LONGEST_CRASH, 8192).

%% @doc Of a worker that was not asked.
-spec new() -> stacks().
new() ->
    #{callers => [], asked => false, text => [], left => 0, crash => <<>>}.

%% @doc One more waits for the answer. `first': nobody has been waiting; `ask': the worker does not know of it.
-spec ask(gen_statem:from(), stacks()) -> {[first | ask], stacks()}.
ask(From, #{callers := Callers, asked := Asked} = Stacks) ->
    Waiting = Stacks#{callers := [From | Callers]},
    First = [first || Callers =:= []],
    case Asked of
        true -> {First, Waiting};
        false -> {[ask | First], Waiting#{asked := true, text := [], left := ?LONGEST}}
    end.

%% @doc A frame of the worker about stacks. The last one of an answer goes to those who wait.
-spec take(binary(), stacks()) -> {ok, stacks()} | refused.
take(<<"t", 1, Part/binary>>, #{asked := true, text := Text, left := Left} = Stacks) when Part =/= <<>>, byte_size(Part) =< Left ->
    {ok, Stacks#{text := [Part | Text], left := Left - byte_size(Part)}};
take(<<"t", 0, Part/binary>>, #{asked := true, text := Text, left := Left} = Stacks) when byte_size(Part) =< Left ->
    {ok, reply({ok, iolist_to_binary(lists:reverse([Part | Text]))}, Stacks#{asked := false, text := []})};
take(<<"c", Part/binary>>, #{crash := Crash} = Stacks) when Part =/= <<>>, byte_size(Crash) < ?LONGEST_CRASH ->
    {ok, Stacks#{crash := binary:part(<<Crash/binary, Part/binary>>, 0, min(?LONGEST_CRASH, byte_size(Crash) + byte_size(Part)))}};
take(_, _) ->
    refused.

%% @doc A frame of a worker that has ended.
-spec take_crash(binary(), stacks()) -> stacks().
take_crash(<<"c", _/binary>> = Frame, Stacks) ->
    case take(Frame, Stacks) of
        {ok, Taken} -> Taken;
        refused -> Stacks
    end;
take_crash(_, Stacks) ->
    Stacks.

%% @doc Those who wait learn why they get nothing.
-spec give_up(down | no_answer, stacks()) -> stacks().
give_up(Reason, Stacks) ->
    reply({error, Reason}, Stacks).

%% @doc What the worker wrote when it met a fatal signal, as printable text; empty if it did not.
-spec crash(stacks()) -> binary().
crash(#{crash := Crash}) ->
    << <<(case (C >= $\s andalso C =< $~) orelse C =:= $\n of true -> C; false -> $? end)>> || <<C>> <= Crash >>.

-spec reply({ok, binary()} | {error, down | no_answer}, stacks()) -> stacks().
reply(Answer, #{callers := Callers} = Stacks) ->
    ok = gen_statem:reply([{reply, From, Answer} || From <- Callers]),
    Stacks#{callers := []}.
