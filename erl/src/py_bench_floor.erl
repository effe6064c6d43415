%% @doc What no call can be faster than, measured in the same run: the ring without Python, the choice of a worker, and Python without the
%% ring.
-module(py_bench_floor).

-export([ring/1, choice/3, python/4]).

%% Round trips of one round.
-define(RUNS, 300000).
%% Means of a thousand choices of one round.
-define(MEANS, 3000).

%% @doc Request and reply through ring and reply cell between two threads that stay awake: the benchmark of `shm-proto', built
%% at first use; `not_available' without sources and cargo.
-spec ring(file:filename()) -> py_bench_measure:round() | not_available.
ring(Root) ->
    cargo(Root, "shm-proto", "round_trip", [?RUNS]).

%% @doc One choice among so many workers, on so many threads that choose at once: the benchmark of `nif', likewise.
-spec choice(file:filename(), pos_integer(), pos_integer()) -> py_bench_measure:round() | not_available.
choice(Root, Workers, Threads) ->
    cargo(Root, "py_nif", "choice", [?MEANS, Workers, Threads]).

cargo(Root, Package, Bench, Numbers) ->
    case os:find_executable("cargo") of
        false ->
            not_available;
        Cargo ->
            Args = ["bench", "--locked", "-q", "-p", Package, "--bench", Bench, "--", "--histogram" | [integer_to_list(N) || N <- Numbers]],
            Port = open_port({spawn_executable, Cargo}, [{args, Args}, {cd, Root}, binary, exit_status, stderr_to_stdout]),
            histogram(output(Port, <<>>))
    end.

output(Port, Text) ->
    receive
        {Port, {data, Data}} -> output(Port, <<Text/binary, Data/binary>>);
        {Port, {exit_status, _}} -> Text
    end.

-spec histogram(binary()) -> py_bench_measure:round() | not_available.
histogram(Text) ->
    case re:run(Text, "^histogram (\\d+) (\\d+) (.*)$", [multiline, {capture, all_but_first, binary}]) of
        {match, [Ns, Max, Pairs]} ->
            Counts = [pair(Pair) || Pair <- binary:split(Pairs, <<" ">>, [global, trim_all])],
            #{
                ops => lists:sum([Count || {_, Count} <- Counts]),
                ns => binary_to_integer(Ns),
                max => binary_to_integer(Max),
                counts => Counts
            };
        nomatch ->
            not_available
    end.

pair(Pair) ->
    [Bucket, Count] = binary:split(Pair, <<":">>),
    {binary_to_integer(Bucket), binary_to_integer(Count)}.

%% @doc What the call itself takes in a worker, by `timeit': so many times a mean of so many calls, per operation if
%% a call is several.
-spec python({atom(), atom(), [term()]}, pos_integer(), pos_integer(), pos_integer()) -> py_bench_measure:round().
python({Module, Function, Args}, Number, Times, Per) ->
    Names = [[$a, integer_to_list(N)] || N <- lists:seq(1, length(Args))],
    Statement = iolist_to_binary(["f(", lists:join(",", Names), ")"]),
    Code =
        <<"[t * 1e9 / number / per for t in __import__('timeit').repeat(statement, number=number, repeat=times, globals={"
          "**dict(zip(names, args)), 'f': getattr(__import__(module), function)})]">>,
    Locals = #{
        statement => Statement, number => Number, times => Times, per => Per, module => Module, function => Function, args => Args,
        names => [iolist_to_binary(Name) || Name <- Names]
    },
    {ok, Nanoseconds} = py:eval(Code, Locals, infinity),
    py_bench_measure:from_times(Nanoseconds, Number * Per).
