%% The samples of a soak as one SVG picture that needs nothing else, and as CSV.
-module(py_soak_plot).

-export([svg/1, csv/1]).

-define(WIDTH, 900).
-define(HEIGHT, 130).
-define(LEFT, 70).
-define(GAP, 46).

keys() ->
    [
        time, done, rate, p50, p99, p999, node_rss, erlang, worker_rss, largest_worker, workers, descriptors, threads, processes, atoms, restarts
    ].

csv(Samples) ->
    [lists:join(",", [atom_to_list(Key) || Key <- keys()]), "\n" | [[lists:join(",", [cell(maps:get(Key, Sample)) || Key <- keys()]), "\n"] || Sample <- Samples]].

cell(none) -> "";
cell(Value) when is_integer(Value) -> integer_to_list(Value);
cell(Value) -> float_to_list(Value, [{decimals, 3}]).

panels() ->
    [
        {"pieces of work per second", linear, [{rate, "throughput"}]},
        {"ms of a single call beside all else", logarithmic, [{p50, "p50"}, {p99, "p99"}, {p999, "p99.9"}]},
        {"memory of the node, MB", linear, [{node_rss, "resident"}, {erlang, "Erlang's own"}]},
        {"resident memory of a worker, MB", linear, [{worker_rss, "mean"}, {largest_worker, "largest"}]},
        {"of the node", linear, [{descriptors, "descriptors"}, {processes, "Erlang processes"}, {threads, "threads"}]},
        {"workers replaced so far, of those that are there", linear, [{restarts, "restarts"}]}
    ].

svg(Samples) ->
    Panels = panels(),
    Height = length(Panels) * (?HEIGHT + ?GAP) + 30,
    End = maps:get(time, lists:last(Samples)),
    unicode:characters_to_binary([
        io_lib:format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ~b ~b\" font-family=\"sans-serif\" font-size=\"12\">\n", [?LEFT + ?WIDTH + 20, Height]),
        "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        [panel(Panel, Place, Samples, End) || {Place, Panel} <- lists:enumerate(0, Panels)],
        "</svg>\n"
    ]).

panel({Title, Scale, Lines}, Place, Samples, End) ->
    Values = [Value || {Key, _} <- Lines, #{Key := Value} <- Samples, Value =/= none],
    Axis = axis(Scale, Values),
    Colours = ["#1f6feb", "#d1571e", "#6e7781"],
    Coloured = lists:zip(Lines, lists:sublist(Colours, length(Lines))),
    [
        io_lib:format("<g transform=\"translate(~b,~b)\">\n", [?LEFT, Place * (?HEIGHT + ?GAP) + 26]),
        io_lib:format("<text x=\"0\" y=\"-8\" fill=\"#24292f\" font-weight=\"bold\">~ts</text>\n", [Title]),
        [
            io_lib:format("<text x=\"~b\" y=\"-8\" fill=\"~ts\" text-anchor=\"end\">~ts</text>\n", [?WIDTH - 120 * (length(Lines) - N), Colour, Name])
         || {N, {{_, Name}, Colour}} <- lists:enumerate(Coloured)
        ],
        [
            io_lib:format("<line x1=\"0\" x2=\"~b\" y1=\"~.1f\" y2=\"~.1f\" stroke=\"#d0d7de\"/><text x=\"-6\" y=\"~.1f\" fill=\"#57606a\" text-anchor=\"end\">~ts</text>\n", [
                ?WIDTH, Y, Y, Y + 4, figure(Tick)
            ])
         || Tick <- ticks(Axis), Y <- [y(Tick, Axis)]
        ],
        [
            io_lib:format("<text x=\"~.1f\" y=\"~b\" fill=\"#57606a\" text-anchor=\"middle\">~ts</text>\n", [?WIDTH * Part / 4, ?HEIGHT + 15, moment(End * Part / 4)])
         || Part <- lists:seq(0, 4)
        ],
        [
            io_lib:format("<polyline fill=\"none\" stroke=\"~ts\" stroke-width=\"1.3\" points=\"~ts\"/>\n", [
                Colour, lists:join(" ", [io_lib:format("~.1f,~.1f", [?WIDTH * T / End, y(V, Axis)]) || #{time := T, Key := V} <- Samples, V =/= none])
            ])
         || {{Key, _}, Colour} <- Coloured
        ],
        "</g>\n"
    ].

axis(_, []) -> {linear, 0, 1};
axis(linear, Values) -> {linear, 0, max(1, lists:max(Values) * 1.05)};
axis(logarithmic, Values) ->
    Low = floor(math:log10(max(0.001, lists:min(Values)))),
    {logarithmic, Low, max(Low + 1, ceil(math:log10(lists:max(Values))))}.

y(Value, {linear, Low, High}) -> ?HEIGHT * (1 - (Value - Low) / (High - Low));
y(Value, {logarithmic, Low, High}) -> ?HEIGHT * (1 - (math:log10(max(0.001, Value)) - Low) / (High - Low)).

ticks({linear, Low, High}) ->
    Step = step((High - Low) / 4),
    [Step * N || N <- lists:seq(0, floor(High / Step))];
ticks({logarithmic, Low, High}) ->
    [math:pow(10, N) || N <- lists:seq(Low, High)].

%% The next of 1, 2, 5, 10, ...
step(Least) ->
    Power = math:pow(10, floor(math:log10(Least))),
    hd([Step || Step <- [Power, 2 * Power, 5 * Power, 10 * Power], Step >= Least]).

figure(Value) when Value == 0 -> "0";
figure(Value) when Value < 1 -> io_lib:format("~p", [Value]);
figure(Value) -> integer_to_list(round(Value)).

moment(Seconds) when Seconds < 120 -> [integer_to_list(round(Seconds)), " s"];
moment(Seconds) -> [integer_to_list(round(Seconds / 60)), " min"].
