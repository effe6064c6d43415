%% @doc Generated files: their headers, and how those that are there differ from those that would be written. Nothing else is remembered.
%%
%% The header has the command that makes the file again, the generator's version, what the file was made from, and hashes of what is
%% described and of the body. A file is stale when the description, the command or the generator are others; versions of packages
%% and line numbers in their sources do not make it so.
-module(py_gen_file).

-export([text/3, write/2, check/3, hash/1, surface/1]).
-export_type([language/0, file/0]).

-type language() :: #{comment := binary(), tool := binary(), drift := fun((binary(), binary()) -> [unicode:chardata()])}.
%% The beginning of a comment; the command; lines that tell how an old text differs from a new one.

-type file() :: #{path := file:filename_all(), body := binary(), surface := binary(), command := binary(), version := binary()}.
%% `command' are the arguments of the tool.

-define(TOOL, "1").

%% @doc A file with its header.
-spec text(language(), file(), binary()) -> binary().
text(#{comment := Comment, tool := Tool}, #{body := Body, surface := Surface, command := Command}, Version) ->
    unicode:characters_to_binary([
        Comment, " Made by `", Tool, " ", Command, "` (", ?TOOL, ") from ", Version, "; not to be edited.\n",
        Comment, " surface: ", Surface, "\n", Comment, " body: ", hash(Body), "\n", Body
    ]).

%% @doc Writes what is not there as it should be, and removes what was made by the same command for things that are gone. The paths
%% that changed.
-spec write(language(), [file()]) -> {ok, [file:filename_all()]} | {error, unicode:chardata()}.
write(Language, Files) ->
    write(Language, Files, strange(Language, Files), []).

write(Language, [#{path := Path, version := Version} = File | Files], Strange, Done) ->
    Text = text(Language, File, Version),
    case file:read_file(Path) of
        {ok, Text} ->
            write(Language, Files, Strange, Done);
        _ ->
            case filelib:ensure_dir(Path) of
                ok ->
                    case file:write_file(Path, Text) of
                        ok -> write(Language, Files, Strange, [Path | Done]);
                        {error, Reason} -> {error, ["could not write ", Path, ": ", file:format_error(Reason)]}
                    end;
                {error, Reason} ->
                    {error, ["could not make the directory of ", Path, ": ", file:format_error(Reason)]}
            end
    end;
write(_Language, [], Strange, Done) ->
    _ = [file:delete(Path) || Path <- Strange],
    {ok, lists:reverse(Done, Strange)}.

%% @doc `ok', or lines that tell what is stale.
-spec check(language(), [file()], unicode:chardata()) -> ok | {error, unicode:chardata()}.
check(Language, Files, Advice) ->
    Lines = [[Path, ": ", Line] || #{path := Path} = File <- Files, Line <- stale(Language, File)] ++ [[Path, ": removed  the file"] || Path <- strange(Language, Files)],
    case Lines of
        [] -> ok;
        _ -> {error, lists:join("\n", ["generated files are stale; " ++ Advice | Lines])}
    end.

stale(Language, #{path := Path, body := Body} = File) ->
    case file:read_file(Path) of
        {ok, Old} ->
            {_, Own} = split(Old),
            Edited = [<<"was edited by hand">> || header(<<"body">>, Old) =/= hash(Own)],
            case Edited =:= [] andalso same_header(Language, File, Old) of
                true -> [];
                false -> Edited ++ drift(Language, Own, Body)
            end;
        {error, _} ->
            [<<"added    the file">>]
    end.

drift(_Language, Same, Same) -> [<<"changed  the header alone">>];
drift(#{drift := Drift}, Old, New) -> Drift(Old, New).

%% Whether a file was made by this generator, by the same command, of the same things.
same_header(#{tool := Tool}, #{surface := Surface, command := Command}, Old) ->
    Made = <<"Made by `", Tool/binary, " ", Command/binary, "` (", ?TOOL, ") from ">>,
    {Header, _} = split(Old),
    header(<<"surface">>, Old) =:= Surface andalso binary:match(Header, Made) =/= nomatch.

header(Name, Text) ->
    {Header, _} = split(Text),
    case re:run(Header, <<" ", Name/binary, ": (\\w+)\n">>, [{capture, all_but_first, binary}]) of
        {match, [Hash]} -> Hash;
        nomatch -> none
    end.

%% The three lines of the header, and the rest.
split(Text) ->
    case binary:matches(Text, <<"\n">>) of
        [_, _, {End, 1} | _] -> split_binary(Text, End + 1);
        _ -> {<<>>, Text}
    end.

%% Files beside the ones to write that say they are made of the same things, and would not be written.
strange(#{tool := Tool}, Files) ->
    Paths = [absolute(Path) || #{path := Path} <- Files],
    Marks = lists:usort([<<"Made by `", Tool/binary, " ", (target(Command))/binary, " ">> || #{command := Command} <- Files]),
    [
        Path
     || Directory <- lists:usort(lists:append([[filename:dirname(Path), filename:rootname(Path)] || Path <- Paths])),
        {ok, Names} <- [file:list_dir(Directory)],
        Name <- lists:sort(Names),
        Path <- [absolute(filename:join(Directory, Name))],
        not lists:member(Path, Paths),
        {ok, Line} <- [first_line(Path)],
        binary:match(Line, Marks) =/= nomatch
    ].

absolute(Path) -> filename:absname(unicode:characters_to_binary(Path)).

target(Command) -> hd(binary:split(Command, <<" ">>)).

first_line(Path) ->
    case file:open(Path, [read, binary]) of
        {ok, File} ->
            Line = file:read_line(File),
            _ = file:close(File),
            Line;
        {error, _} ->
            error
    end.

%% @doc Sixteen hexadecimal digits of a text.
-spec hash(iodata()) -> binary().
hash(Text) ->
    <<Digest:8/binary, _/binary>> = erlang:md5(unicode:characters_to_binary(Text)),
    string:lowercase(binary:encode_hex(Digest)).

%% @doc The hash of a description, in which lines of source files do not count.
-spec surface(term()) -> binary().
surface(Description) ->
    hash(io_lib:format("~w", [canonical(Description)])).

canonical(#{} = Map) ->
    [{Key, canonical(case Key of <<"source">> -> file_of(Value); _ -> Value end)} || {Key, Value} <- lists:sort(maps:to_list(maps:remove(<<"version">>, Map)))];
canonical(List) when is_list(List) ->
    [canonical(Item) || Item <- List];
canonical(Other) ->
    Other.

file_of(Source) -> hd(binary:split(Source, <<":">>)).
