%% @doc The figures of a benchmark as one HTML page that needs nothing else: an overview, and for each workload the distribution of
%% the times of every side on one logarithmic axis. Light and dark.
-module(py_bench_page).

-export([html/3]).

-type row() :: py_unified_bench:row().

%% Width of the pictures, and height of one distribution.
-define(WIDTH, 420).
-define(HEIGHT, 34).
-define(OVERVIEW, 700).
%% Smaller multiples are left out of the overview: that a call is nothing beside its data says nothing.
-define(LEAST, 0.01).

%% @doc The page, as UTF-8.
-spec html(py_bench_report:facts(), #{duration := pos_integer(), warmup := non_neg_integer(), rounds := pos_integer()}, [row()]) -> binary().
html(#{date := Date} = Facts, Method, Rows) ->
    Workloads = grouped(Rows),
    unicode:characters_to_binary([
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        "<title>erlang_python: benchmark of ", Date, "</title>\n<style>", style(), "</style></head>\n<body>\n",
        "<h1>erlang_python: benchmark</h1>\n", machine(Facts, Method), overview(Workloads),
        "<h2>Every workload</h2>\n<p>The areas are distributions of the time of one operation, on a logarithmic axis that all sides of a workload share; "
        "height is the share of operations. Marks: <b>|</b> median, thin lines 99 % and 99.9 %. Times in the table are microseconds, memory is in KiB.</p>\n",
        [workload(Workload) || Workload <- Workloads],
        "</body></html>\n"
    ]).

%% Workloads in the order of their first rows.
-spec grouped([row()]) -> [{string(), [row()]}].
grouped([]) ->
    [];
grouped([#{workload := Name} | _] = Rows) ->
    {Same, Others} = lists:splitwith(fun(#{workload := W}) -> W =:= Name end, Rows),
    [{Name, Same} | grouped(Others)].

style() ->
    [
        ":root{--bg:#fff;--fg:#1c2430;--dim:#5b6675;--line:#d9dfe6;--ours:#1f6feb;--floor:#7d8896;--port:#c9630a;--executor:#8b3fc0;--other:#17805c;--band:#f4f6f9}\n"
        "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e4e9f0;--dim:#98a3b3;--line:#303845;--ours:#5ba0ff;--floor:#8f9bab;--port:#f0964a;--executor:#c58af0;--other:#4fc296;--band:#1a2029}}\n"
        "body{margin:2rem auto;max-width:74rem;padding:0 1rem;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}\n"
        "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .4rem}h3{font-size:1rem;margin:1.8rem 0 .3rem}\n"
        "p{max-width:52rem;margin:.3rem 0 .8rem;color:var(--dim)}b{color:var(--fg)}\n"
        ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}\n"
        "th{font-weight:500;color:var(--dim);text-align:right;padding:.1rem .5rem}th:first-child,td:first-child{text-align:left;padding-left:0}\n"
        "td{text-align:right;padding:0 .5rem;border-top:1px solid var(--line);white-space:nowrap}tr.us td{background:var(--band);font-weight:600}\n"
        "td.axis{border-top:1px solid var(--line)}svg{display:block;overflow:visible}text{fill:var(--dim);font-size:11px}\n"
        "table.sides td:first-child{width:15rem}td:nth-child(2){width:26rem}table.overview td:first-child{width:19rem}\n"
        ".grid{stroke:var(--line)}.one{stroke:var(--dim)}",
        [[$., C, "{fill:var(--", C, ");stroke:var(--", C, ")}.key.", C, "{background:var(--", C, ")}"] || C <- ["ours", "floor", "port", "executor", "other"]],
        "\n"
        ".area{fill-opacity:.35;stroke-width:1}.mark{stroke-width:3}.thin{stroke-width:1}\n"
        ".key{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin:0 .4em 0 0}.legend{max-width:none}.legend span{margin-right:1.2em;white-space:nowrap}\n"
        "circle{stroke-width:2}circle.variant,.key.variant{fill:var(--bg);background:var(--bg)}.key.variant{box-shadow:inset 0 0 0 2px var(--ours)}\n"
        "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;font-size:13px;margin:.8rem 0}dt{color:var(--dim)}dd{margin:0}\n"
    ].

machine(#{cpu := Cpu, cores := Cores, kernel := Kernel, otp := Otp, erts := Erts, python := Python, load := Load, date := Date}, Method) ->
    #{duration := Duration, warmup := WarmUp, rounds := Rounds} = Method,
    Facts = [
        {"machine", io_lib:format("~ts, ~b cores online, Linux ~ts, load ~ts before the run", [Cpu, Cores, Kernel, Load])},
        {"runtime", io_lib:format("OTP ~ts, erts ~ts", [Otp, Erts])},
        {"python", Python},
        {"date", Date},
        {"method", io_lib:format("~b rounds in turns; in each, every side warms up ~b ms and runs ~b ms", [Rounds, WarmUp div Rounds, Duration div Rounds])}
    ],
    ["<dl>", [["<dt>", Name, "</dt><dd>", escape(Text), "</dd>"] || {Name, Text} <- Facts], "</dl>\n"].

%% One line for each workload: a dot for each side, at its time in multiples of ours.

overview(Workloads) ->
    Compared = [{Name, Dots} || {Name, Rows} <- Workloads, Dots <- [[R || #{ratio := Ratio} = R <- Rows, is_float(Ratio), Ratio >= ?LEAST]], length(Dots) > 1],
    Ratios = [Ratio || {_, Dots} <- Compared, #{ratio := Ratio} <- Dots],
    case Ratios of
        [] ->
            [];
        _ ->
            Axis = axis(lists:min(Ratios), lists:max(Ratios), ?OVERVIEW),
            [
                "<h2>Overview</h2>\n<p>Time per operation in multiples of erlang_python's: left of 1 is faster than erlang_python, right of it slower. "
                "Below 1/100 nothing is shown.</p>\n<p class=\"legend\">",
                [["<span><i class=\"key ", Class, "\"></i>", Text, "</span>"] || {Class, Text} <- legend(), Class =/= "other" orelse others(Compared)],
                "</p>\n<div class=\"scroll\"><table class=\"overview\">\n",
                [["<tr><td>", escape(Name), "</td><td>", dots(Dots, Axis), "</td></tr>\n"] || {Name, Dots} <- Compared],
                "<tr><td class=\"axis\"></td><td class=\"axis\">", labels(Axis, ?OVERVIEW, fun multiple/1), "</td></tr>\n</table></div>\n"
            ]
    end.

legend() ->
    [
        {"ours", "erlang_python"}, {"variant", "the same with another setting"}, {"floor", "floor: what no call can beat"}, {"port", "port to a Python process"},
        {"executor", "Python's ProcessPoolExecutor"}, {"other", "other libraries"}
    ].

others(Compared) ->
    lists:any(fun({_, Rows}) -> lists:any(fun(#{side := Side}) -> class(Side) =:= "other" end, Rows) end, Compared).

dots(Rows, Axis) ->
    One = x(1, Axis),
    svg(?OVERVIEW, 22, [
        grid(Axis, 22),
        io_lib:format("<line class=\"one\" x1=\"~.1f\" x2=\"~.1f\" y1=\"0\" y2=\"22\"/>", [One, One]),
        [
            io_lib:format("<circle class=\"~ts\" cx=\"~.1f\" cy=\"11\" r=\"5\" fill-opacity=\"0.8\"><title>~ts: ~ts</title></circle>", [
                [class(Side), case variant(Side) of true -> " variant"; false -> "" end], x(Ratio, Axis), escape(Name), py_bench_report:ratio(Ratio)
            ])
         || #{side := Side, name := Name, ratio := Ratio} <- Rows
        ]
    ]).

%% A table of the sides of one workload, with their distributions.

workload({Name, [#{unit := Unit} | _] = Rows}) ->
    Histograms = [Time || #{histogram := Histogram} <- Rows, {Time, _} <- Histogram],
    Axis = axis(lists:min(Histograms), lists:max(Histograms), ?WIDTH),
    Heads = ["", "", "p50", "p90", "p99", "p99.9", "max", "per second", "time, x ours"],
    [
        "<h3>", escape(Name), "</h3>\n<div class=\"scroll\"><table class=\"sides\">\n<tr>", [["<th>", Head, "</th>"] || Head <- Heads], "</tr>\n",
        [side(Row, Axis) || Row <- Rows],
        "<tr><td class=\"axis\"></td><td class=\"axis\">", labels(Axis, ?WIDTH, case Unit of us -> fun duration/1; 'KiB' -> fun kibibytes/1 end), "</td><td class=\"axis\" colspan=\"7\"></td></tr>\n</table></div>\n"
    ].

side(#{side := Side, name := Name, ops_per_s := Rate, ratio := Ratio} = Row, Axis) ->
    Times = [maps:get(Key, Row) || Key <- [p50, p90, p99, p999, max]],
    [
        case Side of ours -> "<tr class=\"us\">"; _ -> "<tr>" end,
        "<td>", escape(Name), "</td><td>", distribution(Row, Axis), "</td>",
        [["<td>", figure(Time), "</td>"] || Time <- Times],
        "<td>", case is_float(Rate) andalso Rate >= 1000 of true -> figure(Rate); false -> py_bench_report:rate(Rate) end, "</td><td>", py_bench_report:ratio(Ratio), "</td></tr>\n"
    ].

figure(Time) when Time < 10 -> io_lib:format("~.2f", [Time]);
figure(Time) when Time < 1000 -> io_lib:format("~.1f", [Time]);
figure(Time) -> thousands(integer_to_list(round(Time))).

thousands(Digits) when length(Digits) =< 3 -> Digits;
thousands(Digits) ->
    {Front, Back} = lists:split(length(Digits) - 3, Digits),
    [thousands(Front), "\x{202f}", Back].

distribution(#{side := Side, histogram := Histogram, p50 := P50, p99 := P99, p999 := P999}, Axis) ->
    Highest = lists:max([Count || {_, Count} <- Histogram]),
    Class = class(Side),
    Bars = [
        io_lib:format("<rect class=\"~ts area\" x=\"~.1f\" y=\"~.1f\" width=\"~.1f\" height=\"~.1f\" stroke=\"none\"/>", [
            Class, X, ?HEIGHT - Height, Width, Height
        ])
     || {Time, Count} <- Histogram,
        Height <- [max(1.0, (?HEIGHT - 6) * Count / Highest)],
        Left <- [x(Time / math:pow(2, 1 / 32), Axis)],
        X <- [Left],
        Width <- [max(1.5, x(Time * math:pow(2, 1 / 32), Axis) - Left)]
    ],
    Mark = fun(Time, Kind) ->
        At = x(Time, Axis),
        io_lib:format("<line class=\"~ts ~ts\" x1=\"~.1f\" x2=\"~.1f\" y1=\"2\" y2=\"~b\"/>", [Class, Kind, At, At, ?HEIGHT])
    end,
    svg(?WIDTH, ?HEIGHT, [grid(Axis, ?HEIGHT), Bars, Mark(P99, "thin"), Mark(P999, "thin"), Mark(P50, "mark")]).

%% Logarithmic axes, from one power of ten to another.

axis(Least, Most, Width) ->
    Low = floor(math:log10(Least)),
    {Low, max(Low + 1, ceil(math:log10(Most))), Width}.

x(Value, {Low, High, Width}) ->
    min(float(Width), max(0.0, Width * (math:log10(Value) - Low) / (High - Low))).

powers({Low, High, _} = Axis) ->
    [{Power, x(math:pow(10, Power), Axis)} || Power <- lists:seq(Low, High)].

grid(Axis, Height) ->
    [io_lib:format("<line class=\"grid\" x1=\"~.1f\" x2=\"~.1f\" y1=\"0\" y2=\"~b\"/>", [X, X, Height]) || {_, X} <- powers(Axis)].

labels({Low, High, _} = Axis, Width, Text) ->
    svg(Width, 16, [
        io_lib:format("<text x=\"~.1f\" y=\"12\" text-anchor=\"~ts\">~ts</text>", [
            X, case Power of Low -> "start"; High -> "end"; _ -> "middle" end, Text(Power)
        ])
     || {Power, X} <- powers(Axis)
    ]).

multiple(Power) when Power < 0 -> ["1/", power(-Power)];
multiple(Power) -> power(Power).

power(Power) when Power =< 3 -> integer_to_list(round(math:pow(10, Power)));
power(Power) -> ["10<tspan dy=\"-4\" font-size=\"8\">", integer_to_list(Power), "</tspan>"].

duration(Power) when Power < 0 -> [integer_to_list(round(math:pow(10, Power + 3))), " ns"];
duration(Power) when Power < 3 -> [integer_to_list(round(math:pow(10, Power))), " us"];
duration(Power) when Power < 6 -> [integer_to_list(round(math:pow(10, Power - 3))), " ms"];
duration(Power) -> [integer_to_list(round(math:pow(10, Power - 6))), " s"].

kibibytes(Power) -> [power(Power), " KiB"].

svg(Width, Height, Contents) ->
    [
        io_lib:format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"~b\" height=\"~b\" viewBox=\"0 0 ~b ~b\" role=\"img\">", [Width, Height, Width, Height]),
        Contents,
        "</svg>"
    ].

class(Side) when Side =:= ours -> "ours";
class(Side) when Side =:= nif; Side =:= ring; Side =:= python; Side =:= interpreter; Side =:= interpreter_ready; Side =:= idle -> "floor";
class(Side) when Side =:= port_etf; Side =:= port_pickle -> "port";
class(executor) -> "executor";
class(Side) -> case variant(Side) of true -> "ours"; false -> "other" end.

variant(Side) -> lists:member(Side, [message, buffer, warm, one_worker, threads, replacement]).

escape(Text) when is_binary(Text) -> escape(unicode:characters_to_list(Text));
escape(Text) -> lists:flatmap(fun($<) -> "&lt;"; ($>) -> "&gt;"; ($&) -> "&amp;"; ($") -> "&quot;"; (C) -> [C] end, lists:flatten(Text)).
