%% Workers that break the protocol: the node lives, each caller gets one answer, neighbours serve, the log names the check that failed.
%% The worker is shm-proto/examples/hostile_worker, which pools start as their interpreter; what it does is named by the function that
%% is called. PY_HOSTILE_ROUNDS sets how many rounds of random writes there are (default 8), PY_HOSTILE_SEED the first seed.
-module(py_hostile_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").
-include_lib("common_test/include/ct.hrl").

-define(POOL, hostile).
-define(LOG, py_hostile_log).
-define(TIMEOUT, 20000).
-define(CORRUPT, {error, {worker_down, corrupt}}).

suite() -> [{timetrap, {seconds, 300}}].

all() ->
    [
        replies, refused, extents, records, words, cells, callbacks, streams, events, frames, stacks, starts, atoms, full_ring, unanswered,
        bells, orphan, senseless_spans, large_spans, flips, random, real_worker, nothing_left
    ].

init_per_suite(Config) ->
    Worker = build(),
    ok = py_test:start([{num_workers, 1}]),
    ?LOG = ets:new(?LOG, [named_table, public, ordered_set, {heir, whereis(init), none}]),
    ok = logger:add_handler(?MODULE, ?MODULE, #{level => all}),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    [{worker, Worker}, {before, holds()} | Config].

end_per_suite(_Config) ->
    _ = py_pool:stop_pool(?POOL),
    ok = logger:remove_handler(?MODULE),
    py_test:stop().

init_per_testcase(_Case, Config) ->
    true = ets:delete_all_objects(?LOG),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = py_pool:stop_pool(?POOL),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    ok.

%% Builds the worker; the path of the program.
build() ->
    Root = filename:join(code:priv_dir(erlang_python), ".."),
    Path = os:getenv("PATH") ++ ":" ++ filename:join(os:getenv("HOME", "/"), ".cargo/bin"),
    Cargo = os:find_executable("cargo", Path),
    Args = ["build", "--quiet", "--locked", "-p", "shm-proto", "--example", "hostile_worker"],
    Port = open_port({spawn_executable, Cargo}, [{args, Args}, {cd, Root}, {env, [{"PATH", Path}]}, exit_status, stderr_to_stdout, binary]),
    ok = built(Port),
    Target = filename:absname(os:getenv("CARGO_TARGET_DIR", "target"), filename:absname(Root)),
    filename:join(Target, "debug/examples/hostile_worker").

built(Port) ->
    receive
        {Port, {data, Text}} -> ct:log("~ts", [Text]), built(Port);
        {Port, {exit_status, 0}} -> ok;
        {Port, {exit_status, Status}} -> ct:fail({build, Status})
    end.

%% A handler of logger: keeps the texts.
log(#{msg := Message}, _Config) ->
    Text =
        case Message of
            {string, String} -> String;
            {report, Report} -> io_lib:format("~tp", [Report]);
            {Format, Args} -> io_lib:format(Format, Args)
        end,
    ets:insert(?LOG, {erlang:unique_integer([monotonic]), unicode:characters_to_binary(Text)}).

logged(Texts) ->
    Lines = [Line || {_, Line} <- ets:tab2list(?LOG)],
    lists:any(fun(Text) -> lists:any(fun(Line) -> binary:match(Line, Text) =/= nomatch end, Lines) end, Texts) orelse Lines.

pool(Config) ->
    pool(Config, #{}).

pool(Config, Options) ->
    Own = #{python => ?config(worker, Config), num_workers => 1, max_workers => 1, kill_grace => 500, inline_budget_us => 100},
    ok = py_pool:start_pool(?POOL, maps:merge(Own, Options)).

call(Module, Function, Args) ->
    call(Module, Function, Args, ?TIMEOUT).

call(Module, Function, Args, Timeout) ->
    py:call(Module, Function, Args, #{}, #{pool => ?POOL, timeout => Timeout}).

%% What the node holds besides its honest workers.
holds() ->
    _ = [erlang:garbage_collect(Pid) || Pid <- processes()],
    {ok, Descriptors} = file:list_dir("/proc/self/fd"),
    {ok, Maps} = file:read_file("/proc/self/maps"),
    #{
        descriptors => length(Descriptors),
        memfds => length(binary:matches(Maps, <<"memfd:">>)),
        ports => length(erlang:ports()),
        processes => length(processes()),
        native => maps:with([readers, mappings, incarnations, slab_in_use, leases, blobs, waiting], py_nif:nif_info())
    }.

%% One attack on a worker of its own, by a caller that waits and by one that is sent a message.
attack({Function, Expected}, Config) ->
    attack({Function, Expected, none}, Config);
attack({Function, Expected, Check}, Config) ->
    Waits = fun() -> call(hostile, Function, []) end,
    Messages = fun() -> py:await(py:spawn_call(hostile, Function, [], #{}, #{pool => ?POOL, timeout => ?TIMEOUT}), ?TIMEOUT) end,
    [attack(Function, Call, Expected, Check, Config) || Call <- [Waits, Messages]].

attack(Function, Call, Expected, Check, Config) ->
    true = ets:delete_all_objects(?LOG),
    pool(Config),
    Result = Call(),
    is_expected(Expected, Result) orelse ct:fail({Function, Result, Expected}),
    {ok, 2.0} = py:call(math, sqrt, [4]),
    _ = [py_test:until(fun() -> logged([<<"broke the protocol: ", C/binary>> || C <- checks(Check)]) end) || Check =/= none],
    ok = py_pool:stop_pool(?POOL),
    ?assertEqual({Function, []}, {Function, py_test:mailbox()}).

checks(Check) when is_binary(Check) -> [Check];
checks(Checks) -> Checks.

is_expected(corrupt, Result) -> Result =:= ?CORRUPT;
is_expected(down, {error, {worker_down, _}}) -> true;
is_expected(any, {ok, _}) -> true;
is_expected(any, {error, _}) -> true;
is_expected(Fun, Result) when is_function(Fun) -> Fun(Result);
is_expected(Expected, Result) -> Result =:= Expected.

%% covers: guarantee:hostile
replies(Config) ->
    [
        attack({Function, corrupt, Check}, Config)
     || {Function, Check} <- [
            {header_kind, <<"response header">>},
            {header_place, <<"response header">>},
            {header_length, <<"response length">>},
            {header_huge, <<"response length">>},
            {id_index, <<"correlation id">>},
            {id_generation, <<"correlation id">>},
            {id_none, <<"correlation id">>},
            {reply_empty, <<"empty reply">>},
            {reply_status, <<"unknown status">>},
            {reply_interrupted, <<"bytes behind the status">>},
            {reply_by_extent, <<"result extent">>},
            {term_truncated, <<"data end inside a value">>},
            {term_compressed, <<"unknown tag">>},
            {term_count, <<"count exceeds the data">>},
            {term_improper, <<"improper list">>},
            {term_behind, <<"bytes behind the term">>},
            {term_text, <<"text is not UTF-8">>},
            {term_float, <<"float is not finite">>},
            {term_blob, <<"blob out of bounds">>},
            {term_mark, <<"tuple mark without a tuple">>},
            {term_array, <<"array without data">>},
            {exception_short, <<"data end inside a value">>},
            {exception_causes, <<"too many causes">>},
            {exception_notes, <<"data end inside a value">>},
            {refused_garbage, <<"unknown tag">>}
        ]
    ],
    attack({reply_twice, {ok, none}, [<<"correlation id">>, <<"second response">>]}, Config).

%% What is well-formed, but nothing that the node makes a term of; and what is large, but a term.
%% covers: guarantee:hostile
refused(Config) ->
    Unsupported = fun(Type) -> {error, {unsupported_object, Type}} end,
    attack({term_atom, Unsupported('Atom')}, Config),
    attack({term_long_atom, Unsupported('Atom')}, Config),
    attack({term_fun, Unsupported('Fun')}, Config),
    attack({term_pid, Unsupported('Pid')}, Config),
    attack({term_keys, Unsupported(dict)}, Config),
    attack({term_integer, Unsupported(int)}, Config),
    attack({term_tuple, fun({error, {system_limit, _}}) -> true; (_) -> false end}, Config),
    attack({term_deep, fun({ok, Deep}) -> depth(Deep, 0) =:= 1000000; (_) -> false end}, Config).

depth([], N) -> N;
depth([Inner], N) -> depth(Inner, N + 1).

%% covers: guarantee:hostile
extents(Config) ->
    Bad = [
        extent_offset, extent_beyond, extent_total, extent_overflow, extent_terms, segment_none, segment_device, segment_program,
        segment_directory, segment_pipe, segment_unsealed, segment_shrinks, segment_short, segment_hole
    ],
    [attack({Function, corrupt, <<"result extent">>}, Config) || Function <- Bad],
    attack({extent_blob, corrupt, <<"blob out of bounds">>}, Config),
    attack({extent_ticket, {ok, none}}, Config).

%% covers: guarantee:hostile
records(Config) ->
    attack({commit_ahead, corrupt, <<"ring position">>}, Config),
    attack({commit_empty, corrupt, <<"ring record length">>}, Config),
    attack({commit_long, corrupt, <<"ring record length">>}, Config),
    attack({commit_padding, down}, Config).

%% Words by which the node decides nothing.
%% covers: guarantee:hostile
words(Config) ->
    pool(Config),
    {ok, none} = call(hostile, words, []),
    [{ok, N} = call(honest, echo, [N]) || N <- lists:seq(1, 200)],
    Large = binary:copy(<<"x">>, 10000),
    [{ok, [Large]} = call(honest, echo, [[Large]]) || _ <- lists:seq(1, 200)],
    [_ | _] = py:workers(),
    #{num_workers := 1} = py_pool:get_stats(?POOL).

%% Replies in cells. Not every call uses one.
%% covers: guarantee:hostile
cells(Config) ->
    [
        cell(Function, Check, Config)
     || {Function, Check} <- [
            {cell_length, [<<"reply cell length">>]},
            {cell_huge, [<<"reply cell length">>]},
            {cell_empty, [<<"empty reply">>]},
            {cell_status, [<<"unknown status">>]},
            {cell_term, [<<"data end inside a value">>]},
            {cell_and_reply, [<<"correlation id">>, <<"second response">>]}
        ]
    ].

cell(Function, Checks, Config) ->
    true = ets:delete_all_objects(?LOG),
    pool(Config),
    Logged = fun() -> logged([<<"broke the protocol: ", C/binary>> || C <- Checks]) end,
    %% Without rest: on a busy machine only who computes gets a processor that its worker does not want as well.
    py_test:until(fun() -> attempt(Function, Logged, 500) end),
    py_test:until(Logged),
    ok = py_pool:stop_pool(?POOL).

attempt(_Function, Logged, 0) ->
    Logged();
attempt(Function, Logged, More) ->
    _ = [call(honest, echo, [N]) || N <- lists:seq(1, 20)],
    case call(hostile, Function, []) of
        {ok, none} -> attempt(Function, Logged, More - 1);
        ?CORRUPT -> true
    end.

%% covers: guarantee:hostile
callbacks(Config) ->
    attack({callback_slot, corrupt, <<"callback slot">>}, Config),
    attack({callback_ticket, corrupt, <<"callback slot">>}, Config),
    attack({callback_flood, corrupt, <<"callback slot in use">>}, Config),
    attack({callback_pair, corrupt, <<"callback is no pair">>}, Config),
    attack({callback_term, corrupt, <<"count exceeds the data">>}, Config),
    attack({callback_short, corrupt, <<"callback record">>}, Config),
    attack({callback_extent, corrupt, <<"extent of a callback">>}, Config),
    attack({callback_junk, {ok, none}}, Config),
    attack({send_term, corrupt, <<"count exceeds the data">>}, Config),
    attack({send_pair, corrupt, <<"callback is no pair">>}, Config),
    attack({send_extent, corrupt, <<"extent of a callback">>}, Config),
    Server = whereis(py_callback),
    attack({send_junk, {ok, none}}, Config),
    %% Thousands of messages to nobody: few of them are worth a line.
    py_test:until(fun() -> element(2, process_info(Server, message_queue_len)) =:= 0 end),
    ?assertEqual(Server, whereis(py_callback)),
    Lines = [Line || {_, Line} <- ets:tab2list(?LOG), binary:match(Line, <<"nobody has the name">>) =/= nomatch],
    ?assert(length(Lines) < 1000).

%% covers: guarantee:hostile
streams(Config) ->
    %% The second while its caller still watches.
    attack({chunk_of_call, corrupt, [<<"chunk without credit">>, <<"correlation id of a chunk">>]}, Config),
    attack({chunk_of_nobody, corrupt, <<"correlation id of a chunk">>}, Config),
    attack({chunk_of_another, corrupt, <<"correlation id of a chunk">>}, Config),
    [
        stream(Function, Items, End, Checks, Config)
     || {Function, Items, End, Checks} <- [
            {chunk_beyond, 2, ?CORRUPT, [<<"chunk without credit">>]},
            {chunk_parked, 2, ?CORRUPT, [<<"chunk without credit">>]},
            {chunk_empty, 0, ?CORRUPT, [<<"empty reply">>]},
            {chunk_status, 0, ?CORRUPT, [<<"unknown status">>]},
            {chunk_term, 0, ?CORRUPT, [<<"data end inside a value">>]},
            {chunk_extent, 0, ?CORRUPT, [<<"result extent">>]},
            {chunk_after_end, 0, done, [<<"correlation id of a chunk">>]},
            {chunk_refused, 0, {error, {unsupported_object, 'Atom'}}, []}
        ]
    ],
    stream(chunk_exception, 0, fun({error, {_, "message"}}) -> true; (_) -> false end, [], Config).

stream(Function, Items, End, Checks, Config) ->
    true = ets:delete_all_objects(?LOG),
    pool(Config),
    {ok, Ref} = py:stream_start(hostile, Function, [], #{}, #{credit => 2, pool => ?POOL}),
    [
        receive {py_chunk, Ref, none} -> ok after ?TIMEOUT -> ct:fail({Function, Item}) end
     || Item <- lists:seq(1, Items)
    ],
    Last = receive {py_end, Ref} -> done; {py_error, Ref, Reason} -> {error, Reason}; {py_chunk, Ref, _} = More -> More after ?TIMEOUT -> silent end,
    is_expected(End, Last) orelse ct:fail({Function, Last}),
    _ = [py_test:until(fun() -> logged([<<"broke the protocol: ", C/binary>> || C <- Checks]) end) || Checks =/= []],
    ok = py_pool:stop_pool(?POOL),
    ?assertEqual({Function, []}, {Function, py_test:mailbox()}).

%% Log events and spans.
%% covers: guarantee:hostile
events(Config) ->
    Servers = [whereis(Name) || Name <- [py_logger, py_tracer]],
    attack({log_term, corrupt, <<"data end inside a value">>}, Config),
    attack({log_extent, corrupt, <<"extent of an event">>}, Config),
    attack({span_term, corrupt, <<"unknown tag">>}, Config),
    attack({span_extent, corrupt, <<"extent of an event">>}, Config),
    attack({log_junk, {ok, none}}, Config),
    attack({log_bounds, {ok, none}}, Config),
    attack({log_flood, {ok, none}}, Config),
    ok = py_logger:flush(),
    {ok, _} = py:get_traces(),
    ?assertEqual(Servers, [whereis(Name) || Name <- [py_logger, py_tracer]]).

%% Control frames of a worker that serves.
%% covers: guarantee:hostile
frames(Config) ->
    [
        begin
            attack({Function, corrupt}, Config),
            true = logged([<<"unexpected frame">>])
        end
     || Function <- [frame_garbage, frame_empty, frame_hello, frame_pongs, frame_keeps, frame_stacks, frame_crashes]
    ].

%% What a worker says of its stacks is bytes.
%% covers: py:stacks/1, guarantee:hostile
stacks(Config) ->
    Asked = fun(How) ->
        pool(Config, #{env => [{"HOSTILE_STACKS", How}]}),
        [Answer] = py:stacks(?POOL),
        ok = py_pool:stop_pool(?POOL),
        true = is_binary(unicode:characters_to_binary(py_stacks:format([Answer]))),
        Answer
    end,
    #{error := no_answer} = Asked("silent"),
    [#{error := down} = Asked(How) || How <- ["endless", "empty_parts"]],
    #{error := <<_/binary>>} = Asked("bytes"),
    #{lock := kept, threads := []} = Asked("twice"),
    #{lock := kept, threads := []} = Asked("lines"),
    true = logged([<<"unexpected frame">>]).

%% Workers that do not even start right.
%% covers: guarantee:hostile
starts(Config) ->
    [
        begin
            Options = #{python => ?config(worker, Config), num_workers => 1, worker_timeout => 1000, env => [{"HOSTILE_START", Start}]},
            case py_pool:start_pool(?POOL, Options) of
                {error, _} -> ok;
                %% It was ready before its bells could tell.
                ok when Start =:= "opens_nothing" -> ok = py_pool:stop_pool(?POOL);
                Other -> ct:fail({Start, Other})
            end,
            {ok, 2.0} = py:call(math, sqrt, [4])
        end
     || Start <- [
            "silent", "garbage", "empty_frame", "wrong_nonce", "short_hello", "ready_first", "hello_twice", "bad_text", "flood", "opens_nothing",
            "half_a_frame"
        ]
    ].

%% Names of exceptions become atoms only within their allowance.
%% covers: guarantee:hostile
atoms(Config) ->
    pool(Config),
    Before = erlang:system_info(atom_count),
    Types = [begin {error, {Type, "message"}} = call(hostile, exceptions, [N]), Type end || N <- lists:seq(1, 1500)],
    ?assertEqual('PythonError', lists:last(Types)),
    ?assert(erlang:system_info(atom_count) - Before < 1100).

%% The node looks at the head of the request ring when the ring is full.
%% covers: guarantee:hostile
full_ring(Config) ->
    [
        begin
            true = ets:delete_all_objects(?LOG),
            pool(Config, #{ring_size => 65536}),
            {ok, none} = call(hostile, Function, []),
            Long = binary:copy(<<"x">>, 2000),
            Callers = [spawn_monitor(fun() -> exit({result, call(honest, echo, [{N, Long}])}) end) || N <- lists:seq(1, 100)],
            %% Who was not started goes to the next worker.
            [
                receive {'DOWN', Monitor, process, _, {result, Result}} -> ?assert(Result =:= {ok, {N, Long}} orelse Result =:= ?CORRUPT) end
             || {N, {_, Monitor}} <- lists:enumerate(Callers)
            ],
            true = logged([<<"broke the protocol: ring consumer head">>]),
            ok = py_pool:stop_pool(?POOL)
        end
     || Function <- [head_back, head_beyond]
    ].

%% A worker that claims to have started everything and answers nothing is one that is stuck.
%% covers: guarantee:hostile
unanswered(Config) ->
    pool(Config),
    {ok, none} = call(hostile, starts, []),
    {error, timeout} = call(honest, echo, [1], 200),
    py_test:until(fun() -> call(honest, echo, [1], 1000) =:= {ok, 1} end),
    {error, timeout} = call(honest, hang, [], 200),
    py_test:until(fun() -> call(honest, echo, [1], 1000) =:= {ok, 1} end).

%% covers: guarantee:hostile
bells(Config) ->
    attack({bell_closed, {error, {worker_down, exited}}}, Config),
    pool(Config),
    {ok, none} = call(hostile, bell_flood, []),
    [{ok, N} = call(honest, echo, [N]) || N <- lists:seq(1, 500)].

%% A process that the worker left behind goes on publishing and ringing: the end of the worker is noticed all the same.
%% covers: guarantee:hostile
orphan(Config) ->
    pool(Config),
    {ok, Child} = call(hostile, orphan, []),
    try
        {error, {worker_down, _}} = call(hostile, exit, []),
        ?assert(py_test:alive(Child)),
        ok = py_pool:stop_pool(?POOL),
        ?assert(py_test:alive(Child))
    after
        py_test:kill("KILL", Child)
    end.

%% Numbers beyond what the BEAM computes with do not end the server.
%% covers: guarantee:hostile
senseless_spans(_Config) ->
    Server = whereis(py_tracer),
    Huge = 1 bsl (8 * 4000000),
    Event = {1, none, <<"span">>, -Huge, Huge, Huge, none, #{}, []},
    Epoch = py_nif:observe_open(py_tracer),
    [Server ! {py_event, Epoch, 0, undefined, 1, 1, E} || E <- [Event, setelement(5, Event, -Huge)]],
    {ok, _} = py:get_traces(),
    ?assertEqual(Server, whereis(py_tracer)).

%% Spans are kept up to a number of bytes.
%% covers: guarantee:hostile
large_spans(_Config) ->
    ok = py:clear_traces(),
    Epoch = py_nif:observe_open(py_tracer),
    Span = fun(N) -> {N, none, <<"span">>, 1, 1, 1, none, #{}, []} end,
    [py_tracer ! {py_event, Epoch, 8 bsl 20, undefined, 1, 1, Span(N)} || N <- lists:seq(1, 100)],
    {ok, Kept} = py:get_traces(),
    ?assertEqual(lists:seq(93, 100), [N || #{span_id := N} <- Kept]),
    ok = py:clear_traces().

%% Bytes that change while the node reads them.
%% covers: guarantee:hostile
flips(Config) ->
    _ = [attack({segment_flips, any}, Config) || _ <- lists:seq(1, 5)],
    pool(Config),
    Results = [call(hostile, cell_flips, []) || _ <- lists:seq(1, 200)],
    true = lists:all(fun(Result) -> is_expected(any, Result) end, Results).

rounds() ->
    list_to_integer(os:getenv("PY_HOSTILE_ROUNDS", "8")).

seed(Round) ->
    Seed = list_to_integer(os:getenv("PY_HOSTILE_SEED", integer_to_list(erlang:system_time(second) rem 1000000))) + Round,
    ct:pal("seed ~b", [Seed]),
    Seed.

%% Random writes to everywhere while calls are served.
%% covers: guarantee:hostile, guarantee:neighbours
random(Config) ->
    [
        begin
            Seed = seed(Round),
            pool(Config),
            _ = call(hostile, random, [Seed, 20000], 5000),
            load(fun(N) ->
                case N rem 4 of
                    0 -> call(honest, echo, [N], 500);
                    1 -> call(honest, echo, [lists:seq(1, 2000)], 500);
                    2 -> call(honest, echo, [binary:copy(<<"y">>, 15000)], 500);
                    3 -> collected(py:stream_start(honest, echo, [1], #{}, #{pool => ?POOL, timeout => 500}))
                end
            end),
            ok = py_pool:stop_pool(?POOL)
        end
     || Round <- lists:seq(1, rounds())
    ].

%% Callers side by side; each call has one answer. The honest pool answers right all the time.
load(Call) ->
    Callers = [spawn_monitor(fun() -> [true = is_expected(any, Call(N)) || N <- lists:seq(1, 12)], [] = py_test:mailbox() end) || _ <- lists:seq(1, 4)],
    [{ok, N} = py:call(builtins, abs, [-N]) || N <- lists:seq(1, 200)],
    [receive {'DOWN', Monitor, process, _, Reason} -> ?assertEqual(normal, Reason) end || {_, Monitor} <- Callers],
    ok.

collected({ok, Ref}) -> collected(Ref);
collected({error, _} = Error) -> Error;
collected(Ref) ->
    case py:stream_next(Ref) of
        {ok, _} -> collected(Ref);
        done -> {ok, done};
        {error, _} = Error -> Error
    end.

%% The same by a real worker, of its own memory, while it serves.
%% covers: guarantee:hostile, guarantee:neighbours
real_worker(_Config) ->
    ok = py:register_function(hostile_echo, fun([X]) -> X end),
    [
        begin
            Seed = seed(Round),
            ok = py_pool:start_pool(?POOL, #{num_workers => 1, max_workers => 1, kill_grace => 300, preload => corrupting()}),
            _ = call('__main__', corrupt, [Seed, 20000], 5000),
            load(fun(N) ->
                case N rem 6 of
                    0 -> call(math, sqrt, [N], 500);
                    1 -> call(builtins, list, [lists:seq(1, 2000)], 500);
                    2 -> call(builtins, bytes, [100000], 500);
                    3 -> call(builtins, bytes, [2000000], 500);
                    4 -> call('__main__', callback, [N], 500);
                    5 -> collected(py:stream_start(builtins, range, [50], #{}, #{pool => ?POOL, credit => 3, timeout => 500}))
                end
            end),
            ok = py_pool:stop_pool(?POOL)
        end
     || Round <- lists:seq(1, rounds())
    ],
    ok = py:unregister_function(hostile_echo).

corrupting() ->
    <<"
import ctypes, random, threading, time, erlang

def callback(x):
    return erlang.call('hostile_echo', x)

def corrupt(seed, count):
    with open('/proc/self/maps') as maps:
        up = [line.split()[0] for line in maps if 'erlang_python-up' in line]
    low, high = (int(word, 16) for word in up[0].split('-'))
    chance = random.Random(seed)

    def write():
        for n in range(count):
            # Half of the writes go to where the words of the protocol are.
            end = low + 200000 if chance.random() < 0.5 else high
            word = ctypes.c_uint64.from_address(chance.randrange(low, end) & ~7)
            word.value = chance.choice((chance.getrandbits(64), 0, 2**64 - 1, word.value ^ 1 << chance.randrange(64), word.value + chance.randrange(64)))
            if n % 50 == 0:
                time.sleep(0.0001)

    threading.Thread(target=write, daemon=True).start()
">>.

%% covers: guarantee:nothing_left
nothing_left(Config) ->
    Before = ?config(before, Config),
    py_test:until(fun() ->
        Now = holds(),
        Now =:= Before orelse {Now, Before}
    end).
