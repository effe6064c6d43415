%% @doc The programs under `bench/' that the library is compared with, reached through plain ports.
-module(py_bench_port).

-export([open/3, close/1, call/3, window/4, serve/1, ask/3, stop/1]).
-export([pool/3, measure/5]).
-export([scripts/0]).

-export_type([codec/0]).

-type codec() :: etf | pickle.
-type call() :: {module(), atom(), [term()]}.

%% A program that does not answer for so long is broken.
-define(PATIENCE, 120000).

%% @doc Starts `port_server.py' under this interpreter. The calling process owns it and is the one to call it.
-spec open(file:filename_all(), file:filename(), codec()) -> port().
open(Python, Scripts, Codec) ->
    start(Python, filename:join(Scripts, "port_server.py"), atom_to_list(Codec)).

start(Python, Script, Argument) ->
    open_port({spawn_executable, Python}, [{args, [Script, Argument]}, {packet, 4}, binary]).

%% @doc Ends the program.
-spec close(port()) -> true.
close(Port) ->
    port_close(Port).

%% @doc One call: request out, reply in.
-spec call(port(), codec(), call()) -> term().
call(Port, Codec, Call) ->
    true = port_command(Port, encode(Codec, Call)),
    reply(Port, Codec).

%% @doc So many calls at once.
-spec window(port(), codec(), call(), pos_integer()) -> [term()].
window(Port, Codec, Call, Count) ->
    Numbers = lists:seq(1, Count),
    _ = [true = port_command(Port, encode(Codec, Call)) || _ <- Numbers],
    [reply(Port, Codec) || _ <- Numbers].

reply(Port, Codec) ->
    receive {Port, {data, Data}} -> value(Codec, Data) after ?PATIENCE -> exit(port_silent) end.

encode(etf, Term) -> term_to_binary(Term);
encode(pickle, Term) -> py_bench_pickle:encode(Term).

value(etf, Data) -> value(binary_to_term(Data));
value(pickle, Data) -> value(py_bench_pickle:decode(Data)).

value({true, Value}) -> Value;
value({false, Text}) -> exit({python, Text}).

%% @doc A process that lets many others use one port. Encoding and decoding is theirs; the replies come in the order of the requests.
-spec serve(fun(() -> port())) -> pid().
serve(Open) ->
    spawn_link(fun() -> forward(Open(), queue:new()) end).

forward(Port, Waiting) ->
    receive
        {ask, Pid, Ref, Data} ->
            true = port_command(Port, Data),
            forward(Port, queue:in({Pid, Ref}, Waiting));
        {Port, {data, Data}} ->
            {{value, {Pid, Ref}}, Rest} = queue:out(Waiting),
            Pid ! {Ref, Data},
            forward(Port, Rest);
        stop ->
            port_close(Port)
    end.

%% @doc One call by way of {@link serve/1}.
-spec ask(pid(), codec(), call()) -> term().
ask(Server, Codec, Call) ->
    Ref = make_ref(),
    Server ! {ask, self(), Ref, encode(Codec, Call)},
    receive {Ref, Data} -> value(Codec, Data) after ?PATIENCE -> exit(port_silent) end.

%% @doc Ends the process and its port.
-spec stop(pid()) -> ok.
stop(Server) ->
    Server ! stop,
    ok.

%% @doc Starts `process_pool.py' with so many processes.
-spec pool(file:filename_all(), file:filename(), pos_integer()) -> port().
pool(Python, Scripts, Workers) ->
    start(Python, filename:join(Scripts, "process_pool.py"), integer_to_list(Workers)).

%% @doc Has the pool run windows of a call.
-spec measure(port(), call(), pos_integer(), non_neg_integer(), non_neg_integer()) -> py_bench_measure:round().
measure(Port, {Module, Function, Args}, Window, WarmUp, Duration) ->
    true = port_command(Port, term_to_binary({Module, Function, Args, Window, WarmUp, Duration})),
    receive
        {Port, {data, Data}} ->
            {Ops, Ns, Max, Counts} = binary_to_term(Data),
            #{ops => Ops, ns => Ns, max => Max, counts => lists:sort(maps:to_list(Counts))}
    after ?PATIENCE ->
        exit(port_silent)
    end.

%% @doc The directory of the programs, which is part of the sources only.
-spec scripts() -> {ok, file:filename()} | {error, no_sources}.
scripts() ->
    Source = proplists:get_value(source, ?MODULE:module_info(compile), "/"),
    upwards(filename:dirname(Source)).

upwards(Dir) ->
    Scripts = filename:join(Dir, "bench"),
    case {filelib:is_regular(filename:join(Scripts, "port_server.py")), filename:dirname(Dir)} of
        {true, _} -> {ok, Scripts};
        {false, Dir} -> {error, no_sources};
        {false, Parent} -> upwards(Parent)
    end.
