%% Wrappers of Python modules: what they are made of, what they look like, and that each of them does what it says.
%%
%% tests/golden has the wrappers of the packages gen_fixture and gen_stubbed in tests/apps, and their descriptions as CPython 3.11 gives them. After a
%% change that is wanted, PY_GEN_GOLDEN=write makes them again.
-module(py_gen_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() ->
    [
        golden, every_python, compiles, functions, keywords, coroutines_and_generators, constants, objects, methods_of_classes, kinds_of_classes, annotated, overloads_and_stubs,
        clashes, renames, drift, strange_files, no_docs, refused, sizes, others, shell
    ].

-define(MODULES, [gen_fixture, 'gen_fixture.annotated', 'gen_fixture.objects', 'gen_fixture.typed', gen_stubbed]).

init_per_suite(Config) ->
    ok = py_test:start([{paths, [py_test:apps()]}]),
    Golden = golden_dir(),
    [
        begin
            Options = [{outdir, proplists:get_value(priv_dir, Config)}, debug_info, warnings_as_errors, return_errors, report_warnings],
            {ok, _} = compile:file(Path, Options)
        end
     || Path <- sources(Golden)
    ],
    true = code:add_patha(proplists:get_value(priv_dir, Config)),
    Config.

end_per_suite(Config) ->
    true = code:del_path(proplists:get_value(priv_dir, Config)),
    [begin code:purge(Module), code:delete(Module), code:purge(Module) end || Path <- sources(golden_dir()), Module <- [list_to_atom(filename:basename(Path, ".erl"))]],
    py_test:stop().

golden_dir() ->
    Dir = filename:join(py_test:apps(), "../golden"),
    case os:getenv("PY_GEN_GOLDEN") of
        "write" ->
            {ok, _} = py_gen:generate(?MODULES, #{prefix => fx, out => Dir}),
            ok = file:write_file(filename:join(Dir, "descriptions.json"), descriptions("python3.11"));
        false ->
            ok
    end,
    Dir.

sources(Dir) -> filelib:wildcard(filename:join(Dir, "fx_*.erl")).

dir(Case, Config) -> filename:join(proplists:get_value(priv_dir, Config), Case).

%% What an interpreter says of the fixtures. The docstrings of its own C functions are its own business; some are built without.
descriptions(Python) ->
    Program =
        "import json, sys; sys.path[:0] = sys.argv[1:3]; import _erlang_gen; "
        "told = [dict(_erlang_gen.describe(m), version='') for m in sys.argv[3:]]; "
        "[one.update(doc='') for d in told for one in d['members'] if one.get('source') == 'time']; "
        "print(json.dumps(told, indent=1, sort_keys=True))",
    Apps = py_test:apps(),
    Library = filename:join(code:priv_dir(erlang_python), "python"),
    Modules = [[" ", atom_to_list(Module)] || Module <- ?MODULES],
    unicode:characters_to_binary(os:cmd(lists:flatten([Python, " -B -c \"", Program, "\" ", Library, " ", Apps, Modules]))).

%% The same surface gives the same bytes, which are those that are committed.
%% covers: py_gen:check/2
golden(Config) ->
    Golden = golden_dir(),
    ?assertEqual(ok, py_gen:check(?MODULES, #{prefix => fx, out => Golden})),
    Dir = dir(golden, Config),
    {ok, Paths} = py_gen:generate(?MODULES, #{prefix => fx, out => Dir}),
    Names = [filename:basename(Path) || Path <- Paths],
    ?assertEqual([filename:basename(Path) || Path <- sources(Golden)], lists:sort(Names)),
    [?assertEqual({Name, file:read_file(filename:join(Golden, Name))}, {Name, file:read_file(filename:join(Dir, Name))}) || Name <- Names],
    {ok, []} = py_gen:generate(?MODULES, #{prefix => fx, out => Dir}).

%% The description is the same on every version of Python.
every_python(_Config) ->
    {ok, Golden} = file:read_file(filename:join(golden_dir(), "descriptions.json")),
    [_ | _] = [?assertEqual({Version, Golden}, {Version, descriptions(Python)}) || {Version, Python} <- py_test:pythons()].

%% With warnings as errors, that is done above; the types are good ones as well.
compiles(Config) ->
    Dir = proplists:get_value(priv_dir, Config),
    Beams = [filename:join(Dir, filename:basename(Path, ".erl") ++ ".beam") || Path <- sources(golden_dir())],
    Plt = filename:join(Dir, "plt"),
    Ours = [code:which(Module) || Module <- [py, py_wrapper, py_options, py_config, py_object]],
    _ = dialyzer:run([{analysis_type, plt_build}, {output_plt, Plt}, {files, Ours ++ [code:which(M) || M <- [lists, maps, string, unicode]]}]),
    Found = dialyzer:run([{init_plt, Plt}, {files, Beams}, {warnings, [unmatched_returns, underspecs]}, {check_plt, false}]),
    ?assertEqual([], [dialyzer:format_warning(Warning) || {_, _, {Kind, _}} = Warning <- Found, Kind =/= unknown_function, Kind =/= unknown_type]).

functions(_Config) ->
    {ok, [1, 2]} = fx_gen_fixture:required(1, 2),
    {ok, [1, 2, 3]} = fx_gen_fixture:defaults(1),
    {ok, [1, 5, 6]} = fx_gen_fixture:defaults(1, [{b, 5}, {c, 6}], #{}),
    {ok, [1, 5, 6]} = fx_gen_fixture:defaults(1, #{<<"b">> => 5, "c" => 6}, 5000),
    {ok, [1, 2, 3]} = fx_gen_fixture:positional(1),
    {ok, [1, 5, 6]} = fx_gen_fixture:positional(1, [{c, 6}, {b, 5}], #{}),
    {ok, [7, none]} = fx_gen_fixture:keyword_only([{key, 7}], #{}),
    {ok, <<"a-b-c">>} = fx_gen_fixture:star(<<"a">>, [<<"b">>, <<"c">>]),
    {ok, <<"a+b">>} = fx_gen_fixture:star(<<"a">>, [<<"b">>], [{sep, <<"+">>}], #{}),
    {ok, [1, 1, []]} = fx_gen_fixture:star_after_default(1, []),
    {ok, [1, 2, [3, 4]]} = fx_gen_fixture:star_after_default(1, [3, 4], [{b, 2}], #{}),
    {ok, [1, 2, []]} = fx_gen_fixture:star_after_default(1, [], [{b, 2}], #{}),
    {ok, #{<<"x">> := 1, <<"end">> := 2}} = fx_gen_fixture:anything([{x, 1}, {'end', 2}], #{}),
    {ok, [1, 1, [], 2, 4, #{}]} = fx_gen_fixture:everything(1, [], [{c, 2}], #{}),
    {ok, [1, 5, [6], 2, 3, #{<<"e">> := 7}]} = fx_gen_fixture:everything(1, [6], [{b, 5}, {c, 2}, {d, 3}, {e, 7}], #{}),
    {ok, [1, 2, 3, 4, 5, 6]} = fx_gen_fixture:names(1, 2, 3, 4, 5, [{'when', 6}], #{}),
    {ok, [1, 2, [3], 5, 4]} = fx_gen_fixture:hidden(1, [3], [{'_b', 2}, {'_c', 5}], #{}),
    {error, {badarg, {keyword, <<"_d">>, _}}} = fx_gen_fixture:hidden(1, [], [{'_c', 5}, {'_d', 2}], #{}),
    {ok, <<"2020">>} = fx_gen_fixture:formatted([<<"%Y">>, {2020, 1, 1, 0, 0, 0, 0, 1, 0}]),
    {error, {'TypeError', _}} = fx_gen_fixture:formatted([], [{x, 1}], #{}),
    {ok, <<"\"\"\"">>} = fx_gen_fixture:quoted(),
    {ok, <<"HO!">>} = fx_gen_fixture:shout(<<"ho">>),
    {ok, 2} = fx_gen_fixture:cached(),
    {ok, 8} = fx_gen_fixture:cached([{x, 4}], #{}),
    {ok, {py_object, _}} = fx_gen_fixture:managed(1),
    {error, {'FixtureError', "no"}} = fx_gen_fixture:fails(),
    {error, #{type := 'FixtureError', traceback := _}} = fx_gen_fixture:fails([], #{error => map}).

%% What the function does not have is an error here: nothing crosses.
keywords(_Config) ->
    Text = fun({error, {badarg, {keyword, _, Message}}}) -> Message end,
    ?assertEqual(<<"gen_fixture.star has no keyword argument sepp; did you mean sep?">>, Text(fx_gen_fixture:star(<<"a">>, [], [{sepp, 1}], #{}))),
    ?assertEqual(<<"gen_fixture.defaults has no keyword argument zzzzzz; it has b, c">>, Text(fx_gen_fixture:defaults(1, #{<<"zzzzzz">> => 1}, #{}))),
    ?assertEqual(<<"gen_fixture.required has no keyword argument a, nor any other">>, Text(fx_gen_fixture:required(1, 2, [{a, 1}], #{}))),
    ?assertEqual(<<"gen_fixture.keyword_only needs keyword argument key">>, Text(fx_gen_fixture:keyword_only([], #{}))),
    ?assertEqual(<<"gen_fixture.positional: c goes to Python by position, and needs b before it">>, Text(fx_gen_fixture:positional(1, [{c, 1}], #{}))),
    ?assertEqual(<<"gen_fixture.star_after_default: positional arguments after b need b">>, Text(fx_gen_fixture:star_after_default(1, [2], [], #{}))),
    {ok, Counter} = fx_gen_fixture_objects_counter:new(),
    ?assertEqual(<<"increment has no keyword argument time; did you mean times?">>, Text(fx_gen_fixture_objects_counter:increment(Counter, [{time, 1}], #{}))),
    {ok, 0} = fx_gen_fixture_objects_counter:value(Counter),
    %% What is no list of keyword arguments is refused as everywhere.
    [{error, {badarg, _}} = fx_gen_fixture:defaults(1, Junk, #{}) || Junk <- [junk, [junk], 1]],
    [{error, {badarg, _}} = fx_gen_fixture:keyword_only(Junk, #{}) || Junk <- [junk, [junk], 1]],
    {error, {bad_option, junk}} = fx_gen_fixture:required(1, 2, [], #{junk => 1}).

coroutines_and_generators(_Config) ->
    {ok, 3} = fx_gen_fixture:later(3),
    {ok, 5} = fx_gen_fixture:later(3, [{add, 2}], #{}),
    {ok, [0, 1, 2]} = fx_gen_fixture:count(3),
    {ok, [0, 2, 4]} = fx_gen_fixture:count(3, [{step, 2}], #{}),
    {ok, [0, 1]} = fx_gen_fixture:acount(2),
    {error, timeout} = fx_gen_fixture:endless([], #{timeout => 200}),
    {ok, Counter} = fx_gen_fixture_objects_counter:new([{start, 1}], #{}),
    {ok, [1, 3]} = fx_gen_fixture_objects_counter:upto(Counter, 4, [{step, 2}], #{}),
    {ok, [1, 2]} = fx_gen_fixture_objects_counter:aupto(Counter, 3),
    {ok, 4} = fx_gen_fixture_objects_counter:later(Counter, [{add, 3}], #{}).

constants(_Config) ->
    {ok, 10} = fx_gen_fixture:limit(),
    {ok, {<<"a">>, <<"b">>}} = fx_gen_fixture:letters(),
    {ok, 10} = fx_gen_fixture:limit(5000),
    {ok, Lazy} = fx_gen_fixture:lazy(),
    true = py:is_ref(Lazy),
    {error, {'LookupError', _}} = py:getattr(Lazy, anything).

objects(_Config) ->
    {ok, Counter} = fx_gen_fixture_objects_counter:new([{start, 2}, {step, 3}], #{}),
    true = py:is_ref(Counter),
    {ok, 5} = fx_gen_fixture_objects_counter:increment(Counter),
    {ok, 11} = fx_gen_fixture_objects_counter:increment(Counter, [{times, 2}], #{}),
    {ok, 11} = fx_gen_fixture_objects_counter:value(Counter),
    ok = fx_gen_fixture_objects_counter:set_value(Counter, 4),
    {ok, 4} = fx_gen_fixture_objects_counter:value(Counter),
    {ok, <<"fixed">>} = fx_gen_fixture_objects_counter:fixed(Counter),
    {ok, <<"counter">>} = fx_gen_fixture_objects_counter:kind(Counter),
    {ok, <<"counter">>} = fx_gen_fixture_objects_counter:overridden(Counter),
    {ok, <<"inherited">>} = fx_gen_fixture_objects_counter:inherited(Counter),
    {ok, <<"counter">>} = fx_gen_fixture_objects_base:overridden(Counter),
    {ok, Another} = fx_gen_fixture_objects_counter:another(Counter),
    {ok, 7} = fx_gen_fixture_objects_counter:increment(Another),
    {ok, 4} = fx_gen_fixture_objects_counter:value(Counter),
    {ok, 12} = fx_gen_fixture_objects_counter:call(Counter, 3),
    {ok, 4} = fx_gen_fixture_objects_counter:len(Counter),
    {ok, 6} = fx_gen_fixture_objects_counter:getitem(Counter, 2),
    {ok, true} = fx_gen_fixture_objects_counter:contains(Counter, 4),
    {ok, [0, 1, 2, 3]} = fx_gen_fixture_objects_counter:iter(Counter),
    {ok, none} = fx_gen_fixture_objects_counter:made_by(Counter),
    ok = fx_gen_fixture_objects_counter:set_made_by(Counter, <<"me">>),
    {ok, <<"me">>} = fx_gen_fixture_objects_counter:made_by(Counter),
    {ok, 100} = fx_gen_fixture_objects_counter:limit(Counter),
    {ok, 10} = fx_gen_fixture_objects_counter:total(Counter, [1, 2], [{start, 7}], #{}),
    {ok, Limit} = fx_gen_fixture_objects_counter_limit:new([{value, 6}], #{}),
    {ok, 6} = fx_gen_fixture_objects_counter_limit:get(Limit),
    {ok, Slotted} = fx_gen_fixture_objects_slotted:new(9),
    {ok, 9} = fx_gen_fixture_objects_slotted:x(Slotted),
    {error, {'AttributeError', _}} = fx_gen_fixture_objects_counter:value(Slotted),
    [{error, {badarg, ref}} = Refused || Refused <- [fx_gen_fixture_objects_counter:value(junk), fx_gen_fixture_objects_counter:set_value(junk, 1)]].

methods_of_classes(_Config) ->
    {ok, Counter} = fx_gen_fixture_objects_counter:from_text(<<"41">>),
    {ok, 42} = fx_gen_fixture_objects_counter:increment(Counter),
    {ok, Other} = fx_gen_fixture_objects_counter:from_text(<<"41">>, [{step, 9}], #{}),
    {ok, 50} = fx_gen_fixture_objects_counter:increment(Other),
    {ok, 3} = fx_gen_fixture_objects_counter:add(2),
    {ok, 5} = fx_gen_fixture_objects_counter:add(2, [{b, 3}], #{}).

kinds_of_classes(_Config) ->
    {ok, [1, 2]} = fx_gen_fixture_objects:unsaid([1, 2]),
    {ok, Unsaid} = fx_gen_fixture_objects_unsaid:new(),
    {ok, [3]} = fx_gen_fixture_objects_unsaid:call(Unsaid, [3]),
    {ok, Fine} = fx_gen_fixture_objects_fine:new(),
    {ok, 1} = fx_gen_fixture_objects_fine:increment(Fine),
    {ok, Limit} = fx_gen_fixture_objects_fine_limit:new(),
    {ok, 5} = fx_gen_fixture_objects_fine_limit:get(Limit),
    %% A class that another one names is no class of its own there.
    {ok, Plain} = fx_gen_fixture_objects_base:new(),
    {ok, Favourite} = fx_gen_fixture_objects_base:favourite(Plain),
    {ok, <<"Counter">>} = py:getattr(Favourite, '__name__'),
    {ok, Started} = fx_gen_fixture_objects_counter:new(),
    {ok, Fallback} = fx_gen_fixture_objects_counter:fallback(Started),
    {ok, <<"Base">>} = py:getattr(Fallback, '__name__'),
    {ok, Point} = fx_gen_fixture_objects_point:new(3, [{y, 4}], #{}),
    {ok, 5.0} = fx_gen_fixture_objects_point:norm(Point),
    {ok, #{<<"x">> := 3, <<"y">> := 4, <<"tags">> := []}} = fx_gen_fixture_objects_point:to_map(Point),
    ok = fx_gen_fixture_objects_point:set_x(Point, 30),
    {ok, 30} = fx_gen_fixture_objects_point:x(Point),
    {ok, <<"30,4">>} = fx_gen_fixture_objects:describe(Point),
    {ok, Frozen} = fx_gen_fixture_objects_frozen:new(<<"n">>),
    {ok, <<"n">>} = fx_gen_fixture_objects_frozen:name(Frozen),
    false = erlang:function_exported(fx_gen_fixture_objects_frozen, set_name, 2),
    {ok, Red} = fx_gen_fixture_objects_color:red(),
    {ok, 1} = fx_gen_fixture_objects_color:value(Red),
    {ok, <<"RED">>} = fx_gen_fixture_objects_color:name(Red),
    {ok, <<"red">>} = fx_gen_fixture_objects_color:lower(Red),
    {ok, Green} = fx_gen_fixture_objects_color:new(<<"g">>),
    {ok, <<"green">>} = fx_gen_fixture_objects_color:name(Green),
    {ok, Same} = fx_gen_fixture_objects:color(<<"RED">>),
    {ok, <<"red">>} = fx_gen_fixture_objects_color:lower(Same),
    {ok, High} = fx_gen_fixture_objects_level:high(),
    {ok, 2} = fx_gen_fixture_objects:level(High),
    {ok, 1} = fx_gen_fixture_objects:level(1),
    {ok, Pair} = fx_gen_fixture_annotated_pair:new(1),
    {ok, 0.5} = fx_gen_fixture_annotated_pair:right(Pair),
    {ok, 1} = fx_gen_fixture_annotated_pair:left(Pair),
    {ok, {1, 0.5}} = fx_gen_fixture_annotated:pair(Pair),
    {ok, #{<<"title">> := <<"t">>}} = fx_gen_fixture_annotated:movie(#{title => <<"t">>}).

annotated(_Config) ->
    {ok, {1, 2.0, <<"c">>, <<"d">>, true, none}} = fx_gen_fixture_annotated:scalars(1, 2.0, <<"c">>, {bytes, <<"d">>}, true),
    {ok, none} = fx_gen_fixture_annotated:optional(),
    {ok, 4} = fx_gen_fixture_annotated:optional([{x, 4}], #{}),
    {ok, 4} = fx_gen_fixture_annotated:either(4),
    {ok, <<"w">>} = fx_gen_fixture_annotated:text(w),
    {ok, [1, 2]} = fx_gen_fixture_annotated:sequence([1], [{y, [<<"2">>]}], #{}),
    {ok, {<<"1">>, <<"2">>, <<"x">>}} = fx_gen_fixture_annotated:tuples({1}, {2, <<"x">>}),
    {ok, #{<<"k">> := [1]}} = fx_gen_fixture_annotated:mapping(#{k => 1}),
    {ok, 1} = fx_gen_fixture_annotated:nested([#{a => {1}}]),
    {ok, Abs} = py:eval(<<"abs">>, #{}, #{return => ref}),
    {ok, 3} = fx_gen_fixture_annotated:call(Abs, -3),
    {ok, [0, 1]} = fx_gen_fixture_annotated:iterate(2),
    {ok, 6.5} = fx_gen_fixture_annotated:numbers([1, 2], [{x, 3.5}], #{}),
    {ok, Counter} = fx_gen_fixture_objects_counter:new([{start, 3}], #{}),
    {ok, 3} = fx_gen_fixture_annotated:sized(Counter),
    {ok, Point} = fx_gen_fixture_objects_point:new(3),
    {ok, Same} = fx_gen_fixture_annotated:point(Point),
    {ok, 3} = fx_gen_fixture_objects_point:x(Same),
    Spec = fun(Module, Name, Arity) ->
        {ok, {_, [{abstract_code, {_, Forms}}]}} = beam_lib:chunks(code:which(Module), [abstract_code]),
        [Text] = [erl_pp:form(Form) || {attribute, _, spec, {{N, A}, _}} = Form <- Forms, N =:= Name, A =:= Arity],
        re:replace(Text, "\\s+", " ", [global, {return, list}])
    end,
    Has = fun(Name, Arity, Parts) ->
        Text = Spec(fx_gen_fixture_annotated, Name, Arity),
        [?assertMatch({_, {_, _}}, {{Text, Part}, binary:match(list_to_binary(Text), list_to_binary(Part))}) || Part <- Parts]
    end,
    Has(scalars, 5, ["integer()", "number()", "boolean()", "{bytes, binary()}", "none}"]),
    Has(optional, 0, ["{ok, integer() | none}"]),
    Has(either, 1, ["integer() | binary()", "{ok, integer() | binary()}"]),
    Has(text, 1, ["r |", "w |", "1 | true | none", "{ok, binary()}"]),
    Has(tuples, 2, ["tuple()", "{integer(), binary()"]),
    Has(mapping, 1, ["{ok, #{binary() => [integer()]}}"]),
    Has(call, 2, ["py:ref(), integer()"]),
    Has(movie, 1, ["movie()"]),
    Has(pair, 1, ["fx_gen_fixture_annotated_pair:t()", "{ok, {integer(), float()"]).

overloads_and_stubs(_Config) ->
    {ok, 3} = fx_gen_fixture_annotated:both(3),
    {ok, <<"xx">>} = fx_gen_fixture_annotated:both(<<"x">>, [{times, 2}], #{}),
    {ok, <<"aaa">>} = fx_gen_fixture_typed:twice(<<"a">>, [{times, 3}], #{}),
    {ok, none} = fx_gen_fixture_typed:plain(none),
    {ok, <<"%">>} = fx_gen_fixture_typed:formatted(<<"%%">>),
    {ok, Thing} = fx_gen_fixture_typed_thing:new(<<"n">>),
    {ok, Renamed} = fx_gen_fixture_typed_thing:rename(Thing, <<"m">>),
    {ok, <<"m">>} = fx_gen_fixture_typed_thing:name(Renamed),
    {ok, <<"m">>} = fx_gen_fixture_typed_thing:get(Thing, <<"name">>),
    {ok, 4} = fx_gen_fixture_typed_thing:get(Thing, <<"x">>, [{default, 4}], #{}),
    {ok, 3.0} = gen_stubbed_area().

gen_stubbed_area() -> fx_gen_stubbed:area(2.0, [{height, 1.5}], #{}).

-define(RENAMES, #{
    'gen_fixture.clashing.receive' => receive_it, "gen_fixture.clashing.nan" => <<"nan_">>, 'gen_fixture.clashing.Box.new' => another, 'gen_fixture.clashing.Box.x.setter' => put_x
}).

%% Nothing is dropped: the generator stops, and says what helps; what it says does.
clashes(Config) ->
    Dir = dir(clashes, Config),
    {error, Text} = py_gen:generate(['gen_fixture.clashing'], #{prefix => fx, out => Dir}),
    {match, Lines} = re:run(unicode:characters_to_list(Text), "--rename (\\S+)=(\\S+)", [global, {capture, all_but_first, list}]),
    ?assertEqual(
        ["gen_fixture.clashing.Box.new", "gen_fixture.clashing.Box.x.setter", "gen_fixture.clashing.nan", "gen_fixture.clashing.receive"], lists:sort([From || [From, _] <- Lines])
    ),
    {error, enoent} = file:list_dir(Dir),
    {ok, [_, _]} = py_gen:generate(['gen_fixture.clashing'], #{prefix => fx, out => Dir, renames => maps:from_list([{From, To} || [From, To] <- Lines])}).

renames(Config) ->
    Dir = dir(renames, Config),
    Options = #{prefix => fx, out => Dir, renames => ?RENAMES},
    {ok, [_, _] = Paths} = py_gen:generate(['gen_fixture.clashing'], Options),
    Modules = [element(2, {ok, _} = compile:file(Path, [{outdir, Dir}, warnings_as_errors, report])) || Path <- Paths],
    [{module, Module} = code:load_abs(filename:join(Dir, Module)) || Module <- Modules],
    {ok, [<<"receive">>, 1]} = fx_gen_fixture_clashing:receive_it(1),
    {ok, <<"Nan">>} = fx_gen_fixture_clashing:nan(),
    {ok, <<"nan">>} = fx_gen_fixture_clashing:nan_(),
    {ok, Box} = fx_gen_fixture_clashing_box:new(),
    ok = fx_gen_fixture_clashing_box:put_x(Box, 2),
    {ok, 2} = fx_gen_fixture_clashing_box:x(Box),
    {ok, none} = fx_gen_fixture_clashing_box:set_x(Box, 2),
    {ok, 20} = fx_gen_fixture_clashing_box:x(Box),
    {ok, _} = fx_gen_fixture_clashing_box:another(Box),
    %% The header has what made the file.
    {ok, Text} = file:read_file(hd(Paths)),
    {_, _} = binary:match(Text, <<"py_gen gen_fixture.clashing --prefix fx --rename gen_fixture.clashing.nan=nan_">>),
    ok = py_gen:check(['gen_fixture.clashing'], Options),
    Refused = fun(Renames) -> unicode:characters_to_binary(element(2, {error, _} = py_gen:generate(['gen_fixture.clashing'], Options#{renames => Renames}))) end,
    {_, _} = binary:match(Refused((?RENAMES)#{gone => x}), <<"there is no gone">>),
    {_, _} = binary:match(Refused((?RENAMES)#{"gen_fixture.clashing.fn" => "1x"}), <<"no name of a function">>),
    {_, _} = binary:match(Refused((?RENAMES)#{"gen_fixture.clashing.fn" => "nan"}), <<"--rename">>),
    [begin code:purge(Module), code:delete(Module) end || Module <- Modules].

%% covers: py_gen:generate/2, py_gen:check/2
drift(Config) ->
    Dir = dir(drift, Config),
    Package = filename:join(Dir, "gen_drift.py"),
    ok = filelib:ensure_dir(Package),
    Write = fun(Code) ->
        ok = file:write_file(Package, Code),
        ok = py:exec_all([<<"import sys, importlib; sys.modules.pop('gen_drift', None); importlib.invalidate_caches(); sys.path.insert(0, '">>, Dir, <<"'); sys.dont_write_bytecode = True">>])
    end,
    Out = filename:join(Dir, "src"),
    Options = #{prefix => fx, out => Out},
    Check = fun() ->
        case py_gen:check([gen_drift], Options) of
            ok -> ok;
            {error, Text} -> unicode:characters_to_binary(Text)
        end
    end,
    Mentions = fun(Part) -> Text = Check(), ?assertMatch({_, _, {_, _}}, {Text, Part, binary:match(Text, Part)}) end,
    Write(<<"def f(x): return x\ndef g(x):\n    'Doc.'\n    return x\n">>),
    Mentions(<<"fx_gen_drift.erl: added    the file">>),
    {ok, [Path]} = py_gen:generate([gen_drift], Options),
    ok = Check(),
    {ok, []} = py_gen:generate([gen_drift], Options),
    %% A line that has moved changes nothing.
    Write(<<"\n\ndef f(x): return x\ndef g(x):\n    'Doc.'\n    return x\n">>),
    ok = Check(),
    Write(<<"def f(x, *, y=1): return x\ndef h(x):\n    return x\ndef g(x):\n    'Other.'\n    return x\n">>),
    Mentions(<<"added    h/1">>),
    Mentions(<<"changed  f/3\n  - ">>),
    Mentions(<<"changed  g/1\n  its documentation">>),
    {ok, [Path]} = py_gen:generate([gen_drift], Options),
    ok = Check(),
    Write(<<"def f(x, *, y=1): return x\n">>),
    Mentions(<<"removed  h/1">>),
    {ok, [Path]} = py_gen:generate([gen_drift], Options),
    {ok, Text} = file:read_file(Path),
    ok = file:write_file(Path, [Text, "\nf(_, _) -> ok.\n"]),
    Mentions(<<"was edited by hand">>),
    {error, _} = py_gen:check([gen_drift], Options#{docs => false}).

%% What was made of a class that is gone goes with it; other files stay.
strange_files(Config) ->
    Out = dir(strange, Config),
    Options = #{prefix => fx, out => Out},
    {ok, [_ | _]} = py_gen:generate(['gen_fixture.objects'], Options),
    Gone = filename:join(Out, "fx_gen_fixture_objects_gone.erl"),
    Other = filename:join(Out, "other.erl"),
    {ok, _} = file:copy(filename:join(Out, "fx_gen_fixture_objects_base.erl"), Gone),
    ok = file:write_file(Other, "-module(other).\n"),
    {error, Text} = py_gen:check(['gen_fixture.objects'], Options),
    {_, _} = binary:match(unicode:characters_to_binary(Text), <<"fx_gen_fixture_objects_gone.erl: removed  the file">>),
    {ok, _} = py_gen:generate(['gen_fixture.objects'], Options),
    false = filelib:is_file(Gone),
    true = filelib:is_file(Other),
    ok = py_gen:check(['gen_fixture.objects'], Options).

no_docs(Config) ->
    Out = dir(no_docs, Config),
    {ok, [Path]} = py_gen:generate([gen_stubbed], #{prefix => fx, out => Out, docs => false}),
    {ok, Text} = file:read_file(Path),
    {_, _} = binary:match(Text, <<"--prefix fx --no-docs`">>),
    nomatch = binary:match(Text, <<"Its stub">>).

refused(Config) ->
    Out = dir(refused, Config),
    Refused = fun(Modules, Options) -> unicode:characters_to_binary(element(2, {error, _} = py_gen:generate(Modules, Options#{out => Out}))) end,
    ?assertMatch(<<"could not describe no_such_module: ModuleNotFoundError", _/binary>>, Refused([no_such_module], #{})),
    ?assertMatch(<<"could not describe gen_fixture.no_such: ", _/binary>>, Refused(['gen_fixture.no_such'], #{})),
    ?assertMatch(<<"could not describe gen_fixture.required: TypeError", _/binary>>, Refused(['gen_fixture.required'], #{})),
    ?assertMatch(<<"no such option: junk">>, Refused([json], #{junk => 1})),
    ok = file:write_file(Out, "a file"),
    ?assertMatch(<<"could not ", _/binary>>, Refused([json], #{})).

%% A class on its own, and the sizes that wrappers are bound by.
sizes(Config) ->
    Size = fun(Module, Out) ->
        {ok, Paths} = py_gen:generate([Module], #{prefix => fx, out => dir(Out, Config), docs => false}),
        [{ok, _, _} = compile:file(Path, [binary, warnings_as_errors, report]) || Path <- Paths],
        lists:sum([filelib:file_size(Path) || Path <- Paths])
    end,
    Json = Size(json, json),
    ct:log("json ~b bytes", [Json]),
    ?assert(Json < 15000),
    case py:eval(<<"__import__('importlib.util').util.find_spec('numpy') is not None">>) of
        {ok, true} ->
            Array = Size('numpy.ndarray', numpy),
            ct:log("numpy.ndarray ~b bytes", [Array]),
            ?assertEqual({Array, true}, {Array, Array < 25000});
        _ ->
            ok
    end.

%% Modules that were not written for this: named as asked, with renames that the generator proposes, they compile.
others(Config) ->
    Options = #{prefix => fx, out => dir(others, Config)},
    Modules = [asyncio, builtins, 'concurrent.futures', datetime, email, itertools, math, operator, 'os.path', random, 'unittest.mock'],
    [solve([Module], Options) || Module <- Modules],
    Paths = filelib:wildcard(filename:join(dir(others, Config), "*.erl")),
    [{Path, {ok, _, _}} = {Path, compile:file(Path, [binary, warnings_as_errors, report])} || Path <- Paths],
    true = lists:member("fx_os_path.erl", [filename:basename(Path) || Path <- Paths]).

solve(Modules, Options) ->
    case py_gen:generate(Modules, Options) of
        {ok, [_ | _]} ->
            ok;
        {error, Text} ->
            {match, Lines} = re:run(unicode:characters_to_list(Text), "--rename (\\S+)=(\\S+)", [global, {capture, all_but_first, list}]),
            %% Once is enough.
            {ok, [_ | _]} = py_gen:generate(Modules, Options#{renames => maps:from_list([{From, To} || [From, To] <- Lines])})
    end.

%% covers: py_gen:main/0
shell(Config) ->
    Out = dir(shell, Config),
    Run = fun(Arguments) ->
        Paths = [[" -pa ", Dir] || Dir <- code:get_path(), string:find(Dir, "erlang_python") =/= nomatch],
        Python = [" -erlang_python python '\"", py_test:python(), "\"' num_workers 1"],
        os:cmd(lists:flatten(["erl -noinput", Paths, Python, " -run py_gen main -extra ", Arguments, "; echo status $?"]))
    end,
    ?assertMatch({match, _}, re:run(Run(["json --prefix fx --no-docs --out ", Out]), "wrote .*/fx_json.erl\n(.*\n)*status 0")),
    ?assertMatch({match, _}, re:run(Run(["json --check --prefix fx --no-docs --out ", Out]), "^status 0")),
    ?assertMatch({match, _}, re:run(Run(["json --check --prefix fx --no-docs --rename json.dumps=encode --out ", Out]), "removed  dumps/1(.*\n)*status 1")),
    ?assertMatch({match, _}, re:run(Run("--junk"), "usage: (.*\n)*status 1")),
    ?assertMatch({match, _}, re:run(Run(""), "usage: (.*\n)*status 1")).
