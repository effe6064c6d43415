%% @doc The log of slow calls: option `slow_call' of pools.
%%
%% Nothing is measured on the way of a call. This process looks at what is in flight every so often and reports each request once, as
%% soon as it is older than its pool allows and while it still runs, so that one that never ends is seen, too.
-module(py_slow).

-behaviour(gen_server).

-export([look_after/1]).
-export([start_link/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-include_lib("kernel/include/logger.hrl").

%% Milliseconds between two looks: a quarter of the shortest limit, between these.
-define(SHORTEST, 10).
-define(LONGEST, 500).
%% The clock of the ages moves in steps.
-define(SLACK, 50).
-define(REPORTED, 1000).
%% Entries in the log for one look; the rest is counted.
-define(LOGGED, 10).

-record(state, {
    timer = none :: none | reference(),
    looked = never :: never | {Last :: integer(), Before :: integer()},
    %% What was reported by the last looks and may be found once more.
    seen = #{} :: #{Request :: non_neg_integer() => At :: integer()},
    %% Who asks for stacks and writes, and what waits for him.
    reporter = none :: none | reference(),
    found = [] :: [found()]
}).

-type found() :: {map(), Pool :: atom(), Limit :: pos_integer()}.

%% @private A pool with these options begins.
-spec look_after(py_pool:spec()) -> ok.
look_after(#{slow_call := infinity}) -> ok;
look_after(_Spec) -> gen_server:cast(?MODULE, look).

%% @private
-spec start_link() -> {ok, pid()} | ignore | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @private
-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, look(#state{})}.

%% @private
-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, {error, unknown_call}, #state{}}.
handle_call(_Request, _From, State) ->
    {reply, {error, unknown_call}, State}.

%% @private
-spec handle_cast(look, #state{}) -> {noreply, #state{}}.
handle_cast(look, State) ->
    {noreply, look(State)}.

%% @private
-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({timeout, Timer, look}, #state{timer = Timer} = State) ->
    {noreply, look(State)};
handle_info({'DOWN', Reporter, process, _, _}, #state{reporter = Reporter} = State) ->
    {noreply, report(State#state{reporter = none})};
handle_info(_Info, State) ->
    {noreply, State}.

-spec look(#state{}) -> #state{}.
look(#state{timer = Timer, looked = Looked, seen = Seen0} = State0) ->
    _ = [erlang:cancel_timer(Timer) || Timer =/= none],
    State = State0#state{timer = none},
    case limits() of
        Limits when map_size(Limits) =:= 0 ->
            State#state{looked = never, seen = #{}};
        Limits ->
            Now = erlang:monotonic_time(millisecond),
            %% Two looks cover each moment: at one of them somebody may just hold the request.
            {Last, From} = case Looked of never -> {Now, always}; {L0, Before} -> {L0, Before - ?SLACK} end,
            Workers = maps:from_list([{Id, Pool} || {Id, Pool, _, _, _} <- py_pool:workers()]),
            Seen = maps:filter(fun(_, At) -> From =:= always orelse At >= From - ?SLACK end, Seen0),
            Found = [
                {Request, Pool, Limit}
             || Limit <- lists:usort(maps:values(Limits)),
                #{worker_id := Worker, id := Id} = Request <- slow(Limit, From, Now),
                #{Worker := Pool} <- [Workers], #{Pool := L} <- [Limits], L =:= Limit,
                not is_map_key(Id, Seen)
            ],
            Reported = maps:from_list([{Id, Now} || {#{id := Id}, _, _} <- Found]),
            Pause = max(?SHORTEST, min(?LONGEST, lists:min(maps:values(Limits)) div 4)),
            report(State#state{
                timer = erlang:start_timer(Pause, self(), look), looked = {Now, Last}, seen = maps:merge(Seen, Reported),
                found = lists:sublist(State#state.found ++ Found, ?REPORTED)
            })
    end.

%% Those that have come over the limit since a moment. A stream takes as long as its consumer likes.
-spec slow(pos_integer(), integer() | always, integer()) -> [map()].
slow(Limit, From, Now) ->
    To = case From of always -> infinity; _ -> Limit + Now - From end,
    [Request || #{kind := Kind, of_node := false} = Request <- py_nif:oldest_requests(Limit, To, ?REPORTED), Kind =/= stream].

-spec limits() -> #{atom() => pos_integer()}.
limits() ->
    maps:from_list([{Name, Limit} || Name <- py_pool:names(), {ok, Limit} <- [limit(Name)], Limit =/= infinity]).

limit(Name) ->
    try
        {ok, maps:get(slow_call, py_pool:spec(Name))}
    catch
        %% It was stopped meanwhile.
        error:badarg -> stopped
    end.

%% A worker may take seconds to say its stacks; the looks go on.
-spec report(#state{}) -> #state{}.
report(#state{reporter = none, found = [_ | _] = Found} = State) ->
    {_, Reporter} = spawn_monitor(fun() -> write(Found) end),
    State#state{reporter = Reporter, found = []};
report(State) ->
    State.

-spec write([found(), ...]) -> ok.
write(Found) ->
    Stacks = stacks(lists:usort([Worker || {#{worker_id := Worker, started := true}, _, _} <- Found])),
    Known = [{Request, Pool, Limit, stack(Request, Stacks)} || {Request, Pool, Limit} <- Found],
    {Told, Counted} = lists:split(min(?LOGGED, length(Known)), Known),
    _ = [?LOG_WARNING("~ts", [text(Slow)], py_logger:of_caller(Caller)) || {#{caller := Caller}, _, _, _} = Slow <- Told],
    _ = [?LOG_WARNING("~b more calls have come over slow_call", [length(Counted)]) || Counted =/= []],
    lists:foreach(fun event/1, Known).

%% The frames of what runs in these workers, by request.
stacks(Workers) ->
    maps:from_list([
        {Id, Frames}
     || #{threads := Threads} <- py_stacks:of_workers(Workers), #{request := #{id := Id}, frames := Frames} <- Threads
    ]).

stack(#{id := Id}, Stacks) ->
    maps:get(Id, Stacks, []).

text({#{worker_id := Worker, age_ms := Age, caller := Caller, started := Started} = Request, Pool, Limit, Frames}) ->
    State = case Started of true -> "runs"; false -> "waits" end,
    Whose = case Caller of undefined -> "a cast"; _ -> io_lib:format("called by ~p", [Caller]) end,
    [
        io_lib:format("slow call in worker ~b of pool ~ts: ~ts, ~ts, ~ts for ~b ms (slow_call is ~b)", [Worker, Pool, name(Request), Whose, State, Age, Limit])
        | [io_lib:format("~n    ~ts:~b in ~ts", [File, Line, Function]) || #{file := File, line := Line, function := Function} <- Frames]
    ].

%% Code on one line.
name(#{function := <<>>, runs := Runs}) -> atom_to_list(Runs);
name(#{function := Function, runs := Runs}) when Runs =:= call; Runs =:= method -> Function;
name(#{function := Code, runs := Runs}) -> io_lib:format("~ts of ~0tp", [Runs, Code]).

event({#{worker_id := Worker, age_ms := Age, caller := Caller, started := Started, id := Id, runs := Runs, function := Function}, Pool, _Limit, Frames}) ->
    py_events:post(
        [py, call, slow], #{duration => erlang:convert_time_unit(Age, millisecond, native)},
        #{pool => Pool, worker => Worker, request => Id, caller => Caller, kind => Runs, function => Function, started => Started, stack => Frames}
    ).
