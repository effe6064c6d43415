%% @doc What {@link py_unified_bench} shows and leaves behind: a table and JSON; the page is made by {@link py_bench_page}.
-module(py_bench_report).

-export([preamble/1, title/2, line/2, side/1, write/2]).
-export([json/1, facts/0, rate/1, ratio/1]).

-export_type([facts/0]).

-type json() :: null | boolean() | number() | atom() | binary() | [json()] | #{atom() | binary() => json()}.
-type facts() :: #{
    cpu := binary(), cores := pos_integer(), kernel := binary(), otp := binary(), erts := binary(), python := binary(), load := binary(), date := binary()
}.
%% The machine and what runs on it.

%% @doc The machine, and how it is measured.
-spec preamble(#{duration := pos_integer(), warmup := non_neg_integer(), rounds := pos_integer(), python := file:filename_all(), _ => _}) -> ok.
preamble(#{duration := Duration, warmup := WarmUp, rounds := Rounds, python := Python}) ->
    #{cpu := Cpu, cores := Cores, kernel := Kernel, otp := Otp, erts := Erts, python := Version, load := Load} = facts(),
    io:format("machine  ~ts, ~b cores online, kernel ~ts, load ~ts~n", [Cpu, Cores, Kernel, Load]),
    io:format("runtime  OTP ~ts, erts ~ts~n", [Otp, Erts]),
    io:format("python   ~ts~n         ~ts~n", [Version, Python]),
    io:format("workers  ~b in pool default~n", [py:num_executors()]),
    io:format("method   ~b round~ts; in each, every side warms up ~b ms and runs ~b ms~n", [
        Rounds, case Rounds of 1 -> ""; _ -> "s" end, WarmUp div Rounds, Duration div Rounds
    ]).

%% @doc What the figures depend on.
-spec facts() -> facts().
facts() ->
    {ok, Version} = py:version(),
    #{
        cpu => unicode:characters_to_binary(processor()),
        cores => erlang:system_info(schedulers_online),
        kernel => first_line("/proc/sys/kernel/osrelease"),
        otp => list_to_binary(erlang:system_info(otp_release)),
        erts => list_to_binary(erlang:system_info(version)),
        python => Version,
        load => hd(binary:split(first_line("/proc/loadavg"), <<" ">>)),
        date => list_to_binary(calendar:system_time_to_rfc3339(erlang:system_time(second), [{offset, "Z"}]))
    }.

-spec processor() -> string().
processor() ->
    case file:read_file("/proc/cpuinfo") of
        {ok, Text} ->
            case re:run(Text, "model name\\s*:\\s*(.*)", [{capture, all_but_first, list}]) of
                {match, [Name]} -> Name;
                nomatch -> erlang:system_info(system_architecture)
            end;
        {error, _} ->
            erlang:system_info(system_architecture)
    end.

first_line(Path) ->
    case file:read_file(Path) of
        {ok, Text} -> hd(binary:split(Text, <<"\n">>));
        {error, _} -> <<"unknown">>
    end.

%% @doc Head of the table of one workload.
-spec title(string(), us | 'KiB') -> ok.
title(Workload, Unit) ->
    io:format("~n~-46ts ~10s ~9s ~9s ~9s ~9s ~9s ~9s~n", [Workload, "per second", ["p50 ", atom_to_list(Unit)], "p90", "p99", "p99.9", "max", "x ours"]).

%% @doc One side of a workload.
-spec line(py_unified_bench:side(), py_unified_bench:row() | {failed, term()}) -> ok.
line(Side, {failed, Why}) ->
    io:format("  ~-44ts not measured: ~0tP~n", [side(Side), Why, 12]);
line(Side, #{ops_per_s := Rate, p50 := P50, p90 := P90, p99 := P99, p999 := P999, max := Max, ratio := Ratio}) ->
    Times = [microseconds(Time) || Time <- [P50, P90, P99, P999, Max]],
    io:format("  ~-44ts ~10ts ~ts ~9ts~n", [side(Side), rate(Rate), lists:join($\s, Times), ratio(Ratio)]).

microseconds(Time) when Time < 10 -> io_lib:format("~9.3f", [Time]);
microseconds(Time) when Time < 10000 -> io_lib:format("~9.1f", [Time]);
microseconds(Time) -> io_lib:format("~9b", [round(Time)]).

%% @doc Operations per second.
-spec rate(float() | undefined) -> io_lib:chars().
rate(undefined) -> "";
rate(Rate) when Rate < 100 -> io_lib:format("~.1f", [Rate]);
rate(Rate) -> integer_to_list(round(Rate)).

%% @doc Time in multiples of ours.
-spec ratio(float() | undefined) -> io_lib:chars().
ratio(undefined) -> "";
ratio(Ratio) when Ratio < 0.0005 -> "<0.001";
ratio(Ratio) when Ratio < 0.095 -> io_lib:format("~.3f", [Ratio]);
ratio(Ratio) when Ratio < 9.95 -> io_lib:format("~.2f", [Ratio]);
ratio(Ratio) -> io_lib:format("~b", [round(Ratio)]).

%% @doc Name of a side for readers.
-spec side(py_unified_bench:side()) -> string().
side(ours) -> "erlang_python";
side(message) -> "erlang_python, inline_budget_us 0";
side(buffer) -> "erlang_python, {buffer, Bin}";
side(warm) -> "erlang_python, without the silence";
side(one_worker) -> "erlang_python, 1 worker";
side(threads) -> "erlang_python, a thread for each scheduler";
side(replacement) -> "erlang_python, from a death to the replacement";
side(interpreter) -> "floor: python -c, to its end";
side(interpreter_ready) -> "floor: python -c, to its first output";
side(idle) -> "floor: the idle node";
side(computing) -> "as many processes that compute in Erlang";
side(nif) -> "floor: empty NIF call";
side(ring) -> "floor: ring and cell, no Python, no BEAM";
side(python) -> "floor: the call inside Python";
side(port_etf) -> "port, terms in plain Python";
side(port_pickle) -> "port, pickle";
side(executor) -> "Python's ProcessPoolExecutor";
side({other, Name}) -> Name.

%% @doc Writes `<date>.json' and `<date>.html' to the directory of results.
-spec write(map(), [py_unified_bench:row()]) -> ok.
write(#{results := none}, _) ->
    ok;
write(#{results := Dir} = Settings, Rows) ->
    #{date := Date} = Facts = facts(),
    File = filename:join(Dir, binary:replace(Date, <<":">>, <<"-">>, [global])),
    ok = filelib:ensure_dir(File),
    Method = maps:with([duration, warmup, rounds], Settings),
    ok = file:write_file(<<File/binary, ".json">>, json(#{machine => Facts, method => Method, rows => [row(Row) || Row <- Rows]})),
    ok = file:write_file(<<File/binary, ".html">>, py_bench_page:html(Facts, Method, Rows)),
    io:format("~nwritten: ~ts.json and .html~n", [File]).

row(#{name := Name, workload := Workload, ratio := Ratio, ops_per_s := Rate, histogram := Histogram} = Row) ->
    (maps:without([side], Row))#{
        histogram := [[Time, Count] || {Time, Count} <- Histogram],
        name := unicode:characters_to_binary(Name),
        workload := unicode:characters_to_binary(Workload),
        ratio := null(Ratio),
        ops_per_s := null(Rate)
    }.

null(undefined) -> null;
null(Number) -> Number.

%% @doc JSON text of maps, lists, numbers and binaries.
-spec json(json()) -> iodata().
json(Atom) when is_atom(Atom) -> json(Atom, Atom =:= null orelse is_boolean(Atom));
json(N) when is_integer(N) -> integer_to_binary(N);
json(F) when is_float(F) -> io_lib:format("~w", [F]);
json(Text) when is_binary(Text) -> [$", [character(C) || <<C/utf8>> <= Text], $"];
json(List) when is_list(List) -> [$[, lists:join($,, [json(Item) || Item <- List]), $]];
json(Map) -> [${, lists:join(",\n", [[json(text(Key)), $:, json(Value)] || {Key, Value} <- maps:to_list(Map)]), $}].

json(Atom, true) -> atom_to_binary(Atom);
json(Atom, false) -> json(text(Atom)).

text(Atom) when is_atom(Atom) -> atom_to_binary(Atom);
text(Text) -> Text.

character(C) when C =:= $"; C =:= $\\ -> [$\\, C];
character(C) when C < 32 -> io_lib:format("\\u~4.16.0b", [C]);
character(C) -> <<C/utf8>>.
