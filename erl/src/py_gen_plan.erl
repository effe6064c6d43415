%% @doc What wrappers of Python modules are to be written: descriptions of `_erlang_gen.py' with the names of a target language. Names that the
%% language cannot have, or that two things would share, are an error with the lines that solve it.
-module(py_gen_plan).

-export([modules/3, underscore/1]).
-export_type([language/0, wrapper/0, item/0, parameter/0, type/0, description/0, renames/0]).

-type description() :: #{binary() => term()}.
%% What `describe' of `_erlang_gen.py' returns.

-type type() :: nonempty_list(binary() | list()).
%% A neutral type: see `_erlang_gen_types.py'.

-type parameter() :: #{name := binary(), type := type()}.

-type item() :: #{
    key := binary(),
    op := call | stream | new | method | method_stream | value | member | get | set | as_map,
    python := binary(),
    name := binary(),
    required := [parameter()],
    star := none | parameter(),
    optional := [parameter()],
    needed := [binary()],
    by_position := [binary()],
    only := [binary()],
    open := boolean(),
    keywords := boolean(),
    returns := type(),
    signature := binary(),
    overloads := [binary()],
    doc := binary(),
    source := binary()
}.
%% One function of a wrapper. `python' is its path in its module, the name of the method or attribute for what takes a handle. `optional' are
%% the keyword arguments, of which `needed' have no default, `by_position' go to Python by position, if a list follows them or they are
%% `only' so; `open': it takes any. `keywords': whether it can take
%% any at all, which operators and attributes cannot.

-type wrapper() :: #{
    path := binary(),
    module := binary(),
    name := binary(),
    class := none | description(),
    doc := binary(),
    source := binary(),
    version := binary(),
    target := binary(),
    surface := description(),
    exceptions := [description()],
    types := [description()],
    items := [item()]
}.
%% One module of the target language, for a Python module or a class.

-type language() :: #{reserved := [binary()], module := fun((binary()) -> binary())}.
%% Names that no function can have; the name of the module for a Python path.

-type renames() :: #{binary() => binary()}.

%% @doc The modules to write for descriptions.
-spec modules([description()], language(), renames()) -> {ok, [wrapper()]} | {error, iodata()}.
modules(Descriptions, Language, Renames) ->
    Wrappers = [Wrapper || Description <- Descriptions, Wrapper <- wrappers(Description, Language, Renames)],
    Known = [Key || #{items := Items, path := Path} <- Wrappers, Key <- [Path | [Key || #{key := Key} <- Items]]],
    Unknown = [
        ["  --rename ", From, "=", To, ": there is no ", From, "\n"]
     || {From, To} <- lists:sort(maps:to_list(Renames)), not lists:member(From, Known)
    ],
    Bad = [
        ["  --rename ", From, "=", To, ": no name of a function or module\n"]
     || {From, To} <- lists:sort(maps:to_list(Renames)), re:run(To, "^[A-Za-z][A-Za-z0-9_]*$", [{capture, none}]) =:= nomatch
    ],
    case {Unknown ++ Bad, clashes(Wrappers, Language)} of
        {[], []} -> {ok, Wrappers};
        {[], Lines} -> {error, ["names that are reserved or taken; these options solve it, with other names if you like:\n" | Lines]};
        {Lines, _} -> {error, ["renames that cannot be:\n" | Lines]}
    end.

-spec clashes([wrapper()], language()) -> [iodata()].
clashes(Wrappers, #{reserved := Reserved, module := Module}) ->
    Modules = [{Name, Path, fun(Suffix) -> module_suggestion(Path, Suffix, Module) end} || #{name := Name, path := Path} <- Wrappers],
    solved(Modules, []) ++
        [
            Line
         || #{items := Items} <- Wrappers,
            Line <- solved([{Name, Key, fun(Suffix) -> function_suggestion(Name, Suffix) end} || #{name := Name, key := Key} <- Items], Reserved)
        ].

%% The name as it would be, and what the option says.
function_suggestion(Name, Number) ->
    Given = <<Name/binary, (binary:copy(<<"_">>, Number))/binary>>,
    {Given, Given}.

module_suggestion(Path, Number, Module) ->
    Given = <<(lists:last(binary:split(Path, <<".">>, [global])))/binary, (integer_to_binary(Number + 1))/binary>>,
    {Module(parent(Path, Given)), Given}.

%% The first that has a name keeps it.
-spec solved([{binary(), binary(), fun((pos_integer()) -> {binary(), binary()})}], [binary()]) -> [iodata()].
solved(Named, Reserved) ->
    All = [Name || {Name, _, _} <- Named],
    {Lines, _} = lists:foldl(
        fun({Name, Key, Suggest}, {Lines, Taken}) ->
            case lists:member(Name, Taken) of
                false ->
                    {Lines, [Name | Taken]};
                true ->
                    {Free, Given} = free(Suggest, 1, Taken ++ All),
                    {[["  --rename ", Key, "=", Given, "\n"] | Lines], [Free | Taken]}
            end
        end,
        {[], Reserved},
        Named
    ),
    lists:reverse(Lines).

free(Suggest, Number, Taken) ->
    {Name, Given} = Suggest(Number),
    case lists:member(Name, Taken) of
        true -> free(Suggest, Number + 1, Taken);
        false -> {Name, Given}
    end.

-spec wrappers(description(), language(), renames()) -> [wrapper()].
wrappers(#{<<"module">> := Module, <<"target">> := Target, <<"members">> := Members} = Description, Language, Renames) ->
    Classes = [Class || #{<<"kind">> := <<"class">>} = Class <- Members],
    Typed = [Class || #{<<"shape">> := <<"typeddict">>} = Class <- Classes],
    Base = #{module => Module, target => Target, version => maps:get(<<"version">>, Description)},
    Own = [Member || #{<<"kind">> := Kind} = Member <- Members, Kind =/= <<"class">>],
    Whole = Base#{
        path => Module,
        name => module_name(Module, Language, Renames),
        class => none,
        doc => maps:get(<<"doc">>, Description),
        source => maps:get(<<"source">>, Description),
        surface => Description#{<<"members">> := Own ++ Typed},
        exceptions => [Member || #{<<"kind">> := <<"exception">>} = Member <- Own],
        types => Typed,
        items => lists:append([items(Member, Module, Renames) || Member <- Own])
    },
    [Whole || Target =:= Module] ++ lists:append([class(Class, Base, Language, Renames) || Class <- Classes -- Typed]).

-spec class(description(), map(), language(), renames()) -> [wrapper()].
class(#{<<"name">> := Name, <<"members">> := Members, <<"classes">> := Nested} = Class, #{module := Module} = Base, Language, Renames) ->
    Path = <<Module/binary, ".", Name/binary>>,
    Typed = [One || #{<<"shape">> := <<"typeddict">>} = One <- Nested],
    Wrapper = Base#{
        path => Path,
        name => module_name(Path, Language, Renames),
        class => Class,
        doc => maps:get(<<"doc">>, Class),
        source => maps:get(<<"source">>, Class),
        surface => Class#{<<"classes">> := Typed},
        exceptions => [One || #{<<"kind">> := <<"exception">>} = One <- Nested],
        types => Typed,
        items => constructor(Class, Path, Renames) ++ shape_items(Class, Path, Renames) ++ lists:append([class_items(Member, Name, Path, Renames) || Member <- Members])
    },
    [Wrapper | lists:append([class(One, Base, Language, Renames) || #{<<"kind">> := <<"class">>} = One <- Nested -- Typed])].

constructor(#{<<"init">> := none}, _, _) -> [];
constructor(#{<<"init">> := Init, <<"name">> := Name}, Path, Renames) -> [function(Init, new, Name, <<"new">>, <<Path/binary, ".__init__">>, Renames)].

%% The members of an enumeration; the dict of a dataclass.
shape_items(#{<<"shape">> := <<"enum">>, <<"fields">> := Fields, <<"name">> := Class, <<"path">> := Type}, Path, Renames) ->
    [
        simple(member, <<Class/binary, ".", Name/binary>>, Name, <<Path/binary, ".", Name/binary>>, [<<"class">>, Type], #{}, Renames)
     || #{<<"name">> := Name} <- Fields
    ] ++
        [simple(get, Name, Name, <<Path/binary, ".", Name/binary>>, [<<"any">>], #{}, Renames) || Name <- [<<"name">>, <<"value">>]];
shape_items(#{<<"shape">> := <<"dataclass">>, <<"fields">> := Fields}, Path, Renames) ->
    Types = [Type || #{<<"type">> := Type} <- Fields],
    Value = case Types of [] -> [<<"any">>]; _ -> [<<"union">>, Types] end,
    [simple(as_map, <<>>, <<"to_map">>, <<Path/binary, ".asdict">>, [<<"dict">>, [<<"str">>], Value], #{}, Renames)];
shape_items(_, _, _) ->
    [].

class_items(#{<<"kind">> := <<"attribute">>, <<"name">> := Name, <<"type">> := Type, <<"settable">> := Settable} = Attribute, _Class, Path, Renames) ->
    Key = <<Path/binary, ".", Name/binary>>,
    Set = simple(set, Name, <<"set_", Name/binary>>, <<Key/binary, ".setter">>, [<<"none">>], #{}, Renames),
    [simple(get, Name, Name, Key, Type, Attribute, Renames) | [Set#{required := [#{name => <<"value">>, type => Type}]} || Settable]];
class_items(#{<<"binding">> := <<"class">>, <<"name">> := Name} = Function, Class, Path, Renames) ->
    [function(Function, op(Function, call, stream), <<Class/binary, ".", Name/binary>>, Name, <<Path/binary, ".", Name/binary>>, Renames)];
class_items(#{<<"name">> := Name, <<"alias">> := Alias} = Function, _Class, Path, Renames) ->
    [function(Function, op(Function, method, method_stream), Name, Alias, <<Path/binary, ".", Name/binary>>, Renames)].

-spec items(description(), binary(), renames()) -> [item()].
items(#{<<"kind">> := <<"function">>, <<"name">> := Name} = Function, Module, Renames) ->
    [function(Function, op(Function, call, stream), Name, Name, <<Module/binary, ".", Name/binary>>, Renames)];
items(#{<<"kind">> := <<"value">>, <<"name">> := Name, <<"type">> := Type}, Module, Renames) ->
    [simple(value, Name, Name, <<Module/binary, ".", Name/binary>>, Type, #{}, Renames)];
items(_Exception, _Module, _Renames) ->
    [].

op(#{<<"generator">> := true}, _, Stream) -> Stream;
op(_, Call, _) -> Call.

-spec simple(atom(), binary(), binary(), binary(), type(), map(), renames()) -> item().
simple(Op, Python, Name, Key, Type, Said, Renames) ->
    #{
        key => Key, op => Op, python => Python, name => name(Name, Key, Renames), required => [], star => none, optional => [], needed => [],
        by_position => [], only => [], open => false, keywords => false, returns => Type, signature => <<>>, overloads => [],
        doc => maps:get(<<"doc">>, Said, <<>>), source => maps:get(<<"source">>, Said, <<>>)
    }.

-spec function(description(), atom(), binary(), binary(), binary(), renames()) -> item().
function(#{<<"params">> := Params} = Function, Op, Python, Name, Key, Renames) ->
    Star = [Param || #{<<"kind">> := <<"args">>} = Param <- Params],
    Positional = [Param || #{<<"kind">> := Kind} = Param <- Params, Kind =:= <<"only">> orelse Kind =:= <<"normal">>],
    {Required, Later} = lists:splitwith(fun(#{<<"default">> := Default}) -> Default =:= none end, Positional),
    Keys = [Param || #{<<"kind">> := <<"key">>} = Param <- Params],
    Only = [Name1 || #{<<"kind">> := <<"only">>, <<"name">> := Name1} <- Later],
    ByPosition = case Star of [] -> Only; _ -> [Name1 || #{<<"name">> := Name1} <- Later] end,
    Needed = [Name1 || #{<<"default">> := none, <<"name">> := Name1} <- Keys],
    % What is private is left out, unless others cannot be given without it.
    Optional = [Param || #{<<"name">> := Name1} = Param <- Later ++ Keys, not private(Name1) orelse lists:member(Name1, ByPosition ++ Needed)],
    (simple(Op, Python, Name, Key, maps:get(<<"returns">>, Function), Function, Renames))#{
        required := [parameter(Param) || Param <- Required],
        star := case Star of [] -> none; [Param] -> parameter(Param) end,
        optional := [parameter(Param) || Param <- Optional],
        needed := Needed,
        by_position := ByPosition,
        only := Only,
        keywords := re:run(Python, "^__(?!call__)", [{capture, none}]) =:= nomatch,
        open := lists:any(fun(#{<<"kind">> := Kind}) -> Kind =:= <<"kwargs">> end, Params),
        signature := maps:get(<<"signature">>, Function),
        overloads := maps:get(<<"overloads">>, Function)
    }.

parameter(#{<<"name">> := Name, <<"type">> := Type}) -> #{name => Name, type => Type}.

private(<<"_", _/binary>>) -> true;
private(_) -> false.

-spec name(binary(), binary(), renames()) -> binary().
name(Name, Key, Renames) ->
    case Renames of
        #{Key := Given} -> Given;
        #{} -> function_name(Name)
    end.

%% A name that begins with a capital is written in small letters, as both languages want it.
function_name(<<First, _/binary>> = Name) when First >= $A, First =< $Z -> underscore(Name);
function_name(Name) -> Name.

%% @doc Words of a name that capitals separate, as one in small letters.
-spec underscore(binary()) -> binary().
underscore(Name) ->
    Parts = re:replace(Name, "([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", "\\1\\3_\\2\\4", [global, {return, binary}, unicode]),
    string:lowercase(Parts).

module_name(Path, #{module := Module}, Renames) ->
    case Renames of
        #{Path := Given} -> Module(parent(Path, Given));
        #{} -> Module(Path)
    end.

%% What is renamed is the last part.
parent(Path, Given) ->
    case string:split(Path, ".", trailing) of
        [Parent, _] -> <<Parent/binary, ".", Given/binary>>;
        [_] -> Given
    end.
